"""Fire rates: counted by hand, the same for any range; a warning where a gate tells nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.cross_section import CROSS_SECTION
from quant_platform.lakehouse.contracts.daily import DAILY
from quant_platform.lakehouse.contracts.gates import GATES
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.lakehouse.contracts.universe import UNIVERSE
from quant_platform.lakehouse.rules import judge, row_count
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.reports.board import Board
from quant_platform.reports.fire_rates import ENOUGH, LONG, check_rates, fire_rates
from quant_platform.reports.gates import GatesScope, gate_counts, gates_windows
from quant_platform.reports.rates import rate_tables, warning_table
from quant_platform.scanners.cross_section import FLOORS, RANK, cross_section_gates
from quant_platform.scanners.engine import duty_of
from quant_platform.settings.cross_section import CrossSectionSettings
from quant_platform_tests.execution.world import NYSE, random_world, run
from quant_platform_tests.execution.world import SESSIONS as EVENINGS
from quant_platform_tests.execution.world import settings as account
from quant_platform_tests.lakehouse.small_lake import span as ranked_span
from quant_platform_tests.scanners.chain import CALENDARS, HISTORY, market, scanned
from quant_platform_tests.scanners.test_cross_section import DAYS as RANKED_DAYS
from quant_platform_tests.scanners.test_cross_section import ranked
from quant_platform_tests.scanners.test_cross_section import row as security

YEAR = 252
DAYS = NYSE.between(date(2022, 1, 3), date(2023, 9, 1))
LAST = DAYS[-1]
RATES = ["session", "item", "figure", "value", "note"]


def span(days: Sequence[date]) -> SessionRange:
    return SessionRange(NYSE, tuple(days), DAYS[0])


def counts(rows: Sequence[tuple[date, str, str, int, int]]) -> pl.DataFrame:
    """Make counts of (session, gate, duty, asked, fired)."""
    return GATES.validate(
        "reports/gates",
        pl.DataFrame(
            [(day, "x/scan_y", *rest) for day, *rest in rows],
            schema=GATES.empty().schema,
            orient="row",
        ),
    )


def rates(counted: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Section of the report, from frames that are bounded to its window."""
    wanted = span(days)
    loaded = wanted.loaded(Window("reports/gates", YEAR - 1))
    made = fire_rates({"gates": counted.filter(pl.col("session").is_in(loaded)).lazy()}, wanted)
    return DAILY.validate("reports/daily", made).sort(DAILY.key)


def steady(duty: str, asked: int, fired: int, days: Sequence[date] = DAYS) -> pl.DataFrame:
    return counts([(day, "gate", duty, asked, fired) for day in days])


def drawn(seed: int = 1) -> pl.DataFrame:
    """Four gates, of which one is asked every twentieth session and one of late only."""
    random, rows = np.random.default_rng(seed), []
    for gate, step, begin in (("a", 1, 0), ("b", 20, 7), ("c", 1, 390), ("d", 3, 0)):
        for day in DAYS[begin::step]:
            asked = int(random.integers(1, 30))
            fired = int(random.integers(0, asked + 1)) if gate != "d" else 0
            rows.append((day, gate, "choice" if gate == "d" else "guard", asked, fired))
    return counts(rows)


DRAWN = drawn()
WHOLE = rates(DRAWN, DAYS)


@pytest.mark.parametrize("at", [0, 6, 7, 100, 250, 251, 252, 300, 391, len(DAYS) - 1])
def test_a_rate_is_that_of_the_cases_of_a_year(at: int) -> None:
    year = DAYS[max(at - YEAR + 1, 0) : at + 1]
    told = {
        item: (value, note)
        for _, item, _, value, note in WHOLE.filter(session=DAYS[at], figure="rate")
        .select(RATES)
        .iter_rows()
    }
    expected = {}
    for gate in "abcd":
        own = [r for r in DRAWN.iter_rows(named=True) if r["gate"] == gate and r["session"] in year]
        if own:
            asked, fired = (sum(row[name] for row in own) for name in ("asked", "fired"))
            since = min(row["session"] for row in own)
            expected[f"x/scan_y: {gate}"] = fired / asked, f"{fired} of {asked} cases since {since}"
    assert told == expected


@settings(max_examples=25)
@given(st.integers(0, len(DAYS) - 1), st.integers(1, 300))
def test_a_range_has_the_bytes_of_its_days(start: int, length: int) -> None:
    days = DAYS[start : start + length]
    inside = WHOLE.filter(pl.col("session").is_between(days[0], days[-1]))
    assert rates(DRAWN, days).equals(inside)


def test_single_days_have_the_bytes_of_a_range() -> None:
    for at in (0, 130, 251, 252, 395, len(DAYS) - 1):
        assert rates(DRAWN, [DAYS[at]]).equals(WHOLE.filter(session=DAYS[at]))


@pytest.mark.parametrize(
    ("duty", "fired", "warning"),
    [
        ("choice", 0, "fired in none of 1260 cases"),
        ("choice", 5, "fired in each of 1260 cases"),
        ("choice", 1, None),
        ("guard", 0, None),
        ("guard", 5, "fired in each of 1260 cases"),
    ],
)
def test_what_tells_nothing_apart_is_warned_of(duty: str, fired: int, warning: str | None) -> None:
    made = rates(steady(duty, 5, fired), [LAST]).filter(figure="warned")
    told = made["note"].to_list()
    assert told == ([] if warning is None else [f"{warning} since {DAYS[-YEAR]}"])
    table = warning_table(Board.of(rates(steady(duty, 5, fired), [LAST]), LAST))
    assert [row[0] for row in table.rows] == ["x/scan_y: gate"] * len(told)


def test_a_gate_is_not_warned_of_before_it_was_asked_for_long() -> None:
    since = DAYS[100:]
    made = rates(steady("choice", 1, 0, since), DAYS).filter(figure="warned")
    assert made["session"].min() == since[max(LONG, ENOUGH) - 1]
    rarely = rates(steady("choice", 7, 0, DAYS[::20]), DAYS).filter(figure="warned")
    # Thirteen decisions a year with seven candidates each are too few cases.
    assert rarely.is_empty()
    assert rates(steady("choice", 9, 0, DAYS[::20]), [LAST]).filter(figure="warned").height == 1


def test_an_evening_without_gates_says_so() -> None:
    made = rates(GATES.empty(), DAYS[:3])
    assert made["session"].to_list() == DAYS[:3]
    assert made["note"].unique().to_list() == ["no gate was asked in the last 252 sessions"]
    (gates,) = rate_tables(Board.of(made, DAYS[0]))
    assert not gates.rows


def test_the_rules_of_the_tables_are_counted_from_their_outcomes() -> None:
    rows = pl.DataFrame({"session": [day for n, day in enumerate(DAYS) for _ in range(1 + n % 2)]})
    told = judge([row_count()], rows, DAYS, partition="session", thresholds={"row_count": 0.7})
    silent = told.with_columns(value=pl.lit(None, pl.Float64))
    always = told.with_columns(passed=pl.lit(False))
    outcomes = {"x/bars": told, "y/bars": always, "z/bars": silent}
    made = check_rates(outcomes, span([LAST]))
    failed = told.filter(pl.col("session") >= DAYS[-YEAR])["passed"].not_().sum()
    assert 0 < failed < YEAR
    assert made.select("table", "gate", "asked", "fired", "warned").rows() == [
        ("x/bars", "row_count", YEAR, failed, False),
        ("y/bars", "row_count", YEAR, YEAR, True),
    ]
    board = Board.of(rates(steady("guard", 1, 0), [LAST]), LAST)
    assert [row[0] for row in warning_table(board, made).rows] == ["y/bars: row_count"]
    assert len(rate_tables(board, made)[1].rows) == 2
    assert check_rates({}, span([LAST])).is_empty()


# -- the counts ------------------------------------------------------------------------------------


def test_what_a_scanner_asked_is_counted_on_the_session_after_the_weekend() -> None:
    """Saturday's and Sunday's coins belong to Monday; a rule is asked of all, the limit of some."""
    wanted = SessionRange(NYSE, tuple(NYSE.between(date(2023, 3, 1), date(2023, 3, 31))), HISTORY)
    scope = GatesScope(sleeves={"crypto": ("binance_spot_trend",)}, elsewhere=("crypto",))
    assert gates_windows(scope)["crypto_selection"].lookback == 1
    tables = market("crypto")
    days = tables["screener"]["session"].unique().sort()
    own = [day for day in days if date(2023, 2, 28) <= day <= wanted.last]

    made = scanned(
        tables, SessionRange(CALENDARS["crypto"], tuple(own), HISTORY), ["binance_spot_trend"]
    )["scan_binance_spot_trend"]
    frames = {
        "crypto_scan_binance_spot_trend": made.lazy(),
        "crypto_universe": UNIVERSE.empty().lazy(),
        "crypto_cross_section": CROSS_SECTION.empty().lazy(),
        "crypto_selection": SELECTION.empty().lazy(),
    }
    counted = GATES.validate("reports/gates", gate_counts(frames, scope, wanted))
    monday = date(2023, 3, 13)
    weekend = made.filter(pl.col("session").is_between(date(2023, 3, 11), monday))
    entries = [entry for passes in weekend["passes"] for entry in passes]
    told = counted.filter(session=monday)
    for row in told.iter_rows(named=True):
        asked = [entry for entry in entries if entry["rule"] == row["gate"]]
        assert (row["asked"], row["fired"]) == (len(asked), sum(not e["passed"] for e in asked))
        assert row["duty"] == duty_of(row["gate"])
    assert set(told["gate"]) == {entry["rule"] for entry in entries}
    one = gate_counts(frames, scope, SessionRange(NYSE, (monday,), HISTORY))
    assert one.equals(told)
    assert counted["asked"].sum() == sum(
        len(passes) for passes in made.filter(pl.col("session") > date(2023, 2, 28))["passes"]
    )


def test_floors_and_ranks_are_counted() -> None:
    """A floor is asked of everybody, the rank of those that have one; here one has no distance."""
    rows = [
        security("a", 9.0),
        security("b", 8.0),
        security("c", 7.0, distance=None),
        security("d", 4.0),
        security("e", 9.0, volume=1.0),
        security("f", 6.0),
    ]
    made = ranked(rows, CrossSectionSettings(selected_share=0.5), RANKED_DAYS[:1])
    scope = GatesScope(sleeves={"etfs": ()})
    frames = {
        "etfs_universe": UNIVERSE.empty().lazy(),
        "etfs_cross_section": made.lazy(),
        "etfs_selection": SELECTION.empty().lazy(),
    }
    wanted = ranked_span(RANKED_DAYS[0], RANKED_DAYS[0])
    counted = GATES.validate("reports/gates", gate_counts(frames, scope, wanted))
    assert counted["table"].unique().to_list() == ["etfs/cross_section"]
    assert counted["duty"].unique().to_list() == ["choice"]
    assert counted.select("gate", "asked", "fired").rows() == [
        ("adv_shares_20", 6, 1),
        ("composite_rank", 5, 3),
        ("dist_pct", 6, 1),
        ("trend_score", 6, 1),
    ]
    asked = cross_section_gates(CrossSectionSettings(min_adv_money=1.0))
    assert [gate.name for gate in asked] == [*(floor.name for floor in FLOORS), RANK.name]


def test_blocks_and_evenings_are_counted() -> None:
    tables = run(random_world(2), account(risk={"name_cap": 0.2}, gates={"max_order": 0.1}))
    frames = {
        f"execution_{name}": tables[name].lazy() for name in ("risk_controls", "execution_ready")
    }
    scope = GatesScope(sleeves={}, account=True)
    wanted = SessionRange(NYSE, tuple(EVENINGS), EVENINGS[0])
    made = GATES.validate("reports/gates", gate_counts(frames, scope, wanted))
    controls, ready = tables["risk_controls"], tables["execution_ready"]
    capped = made.filter(gate="NAME_CAP")
    assert capped["asked"].sum() == controls.height
    assert capped["fired"].sum() == controls.filter(blocked="NAME_CAP").height > 0
    assert capped["duty"].unique().to_list() == ["choice"]
    large = made.filter(gate="MAX_ORDER")
    assert large["asked"].to_list() == [1] * ready.height
    closed = ready.filter(pl.col("reasons").list.contains("MAX_ORDER"))["session"].to_list()
    assert large.filter(fired=1)["session"].to_list() == closed
    assert closed
    days = [gate_counts(frames, scope, SessionRange(NYSE, (day,), EVENINGS[0])) for day in EVENINGS]
    assert pl.concat(days).equals(made)
