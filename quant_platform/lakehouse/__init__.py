"""The lake: contracts, partition store, point-in-time reads, provenance, ledgers, catalog."""

from quant_platform.lakehouse.lake import Lake

__all__ = ["Lake"]
