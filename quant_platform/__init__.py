"""quant_platform: from raw market data to reconciled fills in one point-in-time asset graph."""

__version__ = "0.1.0"
