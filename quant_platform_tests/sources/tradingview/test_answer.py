"""Reading answers: units, types, and an answer that the vendor really gave."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from quant_platform.errors import SourceError
from quant_platform.sources.tradingview.answer import (
    TransientAnswerError,
    check_columns,
    frame_of,
    merged,
    page_of,
)
from quant_platform.sources.tradingview.fields import FIELDS
from quant_platform.sources.tradingview.query import ScanQuery, class_query
from quant_platform_tests.known_answers.data import recorded_file
from quant_platform_tests.sources.tradingview.vendor import fund, vendor_list

QUERY = class_query("etf", 100)


def body_of(*securities: dict[str, object], query: ScanQuery = QUERY) -> str:
    data = [
        {"s": f"AMEX:F{n}", "d": [values.get(column) for column in query.columns]}
        for n, values in enumerate(securities)
    ]
    # JSON has no infinity, but numbers that are read as one.
    return json.dumps({"totalCount": len(data), "data": data}).replace("Infinity", "1e999")


def read(*securities: dict[str, object]) -> pl.DataFrame:
    page = page_of(body_of(*securities), QUERY, 0, 10)
    return frame_of(QUERY, merged(QUERY, [page]))


def test_percent_becomes_a_fraction_and_money_stays() -> None:
    told = fund(250.0, 4e7, change=-2.5, Perf__1M=12.0, expense_ratio=0.09, aum=5e8, RSI=61.5)
    row = read(told).row(0, named=True)
    assert row["close"] == 250.0
    assert row["Value.Traded"] == 4e7
    assert row["change"] == pytest.approx(-0.025)
    assert row["Perf.1M"] == pytest.approx(0.12)
    assert row["expense_ratio"] == pytest.approx(0.0009)
    assert row["aum"] == 5e8
    assert row["RSI"] == 61.5
    assert row["category"] == "26"


def test_every_field_has_its_column_in_the_order_of_the_table() -> None:
    frame = read(fund())
    assert frame.columns == ["symbol", *(field.name for field in FIELDS)]
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    assert texts == ["symbol", "category", "brand", "issuer", "sector"]


def test_null_stays_null_and_what_a_market_has_not_is_null() -> None:
    assert read(fund(RSI=None))["RSI"].to_list() == [None]
    coins = class_query("crypto", 10)
    told = {"close": 60000.0, "average_volume_30d_calc_usd": 2e9}
    page = page_of(body_of(told, query=coins), coins, 0, 10)
    row = frame_of(coins, page.rows).row(0, named=True)
    assert row["Value.Traded"] == 2e9
    assert row["aum"] is None


def test_no_rows_are_a_frame() -> None:
    assert frame_of(QUERY, {}).height == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"close": "100.0"}, "'close' with '100.0'; expected a number"),
        ({"RSI": True}, "'RSI' with True; expected a number"),
        ({"volume": float("inf")}, "'volume' with inf; expected a number"),
        ({"aum": 10**400}, "'aum' with 1000"),
        ({"category": 26}, "'category' with 26; expected a text"),
    ],
)
def test_a_value_of_another_type_is_refused(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        read(fund(), fund() | changed)


def test_a_change_that_is_a_fraction_is_refused() -> None:
    told = [fund(change=c) for c in (-12.0, 8.0, 15.0)]
    assert read(*told)["change"].to_list() == pytest.approx([-0.12, 0.08, 0.15])
    fractions = [values | {"change": values["change"] / 100} for values in told]
    with pytest.raises(SourceError, match=r"'change' is 0\.01 times"):
        read(*fractions)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('{"totalCount": 1, "data": [{"s": "AMEX:A", "d": [1.0]}]}', "1 values of AMEX:A"),
        ('{"totalCount": 1, "data": [{"s": "spy", "d": []}]}', "the symbol spy"),
        ('{"totalCount": 1, "data": [["AMEX:A", 1]]}', "a row in another form"),
        ('{"totalCount": "1", "data": []}', "a number and a list"),
        ("[]", "an answer of list"),
    ],
)
def test_another_form_is_refused(body: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        page_of(body, QUERY, 0, 10)


def test_more_rows_than_asked_for_are_refused() -> None:
    with pytest.raises(SourceError, match="3 rows on a page"):
        page_of(body_of(fund(), fund(), fund()), QUERY, 0, 2)


def test_a_number_that_is_none_is_no_json() -> None:
    with pytest.raises(TransientAnswerError):
        page_of('{"totalCount": NaN, "data": []}', QUERY, 0, 10)


def test_a_list_of_columns_in_another_form_is_refused() -> None:
    good = [{"n": n, "t": t} for n, t in vendor_list("america").items()]
    check_columns(json.dumps({"fields": good}), QUERY)
    with pytest.raises(SourceError, match="a list of columns in another form"):
        check_columns(json.dumps({"fields": list(vendor_list("america"))}), QUERY)


def test_an_answer_that_was_recorded() -> None:
    recorded = json.loads(recorded_file("recorded_scan_AAPL_CMP_2019-03-22.json").read_text())
    query = replace(QUERY, columns=tuple(recorded["request"]["columns"]), conditions=())
    page = page_of(json.dumps(recorded["response"]), query, 0, 10)
    rows = {row["symbol"]: row for row in frame_of(query, page.rows).to_dicts()}
    apple = rows["NASDAQ:AAPL"]
    assert page.total == 2
    assert apple["close"] == 193.4
    assert apple["RSI"] == 75.8055
    assert apple["SMA200"] == recorded["response"]["data"][0]["d"][query.columns.index("SMA200")]
    assert apple["Recommend.All"] == 0.44545454
