"""Scanner manifests read as the settings read them, and screener rows written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.settings import Settings, load_settings
from quant_platform.settings.documents import read_document
from quant_platform.settings.problems import FILE_LAYER, Place, from_validation, raise_first
from quant_platform.settings.scanner import ScannerSettings
from quant_platform_tests.lakehouse.small_lake import SESSIONS

FOLDER = Path(__file__).parents[2] / "assets_config" / "scanners"
SHIPPED = sorted(FOLDER.glob("*/*.yaml"))
DAY = SESSIONS[0]


def manifest(text: str, name: str = "tried", asset_class: str = "stock") -> ScannerSettings:
    """Read a manifest's text; what is wrong with it is a ``ConfigError`` of one sentence."""
    document = read_document(text.encode(), Place(FILE_LAYER, f"{name}.yaml", 1))
    raise_first(document.problems)
    given = {"name": name, "asset_class": asset_class} | document.value
    try:
        return ScannerSettings.model_validate(given)
    except ValidationError as error:
        raise_first(from_validation(error, ScannerSettings, (), document.places))
        raise


@cache
def shipped_settings() -> Settings:
    """Load the settings of the repository."""
    return load_settings(FOLDER.parents[1], environ={})


def shipped(name: str) -> ScannerSettings:
    """Return a shipped scanner by its name, with all that its presets say."""
    return shipped_settings().scanners[name]


def row(security: str, session: date = DAY, **values: Any) -> dict[str, Any]:
    """Lay out one security in the screener; columns with a dot are given through a mapping."""
    return {
        "session": session,
        "security_id": security,
        "symbol": f"NYSE:{security.upper()}",
        "exchange": "NYSE",
        "asset_class": "stock",
        "type": "stock",
        "close": 10.0,
        "volume": 100.0,
    } | values


def screener(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows in the columns of the screener's contract."""
    schema = {name: column.dtype for name, column in SCREENER.columns.items()}
    return pl.DataFrame(list(rows), schema=schema)
