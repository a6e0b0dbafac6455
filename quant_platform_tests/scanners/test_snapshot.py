"""The vendor's values in the screener's rows: which rows, which columns, and what each says."""

from __future__ import annotations

from datetime import date
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.lakehouse.contracts.snapshot import SNAPSHOT
from quant_platform.scanners.origin import FROM_FEATURES
from quant_platform.scanners.snapshot import TAKEN, overlaid
from quant_platform.settings.tradingview import TradingViewSettings
from quant_platform_tests.lakehouse.small_lake import SESSIONS

BEFORE, DAY = SESSIONS[40], SESSIONS[41]
SETTINGS = TradingViewSettings(least_share=0.5, close_tolerance=0.01)


def own(security: str, session: date = DAY, **values: Any) -> dict[str, Any]:
    """One row of the screener from features."""
    told = dict.fromkeys(SCREENER.columns) | {
        "session": session,
        "security_id": security,
        "symbol": f"AMEX:{security.upper()}",
        "exchange": "AMEX",
        "asset_class": "etf",
        "sector": "Funds",
        "category": "equity",
        "close": 100.0,
        "volume": 5e5,
        "Perf.1M": 0.01,
        "SMA50.Slope": 2.5,
    }
    return told | values


def theirs(security: str | None, session: date = DAY, **values: Any) -> dict[str, Any]:
    """One row of a snapshot."""
    told = dict.fromkeys(SNAPSHOT.columns) | {
        "knowledge_session": session,
        "session": session,
        "symbol": f"AMEX:{security}",
        "security_id": security,
        "close": 100.0,
        "volume": 6e5,
        "Perf.1M": 0.05,
        "RSI": 60.0,
        "category": "26",
    }
    return told | values


def lay(features: list[dict[str, Any]], snapshot: list[dict[str, Any]]) -> pl.DataFrame:
    rows = pl.DataFrame(features, schema=SCREENER.empty().schema).with_columns(*FROM_FEATURES)
    laid = overlaid(rows, pl.DataFrame(snapshot, schema=SNAPSHOT.empty().schema), SETTINGS)
    return SCREENER.validate("etfs/screener", laid)


def said(laid: pl.DataFrame) -> list[tuple[str, str, str, str | None]]:
    return laid.select("security_id", "requested", "actual", "fallback").rows()


def test_a_row_takes_the_vendors_values_and_says_so() -> None:
    laid = lay([own("a")], [theirs("a")])
    row = laid.row(0, named=True)
    assert said(laid) == [("a", "tradingview", "tradingview", None)]
    assert row["Perf.1M"] == pytest.approx(0.05)
    assert row["RSI"] == 60.0
    assert row["volume"] == 6e5
    assert row["category"] == "26"
    # Who it is, and what the vendor has no column for, stays.
    assert (row["symbol"], row["sector"], row["SMA50.Slope"]) == ("AMEX:A", "Funds", 2.5)


def test_what_the_vendor_tells_nothing_of_is_null_and_not_ours() -> None:
    row = lay([own("a", RSI=44.0)], [theirs("a", RSI=None, volume=None, category=None)])
    assert row["RSI"].to_list() == [None]
    # But what may not be null, and texts.
    assert row["volume"].to_list() == [5e5]
    assert row["category"].to_list() == ["equity"]


def test_a_session_without_a_snapshot_keeps_its_features_and_says_why() -> None:
    laid = lay([own("a", BEFORE), own("a")], [theirs("a"), theirs(None, BEFORE)])
    assert said(laid) == [
        ("a", "tradingview", "features", "no_snapshot"),
        ("a", "tradingview", "tradingview", None),
    ]
    assert laid["Perf.1M"].to_list() == pytest.approx([0.01, 0.05])


def test_a_row_that_the_snapshot_lacks_keeps_its_features() -> None:
    laid = lay([own("a"), own("b")], [theirs("a")])
    assert said(laid)[1] == ("b", "tradingview", "features", "not_in_it")


@pytest.mark.parametrize(("close", "fallback"), [(100.9, None), (101.1, "other_close")])
def test_another_close_is_another_security(close: float, fallback: str | None) -> None:
    laid = lay([own("a"), own("b")], [theirs("a"), theirs("b", close=close)])
    assert said(laid)[1][3] == fallback
    assert laid["close"][1] == (close if fallback is None else 100.0)


def test_too_few_rows_are_ranked_beside_nothing() -> None:
    few = lay([own("a"), own("b"), own("c")], [theirs("a"), theirs("b", close=50.0)])
    assert {row[3] for row in said(few)} == {"too_few"}
    assert few["Perf.1M"].to_list() == pytest.approx([0.01] * 3)
    enough = lay([own("a"), own("b"), own("c")], [theirs("a"), theirs("b")])
    assert [row[3] for row in said(enough)] == [None, None, "not_in_it"]


def test_a_range_is_its_sessions() -> None:
    features = [own("a", BEFORE), own("b", BEFORE), own("a"), own("b")]
    snapshot = [theirs("a", BEFORE), theirs("b", BEFORE, close=9.0), theirs("b")]
    whole = lay(features, snapshot)
    days = [
        lay([r for r in features if r["session"] == d], [r for r in snapshot if r["session"] == d])
        for d in (BEFORE, DAY)
    ]
    assert whole.equals(pl.concat(days))


def _bounds(column: dy.Column) -> tuple[float, float]:
    least = [getattr(column, n, None) for n in ("min", "min_exclusive")]
    most = [getattr(column, n, None) for n in ("max", "max_exclusive")]
    return (
        max((b for b in least if b is not None), default=float("-inf")),
        min((b for b in most if b is not None), default=float("inf")),
    )


@pytest.mark.parametrize("name", [n for n in TAKEN if SNAPSHOT.columns[n].dtype.is_numeric()])
def test_what_a_snapshot_may_hold_a_screener_may(name: str) -> None:
    """Impossible values are set aside with the snapshot: a screener that broke would stop all."""
    theirs_, ours = SNAPSHOT.columns[name], SCREENER.columns[name]
    (low, high), (least, most) = _bounds(theirs_), _bounds(ours)
    assert low >= least
    assert high <= most
    exclusive = getattr(ours, "min_exclusive", None)
    assert exclusive is None or getattr(theirs_, "min_exclusive", None) == exclusive or low > least


def test_the_screener_takes_all_that_it_has() -> None:
    assert {"close", "volume", "Value.Traded", "change", "Perf.1M", "RSI", "category"} <= set(TAKEN)
