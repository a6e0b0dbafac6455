"""The field table against the vendor's own lists of columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.settings.screener_fields import FIELDS as COLUMNS
from quant_platform.sources.tradingview.answer import check_columns
from quant_platform.sources.tradingview.fields import FIELDS, MARKETS, PERCENT
from quant_platform.sources.tradingview.query import class_query
from quant_platform_tests.known_answers.data import recorded_file

LISTS = {"stock": "metainfo__stocks.json", "etf": "metainfo__stocks.json"} | {
    "crypto": "metainfo__crypto.json"
}


def listed(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(recorded_file(name).read_text())
    return found


@pytest.mark.parametrize("asset_class", sorted(MARKETS))
def test_the_vendor_lists_every_column_under_its_type(asset_class: str) -> None:
    body = json.dumps({"fields": listed(LISTS[asset_class])})
    check_columns(body, class_query(asset_class, 10))


@pytest.mark.parametrize("asset_class", sorted(MARKETS))
def test_what_a_market_is_said_not_to_have_it_has_not(asset_class: str) -> None:
    # But for sector and the like of coins, which the vendor lists and which mean other things.
    names = {entry["n"] for entry in listed(LISTS[asset_class])}
    market = MARKETS[asset_class]
    absent = {field.name for field in FIELDS if field.column(market) is None}
    assert not absent & names


def test_what_the_vendor_types_as_percent_is_scaled() -> None:
    types = {entry["n"]: entry["t"] for entry in listed("metainfo__stocks.json")}
    for field in FIELDS:
        if types[field.america or ""] == "percent":
            assert field.scale == PERCENT, field.name


def test_names_occur_once_and_are_those_of_the_screener() -> None:
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)
    own = {name for name, field in COLUMNS.items() if not field.vendor}
    # The vendor has these as well; a snapshot leaves them to the features.
    own |= {"ATRP", "SMA20", "BB.upper", "BB.lower", "relative_volume_10d_calc"}
    numbers = {name for name, column in SCREENER.columns.items() if column.dtype.is_numeric()}
    assert numbers - own <= set(names)
