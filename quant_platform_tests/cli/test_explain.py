"""``quant explain``: the path of a symbol through a session, against the tables it tells of."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.cli.explanation import unreached
from quant_platform.errors import CalendarError, ConfigError, LakeError, QuantError
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings import load_settings
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.cli.conftest import DECIDED, LAST

EARLY = date(2022, 2, 1)
"""A session before the walk-forward begins."""


def rows(folder: Path, kind: str, session: date = DECIDED) -> pl.DataFrame:
    return Lake.open(folder / "lakehouse").scan(f"instruments/{kind}", [session]).collect()


def explained(folder: Path, symbol: str, session: date = DECIDED) -> dict[str, Any]:
    """Return the steps of the one security of that name, by stage."""
    answer = quant(folder, "explain", symbol, "--session", session.isoformat(), "--json")
    assert answer.code == 0, answer.err
    (told,) = answer.json()
    return {step["stage"]: step for step in told["steps"]}


def one(frame: pl.DataFrame, *that: pl.Expr) -> dict[str, Any]:
    """First row with a property, by symbol; there must be one, or the test shows nothing."""
    found = frame.filter(*that).sort("symbol")
    assert not found.is_empty()
    return found.row(0, named=True)


def test_the_stages_stand_in_the_order_of_the_chain(decided: Path) -> None:
    symbol = rows(decided, "universe")["symbol"][0]
    scanners = load_settings(decided).sleeves["instruments"].scanners
    assert list(explained(decided, symbol)) == [
        "universe",
        "screener",
        *(f"scan_{name}" for name in scanners),
        "candidates",
        "clusters",
        "selection",
        "weights",
    ]


def test_a_winner_is_followed_to_its_weights(decided: Path) -> None:
    winner = one(rows(decided, "selection"), pl.col("selected"))
    steps = explained(decided, winner["symbol"])
    assert all(steps[stage]["passed"] for stage in ("universe", "screener", "candidates"))
    assert steps["selection"]["passed"]
    assert f"admitted by {winner['admitted']}" in steps["selection"]["told"]
    assert len(steps["selection"]["detail"]["components"]) == len(winner["components"])
    found = rows(decided, "candidates").filter(pl.col("symbol") == winner["symbol"])["scanners"][0]
    taken = [stage for stage in steps if stage.startswith("scan_") and steps[stage]["passed"]]
    assert taken == [f"scan_{name}" for name in found]
    wanted = rows(decided, "weights").filter(pl.col("symbol") == winner["symbol"])
    told = {row["profile"]: row["weight"] for row in steps["weights"]["detail"]["profiles"]}
    assert told == dict(wanted.select("profile", "weight").iter_rows())
    assert steps["weights"]["passed"] is (max(told.values()) > 0)


def test_a_reject_has_the_first_failed_rule_with_value_and_threshold(decided: Path) -> None:
    reject = one(rows(decided, "scan_us_trend"), pl.col("reason").is_not_null())
    (entry,) = [entry for entry in reject["passes"] if entry["rule"] == reject["reason"]]
    step = explained(decided, reject["symbol"])["scan_us_trend"]
    assert step["passed"] is False
    told = f"{entry['rule']}: {entry['value']:.6g} against {entry['threshold']:.6g}"
    assert step["told"].split(";")[0] == told
    later = [
        entry["rule"]
        for entry in reject["passes"]
        if not entry["passed"] and entry["rule"] != reject["reason"]
    ]
    assert (", ".join(later) in step["told"]) if later else (";" not in step["told"])
    shown = quant(decided, "explain", reject["symbol"], "--session", DECIDED.isoformat())
    assert told in shown.out


def test_who_was_vetoed_hears_which_veto(decided: Path) -> None:
    loser = one(rows(decided, "selection"), ~pl.col("selected"))
    veto = next(veto for veto in loser["vetoes"] if veto["rule"] == loser["reason"])
    step = explained(decided, loser["symbol"])["selection"]
    assert step["passed"] is False
    value = "no value" if veto["value"] is None else f"{veto['value']:.6g}"
    assert f"not selected: {veto['rule']}: {value} against" in step["told"]
    shown = quant(decided, "explain", loser["symbol"], "--session", DECIDED.isoformat()).out
    assert "components" in shown
    assert all(veto["rule"] in shown for veto in loser["vetoes"])


def test_between_rebalances_the_decision_in_force_is_named(decided: Path) -> None:
    winner = one(rows(decided, "selection"), pl.col("selected"))
    loser = one(rows(decided, "selection"), ~pl.col("selected"))
    for row in (winner, loser):
        steps = explained(decided, row["symbol"], LAST)
        assert steps["selection"]["session"] == steps["clusters"]["session"] == str(DECIDED)
        assert steps["selection"]["passed"] is row["selected"]
        assert steps["screener"]["session"] == str(LAST)


def test_who_was_no_candidate_hears_so(decided: Path) -> None:
    found = rows(decided, "candidates")["security_id"].to_list()
    other = one(rows(decided, "screener"), ~pl.col("security_id").is_in(found))
    steps = explained(decided, other["symbol"])
    assert steps["candidates"]["told"] == "no scanner found it"
    assert steps["selection"]["told"] == f"it was no candidate of the decision of {DECIDED}"
    assert (steps["selection"]["passed"], steps["weights"]["passed"]) == (False, False)


def test_who_did_not_reach_the_rules_hears_why(decided: Path) -> None:
    row = one(rows(decided, "screener"), pl.col("exchange") == "NASDAQ")
    scanner = load_settings(decided).scanners["us_trend"]
    narrow = scanner.model_copy(update={"exchanges": ("NYSE",)})
    few = scanner.model_copy(update={"prefilter_limit": 7})
    coins = scanner.model_copy(update={"asset_class": "crypto"})
    assert unreached(scanner, None) == "not looked at: it has no row in the screener"
    assert unreached(narrow, row) == "not looked at: exchange is NASDAQ"
    assert unreached(coins, row) == "not looked at: it is stock, and the scanner looks at crypto"
    assert unreached(few, row).endswith(f"not among the first 7 by {scanner.sort_by}")


def test_a_symbol_goes_by_ticker_and_by_id(decided: Path) -> None:
    row = one(rows(decided, "universe"))
    whole = explained(decided, row["symbol"])
    assert explained(decided, row["symbol"].partition(":")[2].lower()) == whole
    assert explained(decided, row["security_id"]) == whole


def test_tables_that_hold_nothing_of_the_session_say_so(decided: Path) -> None:
    symbol = rows(decided, "universe", EARLY)["symbol"][0]
    steps = explained(decided, symbol, EARLY)
    assert steps["universe"]["passed"]
    assert steps["screener"]["passed"] is None
    assert steps["screener"]["told"] == f"not made on {EARLY}"
    assert steps["selection"]["told"] == f"selection is not made on {EARLY}"


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (("ZZZZQ", "2022-04-25"), LakeError, "there is no symbol 'ZZZZQ'"),
        (("NYSE:ZAAA", "2022-04-25"), LakeError, "NASDAQ:ZAAA"),
        (("ZAAA", "2023-01-10"), LakeError, "has no partition of 2023-01-10"),
        (("ZAAA", "2022-04-24"), CalendarError, "2022-04-25"),
        (("ZAAA", "yesterday"), CalendarError, "--session is 'yesterday'"),
        (("ZAAA", "2022-04-25", "--sleeve", "instrument"), ConfigError, "expected instruments"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(
    decided: Path, arguments: tuple[str, ...], error: type[QuantError], told: str
) -> None:
    symbol, session, *more = arguments
    answer = quant(decided, "explain", symbol, "--session", session, *more)
    assert answer.code == error.exit_code
    assert answer.err.startswith(f"{error.__name__}: ")
    assert told in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""


def test_who_left_the_universe_is_told_apart_from_who_never_was(decided: Path) -> None:
    securities = Lake.open(decided / "lakehouse").scan("instruments/securities").collect()
    gone = securities.filter(
        pl.col("knowledge_session") <= LAST,
        ~pl.col("symbol").is_in(rows(decided, "universe", LAST)["symbol"].implode()),
    )
    symbol = one(gone)["symbol"]
    answer = quant(decided, "explain", symbol, "--session", LAST.isoformat())
    assert answer.code == LakeError.exit_code
    assert f"'{symbol}' of instruments is not listed on {LAST}" in answer.err
