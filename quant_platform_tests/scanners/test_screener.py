"""The screener: listed and traded as known at the cutoff, each column the feature of its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.scanners.screener import screen, screener_windows
from quant_platform.settings import TrendSettings
from quant_platform.settings.screener_fields import FIELDS, NUMBERS
from quant_platform_tests.features.naive import corrected, walk
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, bars_frame, span
from quant_platform_tests.scanners.chain import belonging, featured, handed

DAYS = SESSIONS[:60]
STRICT = TrendSettings(max_missing_share=0.0)
Rows = Sequence[Mapping[str, Any]]


def description(security: str, known: date, *, minutes: int = 30, **changes: Any) -> dict[str, Any]:
    """One published description, known some minutes after the close of a session."""
    return {
        "knowledge_session": known,
        "security_id": security,
        "known_at": CALENDAR.close(known) + timedelta(minutes=minutes),
        "known_at_basis": "assumed",
        "symbol": f"NYSE:{security.upper()}",
        "name": f"Company {security}",
        "exchange": "NYSE",
        "asset_class": "stock",
        "sector": "Energy",
        "category": None,
        "listed_on": DAYS[0],
        "delisted_on": None,
    } | changes


def table(kind: str, rows: Rows) -> pl.DataFrame:
    """Rows in the columns of a contract."""
    return pl.DataFrame(list(rows), schema=CONTRACTS[kind].empty().schema)


def derived(kind: str, session: date, security: str, **values: Any) -> dict[str, Any]:
    """One row of a derived table, null but for what is given."""
    return {"session": session, "security_id": security} | values


def run(
    bars: Rows | pl.DataFrame,
    securities: Rows,
    first: date = DAYS[0],
    last: date = DAYS[-1],
    *,
    settings: TrendSettings = STRICT,
    derivations: Mapping[str, Rows] | None = None,
) -> pl.DataFrame:
    """Screen bars through the real features; tables that are given stand in their place."""
    wanted = span(first, last)
    tables = {
        "bars": bars if isinstance(bars, pl.DataFrame) else bars_frame(bars),
        "securities": table("securities", securities),
    }
    tables["actions"] = table("actions", [])
    tables["universe"] = belonging(tables, wanted)
    if derivations is None:
        tables |= featured(tables, wanted, settings)
    else:
        tables |= {kind: table(kind, rows) for kind, rows in derivations.items()}
    frames = handed(tables, screener_windows(tables), wanted)
    return SCREENER.validate("x/screener", screen(frames, None, wanted))


def sessions_of(made: pl.DataFrame, security: str) -> list[date]:
    return made.filter(pl.col("security_id") == security)["session"].to_list()


# -- who is there ----------------------------------------------------------------------------------


def test_who_is_not_described_or_has_no_bar_is_not_there() -> None:
    bars = [*walk("a", DAYS[:5], 1), *walk("unknown", DAYS[:5], 2)]
    bars = [one for one in bars if one["session"] != DAYS[2] or one["security_id"] != "a"]
    made = run(bars, [description("a", DAYS[0]), description("idle", DAYS[0])])
    assert made["security_id"].unique().to_list() == ["a"]
    assert sessions_of(made, "a") == [DAYS[0], DAYS[1], DAYS[3], DAYS[4]]


def test_a_security_is_there_from_its_listing_to_the_session_before_its_delisting() -> None:
    told = [
        description("a", DAYS[0], listed_on=DAYS[2]),
        description("a", DAYS[4], listed_on=DAYS[2], delisted_on=DAYS[6]),
    ]
    made = run(walk("a", DAYS[:10], 1), told)
    assert sessions_of(made, "a") == DAYS[2:6]


def test_a_description_counts_from_the_session_in_which_it_became_known() -> None:
    """A listing announced late, and a delisting that was dated back: nothing is known before."""
    told = [
        description("a", DAYS[3], sector=None),
        description("a", DAYS[5], sector="Utilities", symbol="NYSE:NEW"),
        description("a", DAYS[8], sector="Utilities", symbol="NYSE:NEW", delisted_on=DAYS[6]),
    ]
    made = run(walk("a", DAYS[:12], 1), told)
    assert sessions_of(made, "a") == DAYS[3:8]
    assert made["sector"].to_list() == [None, None, *["Utilities"] * 3]
    assert made["symbol"].to_list() == ["NYSE:A"] * 2 + ["NYSE:NEW"] * 3


def test_the_last_of_two_descriptions_of_one_evening_holds() -> None:
    told = [
        description("a", DAYS[0], minutes=50, sector="Utilities"),
        description("a", DAYS[0], minutes=20, sector="Energy"),
    ]
    for order in (told, told[::-1]):
        assert set(run(walk("a", DAYS[:3], 1), order)["sector"]) == {"Utilities"}


def test_a_bar_that_comes_late_never_makes_a_row() -> None:
    bars = [*walk("a", DAYS[:3], 1), bar("a", DAYS[3], late=1), *walk("a", DAYS[4:6], 2)]
    made = run(bars, [description("a", DAYS[0])])
    assert sessions_of(made, "a") == [*DAYS[:3], *DAYS[4:6]]


# -- what is in a row ------------------------------------------------------------------------------


def test_close_and_volume_are_those_known_at_the_cutoff() -> None:
    bars = walk("a", DAYS[:8], 1)
    late = corrected(bars[3], 2.0, late=2)
    made = run([*bars, late], [description("a", DAYS[0])])
    assert made["close"].to_list() == [one["close"] for one in bars]


def test_the_last_of_two_versions_of_one_evening_holds() -> None:
    bars = walk("a", DAYS[:8], 1)
    second = bars[3] | {"known_at": bars[3]["known_at"] + timedelta(minutes=9), "volume": 1.0}
    for rows in ([*bars, second], [second, *bars]):
        volumes = run(rows, [description("a", DAYS[0])])["volume"].to_list()
        assert volumes == [
            *(one["volume"] for one in bars[:3]),
            1.0,
            *(b["volume"] for b in bars[4:]),
        ]


def test_the_other_columns_are_those_of_the_session() -> None:
    derivations = {
        "features_trend": [
            derived(
                "features_trend",
                day,
                "a",
                close=1.0,
                bars_252=1,
                performance_21=number + 0.25,
                performance_252=number + 0.5,
                volatility_21=number + 0.75,
                sma_50=number + 1.0,
                sma_200=number + 2.0,
                sma_50_slope=number + 3.0,
            )
            for number, day in enumerate(DAYS[:3])
        ],
        "features_state": [derived("features_state", DAYS[1], "a", rsi_14=44.0)],
        "returns": [derived("returns", DAYS[2], "a", total=0.125)],
    }
    made = run(walk("a", DAYS[:3], 1), [description("a", DAYS[0])], derivations=derivations)
    found = made.select(
        "Perf.1M", "Perf.Y", "Volatility.M", "SMA50", "SMA200", "SMA50.Slope", "RSI", "change"
    )
    assert found.rows() == [
        (0.25, 0.5, 0.75, 1.0, 2.0, 3.0, None, None),
        (1.25, 1.5, 1.75, 2.0, 3.0, 4.0, 44.0, None),
        (2.25, 2.5, 2.75, 3.0, 4.0, 5.0, None, 0.125),
    ]


def test_every_line_of_the_field_table_is_the_feature_that_it_names() -> None:
    """Each column is given a value of its own, in a table that has nothing else."""
    lines = [f for f in FIELDS.values() if f.kind == "number" and f.table]
    tables = {field.table for field in lines} - {"bars"}
    rows: dict[str, dict[str, Any]] = {kind: {} for kind in tables}
    values = {field.name: (number + 1) / 64 for number, field in enumerate(lines)}
    for field in lines:
        if field.table == "bars":
            continue
        value = values[field.name]
        rows[field.table][field.column] = -value if field.name == "High.52W.Distance" else value
    told = {"session": DAYS[0], "known_at": CALENDAR.close(DAYS[0]), "known_at_basis": "observed"}
    rows["fund_facts"] |= {**told, "knowledge_session": DAYS[0], "security_id": "a"}
    derivations: dict[str, Rows] = {
        kind: [given if kind == "fund_facts" else derived(kind, DAYS[0], "a", **given)]
        for kind, given in rows.items()
    }
    bars = walk("a", DAYS[:1], 1)
    fund = description("a", DAYS[0], asset_class="etf")
    (made,) = run(bars, [fund], DAYS[0], DAYS[0], derivations=derivations).to_dicts()
    assert made["volume"] == bars[0]["volume"]
    values["High.52W.Distance"] *= -1
    values["ATRP"] /= 100
    for field in lines:
        if field.table != "bars":
            assert made[field.name] == pytest.approx(values[field.name], rel=1e-6), field.name
    assert len(lines) == len(NUMBERS) - 1  # market capitalisation has no source yet
    assert made["market_cap_basic"] is None


@pytest.mark.parametrize(
    ("symbol", "asset_class", "expected"),
    [
        ("BINANCE:BTCUSDT", "crypto", ("spot", "BTC", "USDT")),
        ("BINANCE:BTCUSDT.P", "crypto", ("swap", "BTC", "USDT")),
        ("BINANCE:BTCFDUSD", "crypto", ("spot", "BTC", "FDUSD")),
        ("BINANCE:USDCUSDT", "crypto", ("spot", "USDC", "USDT")),
        ("BINANCE:USDT", "crypto", ("spot", None, None)),
        ("BINANCE:ABC", "crypto", ("spot", None, None)),
        ("NYSE:CUSD", "stock", ("stock", None, None)),
        ("AMEX:SPY", "etf", ("fund", None, None)),
    ],
)
def test_class_and_symbol_say_what_it_is(
    symbol: str, asset_class: str, expected: tuple[str | None, ...]
) -> None:
    told = [description("a", DAYS[0], symbol=symbol, asset_class=asset_class)]
    made = run(walk("a", DAYS[:1], 1), told, last=DAYS[0])
    assert made.select("type", "base_currency", "currency").rows() == [expected]


def test_a_fund_is_what_was_last_told_of_it() -> None:
    """A category of the issuer stands before that of the listing; a known name is an id."""

    def fact(known: date, **facts: Any) -> dict[str, Any]:
        return {
            "knowledge_session": known,
            "security_id": "a",
            "session": DAYS[0],
            "known_at": CALENDAR.close(known) + timedelta(minutes=20),
            "known_at_basis": "observed",
        } | facts

    told = [
        fact(DAYS[2], aum=5.0, category="Bond"),
        fact(DAYS[4], aum=7.0, category="71"),
    ]
    fund = description("a", DAYS[0], asset_class="etf", category="Buffer")
    bars = walk("a", DAYS[:6], 1)
    trend = [derived("features_trend", d, "a", close=1.0, bars_252=1) for d in DAYS[:6]]
    given: dict[str, Rows] = {"fund_facts": told, "features_trend": trend}
    made = run(bars, [fund], last=DAYS[5], derivations=given)
    assert made["aum"].to_list() == [None, None, 5.0, 5.0, 7.0, 7.0]
    assert made["category"].to_list() == ["Buffer", "Buffer", "57", "57", "71", "71"]


def test_rows_of_version_1_are_read_with_what_they_lack_as_null() -> None:
    made = run(walk("a", DAYS[:30], 1), [description("a", DAYS[0])])
    old = ["session", "security_id", "symbol", "asset_class", "exchange", "sector", "category"]
    old += ["close", "volume", "Value.Traded", "change", "Perf.1M", "Perf.Y", "Volatility.M"]
    old += ["SMA50", "SMA200", "SMA50.Slope", "RSI"]
    read = SCREENER.upgrades[2](SCREENER.upgrades[1](made.select(old).lazy())).collect()
    read = SCREENER.validate("x/screener", read)
    assert read.select(old).equals(made.select(old))
    assert read["type"].unique().to_list() == ["stock"]
    assert read["ADX"].null_count() == read.height


# -- the laws --------------------------------------------------------------------------------------


def news() -> list[dict[str, Any]]:
    """Lay out securities with gaps, a listing, late bars and corrections."""
    whole = walk("whole", DAYS, 1)
    gappy = [one for number, one in enumerate(walk("gappy", DAYS, 2)) if number not in (25, 50, 52)]
    young = walk("young", DAYS[15:], 3)
    late = walk("late", DAYS, 4)
    late += [corrected(late.pop(30), 1.0, 2), corrected(late.pop(20), 1.0, 4)]
    fixed = walk("fixed", DAYS, 5)
    fixed += [
        corrected(fixed[22], 3.0, 3),
        corrected(fixed[22], 0.5, 6),
        corrected(fixed[40], 2, 1),
    ]
    return [*whole, *gappy, *young, *late, *fixed]


ROWS = news()
LISTED = {name: DAYS[15 if name == "young" else 0] for name in ("whole", "gappy", "young", "late")}
LISTED["fixed"] = DAYS[0]
TOLD = [description(name, DAYS[0], listed_on=day) for name, day in LISTED.items()]


EVENTS = [
    *TOLD,
    description("whole", DAYS[33], listed_on=DAYS[0], delisted_on=DAYS[41]),
    description("fixed", DAYS[24], symbol="NYSE:FIX2"),
]


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_range_has_the_bytes_of_its_parts(chunk: int) -> None:
    whole = run(ROWS, EVENTS)
    parts = [DAYS[start : start + chunk] for start in range(0, len(DAYS), chunk)]
    assert pl.concat([run(ROWS, EVENTS, part[0], part[-1]) for part in parts]).equals(whole)


@pytest.mark.parametrize("position", [21, 24, 32, 33, 40])
def test_what_is_known_later_changes_nothing(position: int) -> None:
    session = DAYS[position]
    expected = run(ROWS, EVENTS, session, session)
    assert expected.height >= 4
    spoilt = [
        one
        if one["knowledge_session"] <= session
        else one | {name: one[name] * 7 for name in ("open", "high", "low", "close", "volume")}
        for one in ROWS
    ]
    spoilt.append(corrected(ROWS[position - 2], 9.0, late=3))
    told = [
        *(one for one in EVENTS if one["knowledge_session"] <= session),
        *(description(name, DAYS[position + 1], delisted_on=DAYS[1]) for name in LISTED),
        description("stranger", DAYS[position + 1]),
    ]
    spoilt += walk("stranger", DAYS[position + 1 :], 9)
    ranged = run(spoilt, told, DAYS[position - 5], DAYS[position + 5])
    assert ranged.filter(pl.col("session") == session).equals(expected)


def test_securities_do_not_depend_on_one_another() -> None:
    chosen = {"late", "young"}
    some = run([one for one in ROWS if one["security_id"] in chosen], EVENTS)
    assert some.equals(run(ROWS, EVENTS).filter(pl.col("security_id").is_in(chosen)))


def test_a_market_without_bars_or_descriptions_has_no_rows() -> None:
    assert run([], TOLD).equals(SCREENER.empty())
    assert run(ROWS, []).equals(SCREENER.empty())


def test_what_is_stale_is_out_of_the_universe_until_it_trades() -> None:
    bars = [bar("b", day) for day in DAYS]
    frozen = {"open": 9.0, "high": 9.0, "low": 9.0, "close": 9.0, "volume": 0.0}
    bars += [bar("a", day) | (frozen if 20 <= n < 26 else {}) for n, day in enumerate(DAYS)]
    made = run(bars, [description("a", DAYS[0]), description("b", DAYS[0])])
    # The fifth session without a trade or a move is the first that is too many.
    assert [day for day in DAYS if day not in sessions_of(made, "a")] == DAYS[24:26]
    assert sessions_of(made, "b") == list(DAYS)
