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
from quant_platform.scanners.engine import scan, scan_all, scan_windows
from quant_platform.scanners.judgement import EXCLUDED, LIMIT
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


@settings(max_examples=25)
@given(markets(), st.randoms(use_true_random=False))
def test_a_range_is_its_days_whatever_the_order_of_rows(frame: pl.DataFrame, random: Any) -> None:
    loose = screener([*frame.to_dicts()])  # the contract's bounds do not matter to the engine
    whole = run(loose, last=DAYS[-1])
    assert pl.concat([run(loose, first=day) for day in DAYS]).equals(whole)
    shuffled = loose.to_dicts()
    random.shuffle(shuffled)
    assert run(shuffled, last=DAYS[-1]).equals(whole)


@settings(max_examples=25)
@given(markets(), st.integers(0, 3))
def test_other_sessions_change_nothing(frame: pl.DataFrame, position: int) -> None:
    today = pl.col("session") == DAYS[position]
    spoilt = frame.with_columns(pl.when(today).then("RSI").otherwise(99.0).alias("RSI"))
    expected = run(frame, first=DAYS[position])
    assert run(spoilt, last=DAYS[-1]).filter(today).equals(expected)


@settings(max_examples=25)
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


# -- layers beyond filters -------------------------------------------------------------------------

HEAD = "final_sort_by: change\nlimit: 3\n"


def coin(base: str, value: float, *, tail: str = "USDT", **more: Any) -> dict[str, Any]:
    """Lay out a pair of a coin."""
    ticker = f"{base}{tail}"
    return liquid(
        ticker.lower(),
        value,
        symbol=f"BINANCE:{ticker}",
        exchange="BINANCE",
        asset_class="crypto",
        type="swap" if tail.endswith(".P") else "spot",
        base_currency=base,
        currency=tail.removesuffix(".P"),
        **more,
    )


def crypto(text: str) -> ScannerSettings:
    return manifest(text + HEAD, asset_class="crypto")


def test_names_say_who_is_looked_at_before_anything_is_cut() -> None:
    scanner = manifest(
        "filters:\n"
        "  - {left: sector, operation: in, right: [Energy]}\n"
        "  - {left: category, operation: not_in, right: ['27']}\n"
        "  - {left: RSI, operation: greater, right: 50}\n"
        "prefilter_limit: 3\n" + HEAD
    )
    rows = [
        liquid("a", 9.0, sector="Utilities"),
        liquid("b", 8.0, sector="Energy", category="27"),
        liquid("c", 7.0, sector="Energy", category="26"),
        liquid("d", 6.0, sector=None, category="26"),
        liquid("e", 5.0, sector="Energy", category="26"),
    ]
    assert verdicts(run(rows, scanner)) == {"c": None, "e": None}


def test_a_column_may_be_the_threshold() -> None:
    scanner = manifest("filters: [{left: close, operation: greater, right: SMA50}]\n" + HEAD)
    rows = [liquid("a", 5.0, SMA50=9.0), liquid("b", 5.0, SMA50=10.0), liquid("c", 5.0)]
    made = run(rows, scanner)
    rule = "close greater SMA50"
    assert verdicts(made) == {"a": None, "b": rule, "c": rule}
    assert [audit.to_list()[0] for audit in made["passes"]] == [
        {"rule": rule, "passed": True, "value": 10.0, "threshold": 9.0},
        {"rule": rule, "passed": False, "value": 10.0, "threshold": 10.0},
        {"rule": rule, "passed": False, "value": 10.0, "threshold": None},
    ]


def test_an_exchange_may_have_a_floor_of_its_own() -> None:
    scanner = manifest("volume: {value_traded_min: 5, per_exchange: {NASDAQ: 8}}\n" + HEAD)
    rows = [liquid("a", 6.0), liquid("b", 6.0, exchange="NASDAQ"), liquid("c", 4.0)]
    made = run(rows, scanner)
    floor = "Value.Traded egreater"
    assert verdicts(made) == {"a": None, "b": floor, "c": floor}
    assert [audit[0]["threshold"] for audit in made["passes"]] == [5.0, 8.0, 5.0]


TREND = """\
trend:
  logic: {logic}
  direction: {direction}
  adx: {{min: 20}}
  recommendation: {{min: 0.25}}
  momentum: {{horizons: {{Perf.W: 0.0}}}}
"""


@pytest.mark.parametrize(("logic", "found"), [("AND", {"a"}), ("OR", {"a", "b"})])
def test_checks_of_a_trend_must_all_pass_or_one(logic: str, found: set[str]) -> None:
    scanner = manifest(TREND.format(logic=logic, direction="long") + HEAD)
    made = run(
        [
            liquid("a", 5.0, **{"ADX": 30.0, "Recommend.All": 0.5, "Perf.W": 0.5}),
            liquid("b", 5.0, **{"ADX": 30.0, "Recommend.All": 0.0, "Perf.W": None}),
            liquid("c", 5.0, **{"ADX": 10.0, "Recommend.All": 0.0, "Perf.W": -0.5}),
        ],
        scanner,
    )
    assert set(made.filter("passed")["security_id"]) == found
    checks = ["trend_recommendation", "trend_adx", "trend_momentum Perf.W"]
    asked = [rule["rule"] for rule in made["passes"][2].to_list()]
    assert asked == [*checks, *["trend_any"] * (logic == "OR")]
    assert made["reason"][2] == ("trend_any" if logic == "OR" else "trend_recommendation")


def test_a_short_trend_is_a_long_one_turned_round() -> None:
    values = {"ADX": 30.0, "Recommend.All": 0.5, "Perf.W": 0.5}
    turned = {"ADX": 30.0, "Recommend.All": -0.5, "Perf.W": -0.5}
    rows = [liquid("up", 5.0, **values), liquid("down", 5.0, **turned)]
    for direction, expected in (("long", ["up"]), ("short", ["down"])):
        scanner = manifest(TREND.format(logic="AND", direction=direction) + HEAD)
        assert run(rows, scanner).filter("passed")["security_id"].to_list() == expected


def test_an_ensured_symbol_is_found_and_keeps_what_it_failed() -> None:
    scanner = SCANNER.model_copy(update={"ensure_symbols": ("NYSE:Z",), "prefilter_limit": 2})
    rows = [liquid(name, 9.0, change=0.5) for name in "abc"]
    made = run([*rows, liquid("z", 1.0, RSI=10.0, change=0.0)], scanner)
    assert verdicts(made) == {"a": None, "b": None, "z": None}
    assert made["admitted_by"].to_list() == ["rules", "rules", "ensured"]
    assert [rule["passed"] for rule in made["passes"][2]] == [False, False]  # RSI, and the limit
    assert made["rank"].to_list() == [1, 2, 3]


def test_an_included_symbol_is_looked_at_and_asked_like_any_other() -> None:
    scanner = SCANNER.model_copy(update={"include_symbols": ("NYSE:Z",), "prefilter_limit": 1})
    made = run([liquid("a", 9.0), liquid("b", 8.0), liquid("z", 1.0, RSI=10.0)], scanner)
    assert verdicts(made) == {"a": None, "z": "RSI greater"}


def test_only_the_listed_symbols_are_looked_at() -> None:
    scanner = SCANNER.model_copy(update={"symbols": ("NYSE:B",)})
    assert verdicts(run([liquid("a", 9.0), liquid("b", 8.0)], scanner)) == {"b": None}


def test_of_the_pairs_of_a_coin_the_most_liquid_stays() -> None:
    scanner = crypto("filters: [{left: RSI, operation: greater, right: 50}]\n")
    made = run(
        [
            coin("BTC", 5.0),
            coin("BTC", 9.0, tail="USDT.P"),
            coin("BTC", 10.0, tail="USDC", RSI=10.0),
            coin("ETH", 4.0),
        ],
        scanner,
    )
    assert verdicts(made) == {
        "btcusdc": "RSI greater",
        "btcusdt": "identity",
        "btcusdt.p": None,
        "ethusdt": None,
    }
    places = [r["value"] for audit in made["passes"] for r in audit if r["rule"] == "identity"]
    assert places == [2.0, 1.0, 1.0]


def test_quotes_and_stable_bases_are_kept_out() -> None:
    scanner = crypto(
        "quotes: [USDT]\nexclude_stable_bases: true\ntypes: [spot]\nvolume: {value_traded_min: 1}\n"
    )
    pairs = [coin("BTC", 5.0), coin("BTC", 5.0, tail="EUR"), coin("USDC", 5.0)]
    assert verdicts(run([*pairs, coin("ETH", 5.0, tail="USDT.P")], scanner)) == {"btcusdt": None}


def test_the_perpetual_of_a_found_pair_is_found_with_it() -> None:
    scanner = crypto(
        "types: [spot]\nattach_perp_counterparts: true\nvolume: {value_traded_min: 3}\n"
    )
    rows = [coin("BTC", 5.0), coin("BTC", 1.0, tail="USDT.P"), coin("ETH", 2.0)]
    made = run([*rows, coin("ETH", 9.0, tail="USDT.P")], scanner)
    assert made.select("security_id", "passed", "admitted_by", "rank").rows() == [
        ("btcusdt", True, "rules", 1),
        ("btcusdt.p", True, "counterpart", None),
        ("ethusdt", False, None, None),
    ]


def test_the_second_cut_is_by_liquidity_and_the_last_by_the_composite() -> None:
    scanner = manifest(
        "filters: [{left: RSI, operation: greater, right: 50}]\nbase_universe_limit: 3\n"
        "momentum_composite_fields: [Perf.1M, Perf.3M]\n"
        "final_sort_by: Momentum.Composite\nlimit: 2\n"
    )

    def moved(security: str, value: float, month: float | None, quarter: float) -> dict[str, Any]:
        return liquid(security, value, **{"Perf.1M": month, "Perf.3M": quarter})

    rows = [
        moved("a", 9.0, 1.0, 4.0),
        moved("b", 8.0, 2.0, 8.0),
        moved("c", 7.0, None, 12.0),
        moved("d", 6.0, 9.0, 99.0),
    ]
    made = run(rows, scanner)
    assert verdicts(made) == {"a": None, "b": None, "c": "limit", "d": "base_universe_limit"}
    assert made["rank"].to_list() == [2, 1, 3, None]
    # Of 1 and 2 the z-scores are ∓√½; of 4, 8 and 12 they are -1, 0, 1.
    expected = [-(0.5**0.5 + 1) / 2, 0.5**0.5 / 2, None, None]
    assert made["sort_value"].to_list()[:2] == pytest.approx(expected[:2])
    assert made["sort_value"].to_list()[2:] == [None, None]


def test_scanners_of_one_pass_are_those_of_single_ones() -> None:
    rows = [liquid(n, 9.0 - i, RSI=40.0 + 3 * i, change=0.1 * i) for i, n in enumerate("abcdefg")]
    scanners = [
        SCANNER,
        SCANNER.model_copy(update={"name": "other", "sort_by": "RSI", "limit": 1}),
        manifest("volume: {value_traded_min: 6}\n" + HEAD, name="third"),
    ]
    made = scan_all({"screener": screener(rows).lazy()}, scanners, span(DAY, DAY))
    for scanner, frame in zip(scanners, made, strict=True):
        assert frame.equals(run(rows, scanner))
        assert frame["scanner"].unique().to_list() == [scanner.name]


def test_rows_of_version_1_were_found_by_rules() -> None:
    made = run([liquid("a", 5.0), liquid("b", 5.0, RSI=10.0)])
    read = SCAN.upgrades[1](made.drop("admitted_by").lazy()).collect()
    assert SCAN.validate("x/scan_tried", read).equals(made)
