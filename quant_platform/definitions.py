"""The code location of ``dagster dev`` and ``dg``; nothing happens at import."""

from __future__ import annotations

import dagster as dg

from quant_platform.orchestration.graph import build_defs
from quant_platform.settings import load_settings

__all__ = ["build_defs", "defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """Definitions of the project in the current folder (or ``$QUANT_PROJECT``)."""
    return build_defs(load_settings())
