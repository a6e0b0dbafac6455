"""quant_platform: from raw market data to reconciled fills in one point-in-time asset graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quant_platform.lakehouse.lake import Lake
    from quant_platform.settings import load_settings

__version__ = "0.1.0"
__all__ = ["Lake", "__version__", "load_settings"]


def __getattr__(name: str) -> Any:
    """Import what a notebook asks for when it asks; the command line starts faster without."""
    if name == "Lake":
        from quant_platform.lakehouse.lake import Lake

        return Lake
    if name == "load_settings":
        from quant_platform.settings import load_settings

        return load_settings
    raise AttributeError(f"module 'quant_platform' has no attribute '{name}'")
