"""Rules of a session: each one's value, its limit, what no evidence means, ranges against days."""

from __future__ import annotations

from datetime import date
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.rules import (
    NO_EVIDENCE,
    OUTCOME_SCHEMA,
    TRAILING_SESSIONS,
    Rule,
    filled_share,
    judge,
    late_share,
    none_lost,
    rejected_share,
    row_count,
    share_true,
    sums_at_most_one,
)
from quant_platform_tests.lakehouse.small_lake import SESSIONS

DAYS = SESSIONS[:5]
EXTERNAL = {"knowledge_session": pl.Date, "session": pl.Date}


def rows_of(counts: dict[date, int], partition: str = "session") -> pl.DataFrame:
    """Make as many rows per session as asked for."""
    days = [day for day, count in counts.items() for _ in range(count)]
    return pl.DataFrame({partition: days}, schema={partition: pl.Date})


def value_of(rule: Rule, frame: pl.DataFrame, **known: Any) -> tuple[Any, bool]:
    """Value and verdict of one rule on the first day."""
    options = {"partition": "session"} | known
    (row,) = judge([rule], frame, DAYS[:1], **options).to_dicts()
    assert row["rule"] == rule.name
    return row["value"], row["passed"]


# -- each rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "earlier", "expected"),
    [
        (5, [10, 10, 10], (0.5, True)),
        (4, [10, 10, 10], (0.4, False)),
        (0, [10], (0.0, False)),
        (9, [2, 100, 4], (2.25, True)),
        (0, [0, 0], (None, True)),
        (7, [], (None, True)),
        (7, [None, 10, None], (0.7, True)),
    ],
)
def test_row_count_compares_with_the_trailing_median(
    rows: int, earlier: list[int | None], expected: tuple[Any, bool]
) -> None:
    frame = rows_of({DAYS[0]: rows})
    assert value_of(row_count(), frame, earlier_rows=earlier) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kept", "rejected", "expected"),
    [
        (3, 1, (0.25, True)),
        (2, 1, (1 / 3, False)),
        (0, 4, (1.0, False)),
        (5, 0, (0.0, True)),
        (0, 0, (0.0, True)),
    ],
)
def test_rejected_share_blocks_a_garbled_delivery(
    kept: int, rejected: int, expected: tuple[float, bool]
) -> None:
    found = value_of(
        rejected_share(),
        rows_of({DAYS[0]: kept}, "knowledge_session"),
        partition="knowledge_session",
        rejected=rows_of({DAYS[0]: rejected}, "knowledge_session"),
    )
    assert found == pytest.approx(expected)
    assert rejected_share().severity == "blocking"


@pytest.mark.parametrize(
    ("late", "on_time", "expected"),
    [(1, 4, (0.2, True)), (1, 1, (0.5, False)), (0, 3, (0.0, True)), (0, 0, (None, True))],
)
def test_late_share_counts_rows_about_earlier_sessions(
    late: int, on_time: int, expected: tuple[Any, bool]
) -> None:
    about = [date(2023, 12, 29)] * late + [DAYS[0]] * on_time
    frame = pl.DataFrame(
        {"knowledge_session": [DAYS[0]] * len(about), "session": about}, schema=EXTERNAL
    )
    assert value_of(late_share(), frame, partition="knowledge_session") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("bars", "values", "expected"),
    [
        ([20] * 10, [1.0] * 9 + [None], (0.9, True)),
        ([20] * 10, [1.0] * 8 + [None] * 2, (0.8, False)),
        ([19, 19, 20], [None, None, 1.0], (1.0, True)),
        ([19], [None], (None, True)),
        ([], [], (None, True)),
    ],
)
def test_filled_share_looks_past_the_warm_up(
    bars: list[int], values: list[float | None], expected: tuple[Any, bool]
) -> None:
    frame = pl.DataFrame(
        {"session": [DAYS[0]] * len(bars), "bars": bars, "x": values},
        schema={"session": pl.Date, "bars": pl.UInt16, "x": pl.Float32},
    )
    assert value_of(filled_share("x", "bars", 20), frame) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "before", "expected"),
    [
        (5, [9, 10], (0.5, True)),
        (4, [4, 10], (0.4, False)),
        (0, [10], (0.0, False)),
        (3, [], (1.0, True)),
        (0, [0], (1.0, True)),
        (3, [10, None], (1.0, True)),
    ],
    ids=["half", "less than half", "all lost", "the first", "nothing to lose", "a gap before"],
)
def test_none_lost_compares_with_the_session_before(
    rows: int, before: list[int | None], expected: tuple[float, bool]
) -> None:
    frame = rows_of({DAYS[0]: rows})
    assert value_of(none_lost(), frame, earlier_rows=before) == pytest.approx(expected)
    assert none_lost().severity == "blocking"


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([("a", 0.6), ("a", 0.4), ("b", 0.3)], (1.0, True)),
        ([("a", 0.6), ("b", 0.6)], (0.6, True)),
        ([("a", 0.2), ("b", 0.7), ("a", 0.1), ("b", 0.4)], (1.1, False)),
        ([("a", 1.0), ("a", 1e-8)], (1.0, False)),
        ([("a", 0.1)] * 10, (1.0, True)),
        ([], (0.0, True)),
    ],
    ids=["full", "two groups", "one group too much", "a hair too much", "rounding", "none"],
)
def test_weights_of_a_group_never_borrow(
    weights: list[tuple[str, float]], expected: tuple[float, bool]
) -> None:
    frame = pl.DataFrame(
        [(DAYS[0], *row) for row in weights],
        schema={"session": pl.Date, "profile": pl.String, "weight": pl.Float64},
        orient="row",
    )
    assert value_of(sums_at_most_one("weight", "profile"), frame) == pytest.approx(expected)
    assert sums_at_most_one("weight", "profile").severity == "blocking"


def test_weights_are_summed_within_their_session() -> None:
    """The same group on another session is another sum."""
    frame = pl.DataFrame(
        {"session": DAYS[:3], "profile": ["a"] * 3, "weight": [0.9, 0.8, 1.2]},
    )
    outcome = judge([sums_at_most_one("weight", "profile")], frame, DAYS, partition="session")
    assert outcome["value"].to_list() == [0.9, 0.8, 1.2, 0.0, 0.0]
    assert outcome["passed"].to_list() == [True, True, False, True, True]


def test_a_weight_that_is_no_number_is_not_a_sum_below_one() -> None:
    frame = pl.DataFrame(
        {"session": [DAYS[0]] * 2, "profile": ["a", "a"], "weight": [0.5, float("nan")]}
    )
    assert value_of(sums_at_most_one("weight", "profile"), frame)[1] is False


@pytest.mark.parametrize("severity", ["warning", "blocking"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, True], (1.0, True)),
        ([True, True, True, False], (0.75, False)),
        ([True, None], (0.5, False)),
        ([False], (0.0, False)),
    ],
)
def test_share_true_asks_for_all_rows_by_default(
    severity: Any, values: list[bool | None], expected: tuple[float, bool]
) -> None:
    frame = pl.DataFrame(
        {"session": [DAYS[0]] * len(values), "matched": values},
        schema={"session": pl.Date, "matched": pl.Boolean},
    )
    rule = share_true("matched", severity)
    assert value_of(rule, frame) == expected
    assert rule.severity == severity
    (lenient,) = judge(
        [rule], frame, DAYS[:1], partition="session", thresholds={"matched_share": 0.75}
    ).to_dicts()
    assert lenient["passed"] == (expected[0] >= 0.75)


def test_a_share_of_no_rows_is_no_evidence() -> None:
    frame = pl.DataFrame(schema={"session": pl.Date, "matched": pl.Boolean})
    rules = [share_true("matched", "blocking"), share_true("matched", "warning")]
    closed, reported = judge(rules, frame, DAYS[:1], partition="session").to_dicts()
    assert (closed["value"], closed["passed"], closed["cause"]) == (None, False, NO_EVIDENCE)
    assert (reported["value"], reported["passed"], reported["cause"]) == (None, True, None)


# -- thresholds and evidence -----------------------------------------------------------------------


def test_settings_replace_thresholds_by_the_rules_name() -> None:
    frame, earlier = rows_of({DAYS[0]: 5}), [10]
    for limit, passed in ((0.4, True), (0.6, False)):
        outcome = judge(
            [row_count(), none_lost()],
            frame,
            DAYS[:1],
            partition="session",
            earlier_rows=earlier,
            thresholds={"row_count": limit, "late_share": 0.0},
        )
        assert outcome["threshold"].to_list() == [limit, 0.5]
        assert outcome["passed"].to_list() == [passed, True]


@pytest.mark.parametrize(("severity", "passed"), [("warning", True), ("blocking", False)])
def test_no_evidence_passes_a_warning_and_closes_a_gate(severity: Any, passed: bool) -> None:
    rule = Rule("mute", severity, pl.lit(None, pl.Float64), 0.5, "at_least")
    assert value_of(rule, rows_of({DAYS[0]: 1})) == (None, passed)


@pytest.mark.parametrize(
    ("sense", "verdicts"),
    [("at_least", [False, True, True]), ("at_most", [True, True, False])],
)
def test_a_threshold_is_inside_what_passes(sense: Any, verdicts: list[bool]) -> None:
    for value, passed in zip((0.49, 0.5, 0.51), verdicts, strict=True):
        rule = Rule("r", "blocking", pl.lit(value), 0.5, sense)
        assert value_of(rule, rows_of({DAYS[0]: 1})) == (value, passed)


def test_no_rules_give_no_outcomes() -> None:
    outcomes = judge([], rows_of({DAYS[0]: 1}), DAYS, partition="session")
    assert outcomes.schema == OUTCOME_SCHEMA
    assert outcomes.height == 0


def test_every_asked_session_is_judged_by_every_rule_in_order() -> None:
    rules = [row_count(), none_lost()]
    outcomes = judge(rules, rows_of({DAYS[1]: 2, DAYS[4]: 1}), DAYS, partition="session")
    assert outcomes.schema == OUTCOME_SCHEMA
    assert outcomes.select("session", "rule").rows() == [
        (day, rule.name) for day in DAYS for rule in rules
    ]


# -- ranges against single days --------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=1, max_size=50),
    st.integers(0, 49),
)
def test_a_range_is_judged_like_its_single_days(counts: list[int | None], split: int) -> None:
    """A session that is None will not be stored; ``split`` of the sessions were stored before."""
    start = min(split, len(counts) - 1)
    days = SESSIONS[: len(counts)]
    rules = [row_count(), none_lost()]
    frame = rows_of({day: count or 0 for day, count in zip(days, counts, strict=True)})
    earlier = counts[:start]
    missing = [day for day, count in zip(days, counts, strict=True) if count is None]
    ranged = judge(
        rules,
        frame.filter(pl.col("session").is_in(days[start:])),
        days[start:],
        partition="session",
        earlier_rows=earlier,
        missing=missing,
    )
    for position in range(start, len(counts)):
        if counts[position] is None:
            continue
        alone = judge(
            rules,
            frame.filter(pl.col("session") == days[position]),
            [days[position]],
            partition="session",
            earlier_rows=counts[:position],
        )
        assert ranged.filter(pl.col("session") == days[position]).equals(alone)
        seen = [n for n in counts[max(position - TRAILING_SESSIONS, 0) : position] if n is not None]
        own = float(counts[position] or 0)
        expected = own / median(seen) if seen and median(seen) else None
        assert alone["value"][0] == (pytest.approx(expected) if expected is not None else None)
