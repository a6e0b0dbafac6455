"""The three layers, the audit, ties and nulls; ranges against single days."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.scanners.engine import EXCLUDED, LIMIT, scan, scan_windows
from quant_platform.settings.scanner import ScannerSettings
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span
from quant_platform_tests.scanners.manifests import DAY, manifest, row, screener

DAYS = SESSIONS[:4]
SCANNER = manifest(
    """\
sort_by: Value.Traded
prefilter_limit: 4
filters:
  - {left: RSI, operation: greater, right: 50}
final_sort_by: change
limit: 2
""",
    name="tried",
)


def run(
    rows: Sequence[Mapping[str, Any]] | pl.DataFrame,
    scanner: ScannerSettings = SCANNER,
    first: date = DAY,
    last: date | None = None,
) -> pl.DataFrame:
    frame = rows if isinstance(rows, pl.DataFrame) else screener(rows)
    wanted = span(first, last or first)
    window = scan_windows(scanner)["screener"]
    handed = frame.filter(pl.col("session").is_in(wanted.loaded(window))).lazy()
    return SCAN.validate("x/scan_tried", scan({"screener": handed}, scanner, wanted))


def liquid(security: str, value: float | None, session: date = DAY, **more: Any) -> dict[str, Any]:
    return row(security, session, **{"Value.Traded": value, "RSI": 60.0, "change": 0.1} | more)


def verdicts(made: pl.DataFrame) -> dict[str, str | None]:
    """Reason of each security that reached the filters."""
    return dict(made.select("security_id", "reason").iter_rows())


def test_the_first_cut_comes_before_the_filters_and_leaves_no_trace_of_what_it_cut() -> None:
    made = run([liquid(name, 100.0 - i, RSI=10.0 + 20 * i) for i, name in enumerate("abcdef")])
    assert verdicts(made) == {"a": "RSI greater", "b": "RSI greater", "c": "RSI greater", "d": None}


def test_a_security_without_the_sort_value_comes_last_in_the_first_cut() -> None:
    rows = [liquid("a", None), liquid("b", math.nan), *(liquid(name, 1.0) for name in "cde")]
    assert set(verdicts(run(rows))) == {"c", "d", "e", "a"}
    ascending = SCANNER.model_copy(update={"sort_order": "asc"})
    assert set(verdicts(run(rows, ascending))) == {"c", "d", "e", "a"}


def test_what_passes_is_ranked_and_cut_and_what_is_cut_says_so() -> None:
    rows = [
        liquid("a", 9.0, change=0.1),
        liquid("b", 8.0, change=0.3),
        liquid("c", 7.0, change=0.2),
        liquid("d", 6.0, change=0.9, RSI=10.0),
    ]
    made = run(rows)
    assert verdicts(made) == {"a": "limit", "b": None, "c": None, "d": "RSI greater"}
    assert made["rank"].to_list() == [3, 1, 2, None]
    assert [audit.to_list()[-1] for audit in made["passes"]] == [
        {"rule": LIMIT, "passed": False, "value": 3.0, "threshold": 2.0},
        {"rule": LIMIT, "passed": True, "value": 1.0, "threshold": 2.0},
        {"rule": LIMIT, "passed": True, "value": 2.0, "threshold": 2.0},
        {"rule": "RSI greater", "passed": False, "value": 10.0, "threshold": 50.0},
    ]
    assert made["passed"].to_list() == [False, True, True, False]
    assert made["sort_value"].to_list() == [0.1, 0.3, 0.2, 0.9]
    ascending = SCANNER.model_copy(update={"final_sort_order": "asc"})
    assert run(rows, ascending)["rank"].to_list() == [1, 3, 2, None]


def test_ties_go_by_security() -> None:
    rows = [liquid(name, 5.0) for name in "feacbd"]
    made = run(rows)
    assert made["security_id"].to_list() == list("abcd")
    assert made["rank"].to_list() == [1, 2, 3, 4]
    assert made["passed"].to_list() == [True, True, False, False]


def test_what_has_no_final_value_is_ranked_last() -> None:
    rows = [liquid("a", 5.0, change=None), liquid("b", 5.0, change=-0.5)]
    for order in ("asc", "desc"):
        made = run(rows, SCANNER.model_copy(update={"final_sort_order": order}))
        assert made["rank"].to_list() == [2, 1]


@pytest.mark.parametrize("value", [None, math.nan])
@pytest.mark.parametrize("operation", ["greater", "egreater", "less", "eless", "equal"])
def test_no_value_passes_nothing(operation: str, value: float | None) -> None:
    scanner = manifest(
        f"filters: [{{left: RSI, operation: {operation}, right: 50}}]\n"
        "final_sort_by: RSI\nlimit: 5\n"
    )
    made = run([liquid("a", 5.0, RSI=value)], scanner)
    assert made["passes"].item().to_list() == [
        {"rule": f"RSI {operation}", "passed": False, "value": None, "threshold": 50.0}
    ]
    assert made["rank"].to_list() == [None]


@pytest.mark.parametrize(
    ("operation", "passing"),
    [
        ("greater", [51.0]),
        ("egreater", [50.0, 51.0]),
        ("less", [49.0]),
        ("eless", [49.0, 50.0]),
        ("equal", [50.0]),
    ],
)
def test_each_operation_is_what_it_is_called(operation: str, passing: list[float]) -> None:
    scanner = manifest(
        f"filters: [{{left: RSI, operation: {operation}, right: 50}}]\n"
        "final_sort_by: RSI\nlimit: 5\n"
    )
    made = run([liquid(str(value), 5.0, RSI=value) for value in (49.0, 50.0, 51.0)], scanner)
    assert made.filter("passed")["sort_value"].to_list() == passing


def test_the_reason_is_the_first_rule_that_failed_and_every_rule_is_asked() -> None:
    scanner = manifest(
        "filters:\n"
        "  - {left: close, operation: in_range, right: [5, 20]}\n"
        "  - {left: RSI, operation: less, right: 50}\n"
        "  - {left: change, operation: less, right: 0}\n"
        "final_sort_by: RSI\nlimit: 5\n"
    )
    made = run([liquid("a", 5.0)], scanner)
    assert [rule["passed"] for rule in made["passes"].item()] == [True, True, False, False]
    assert made["reason"].to_list() == ["RSI less"]


def test_only_the_scanners_asset_class_is_looked_at() -> None:
    made = run([liquid("a", 5.0), liquid("b", 9.0, asset_class="etf")])
    assert verdicts(made) == {"a": None}


def test_an_excluded_symbol_is_kept_as_a_reject() -> None:
    scanner = SCANNER.model_copy(update={"exclude_symbols": ("NYSE:A",)})
    made = run([liquid("a", 5.0), liquid("b", 5.0)], scanner)
    assert verdicts(made) == {"a": EXCLUDED, "b": None}
    assert [audit[0]["value"] for audit in made["passes"]] == [1.0, 0.0]
    assert made["passes"][0].to_list()[0] == {
        "rule": EXCLUDED,
        "passed": False,
        "value": 1.0,
        "threshold": 0.0,
    }


def test_a_session_without_rows_has_none() -> None:
    made = run([liquid("a", 5.0, DAYS[0]), liquid("a", 5.0, DAYS[2])], last=DAYS[2])
    assert made["session"].to_list() == [DAYS[0], DAYS[2]]
    assert run([]).equals(SCAN.empty())


cells = st.sampled_from([None, -1.0, 0.0, -0.0, 0.1, 49.0, 50.0, 51.0])


@st.composite
def markets(draw: st.DrawFn) -> pl.DataFrame:
    """Draw few values, so that ties are many."""
    return screener(
        row(name, day, **{"Value.Traded": draw(cells), "RSI": draw(cells), "change": draw(cells)})
        for day in DAYS
        for name in draw(st.lists(st.sampled_from("abcdefg"), unique=True))
    )


@settings(deadline=None, max_examples=25)
@given(markets(), st.randoms(use_true_random=False))
def test_a_range_is_its_days_whatever_the_order_of_rows(frame: pl.DataFrame, random: Any) -> None:
    loose = screener([*frame.to_dicts()])  # the contract's bounds do not matter to the engine
    whole = run(loose, last=DAYS[-1])
    assert pl.concat([run(loose, first=day) for day in DAYS]).equals(whole)
    shuffled = loose.to_dicts()
    random.shuffle(shuffled)
    assert run(shuffled, last=DAYS[-1]).equals(whole)


@settings(deadline=None, max_examples=25)
@given(markets(), st.integers(0, 3))
def test_other_sessions_change_nothing(frame: pl.DataFrame, position: int) -> None:
    today = pl.col("session") == DAYS[position]
    spoilt = frame.with_columns(pl.when(today).then("RSI").otherwise(99.0).alias("RSI"))
    expected = run(frame, first=DAYS[position])
    assert run(spoilt, last=DAYS[-1]).filter(today).equals(expected)


@settings(deadline=None, max_examples=25)
@given(markets())
def test_the_audit_agrees_with_the_verdict(frame: pl.DataFrame) -> None:
    made = run(frame, last=DAYS[-1])
    for one in made.to_dicts():
        failed = [rule["rule"] for rule in one["passes"] if not rule["passed"]]
        assert one["passed"] == (not failed)
        assert one["reason"] == (failed[0] if failed else None)
        ranked = set(failed) <= {LIMIT}
        assert (one["rank"] is not None) == ranked == (one["passes"][-1]["rule"] == LIMIT)
        assert not ranked or one["passed"] == (one["rank"] <= SCANNER.limit)
    for (_,), rows in made.filter(pl.col("rank").is_not_null()).group_by("session"):
        assert sorted(rows["rank"]) == list(range(1, rows.height + 1))
