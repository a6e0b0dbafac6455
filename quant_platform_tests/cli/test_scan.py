"""``quant scan``: finds by rank, stored or computed, with the funnel that led to them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_platform.cli.finds import find
from quant_platform.cli.held import Held
from quant_platform.errors import CalendarError, ConfigError, LakeError, QuantError
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings import load_settings
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.cli.conftest import DECIDED, LAST

DAY = DECIDED.isoformat()


def scanned(folder: Path, *arguments: str) -> Any:
    answer = quant(folder, "scan", *arguments, "--json")
    assert answer.code == 0, answer.err
    return answer.json()


def stored(folder: Path, kind: str, session: date = DECIDED) -> pl.DataFrame:
    return Lake.open(folder / "lakehouse").scan(f"instruments/{kind}", [session]).collect()


def test_a_listed_scanner_shows_what_is_stored_by_rank(decided: Path) -> None:
    told = scanned(decided, "us_trend", "--session", DAY)
    assert (told["basis"], told["remark"], told["sleeve"]) == ("stored", "", "instruments")
    rows = stored(decided, "scan_us_trend").filter("passed").sort("rank")
    assert rows.height > 1
    assert [row["symbol"] for row in told["found"]] == rows["symbol"].to_list()
    assert [row["rank"] for row in told["found"]] == list(range(1, rows.height + 1))
    assert [row["sort_value"] for row in told["found"]] == rows["sort_value"].to_list()
    sectors = dict(stored(decided, "screener").select("symbol", "sector").iter_rows())
    assert all(row["sector"] == sectors[row["symbol"]] for row in told["found"])


def test_the_funnel_ends_at_what_was_found(decided: Path) -> None:
    told = scanned(decided, "us_trend", "--session", DAY)
    rows, funnel = stored(decided, "scan_us_trend"), told["funnel"]
    assert funnel["listed"] == stored(decided, "screener").height
    assert funnel["reached"] == rows.height
    left = [funnel["reached"], *(step["left"] for step in funnel["rules"])]
    assert left == sorted(left, reverse=True)
    assert left[-1] == funnel["found"] == len(told["found"]) < left[0]
    first = funnel["rules"][0]
    audit = rows.explode("passes").unnest("passes", separator=".")
    asked = audit.filter(pl.col("passes.rule") == first["rule"])
    assert first["left"] == first["passed"] == asked["passes.passed"].sum()
    shown = quant(decided, "scan", "us_trend", "--session", DAY).out
    assert f"reached {rows.height} → {first['rule']} {first['left']} → " in shown
    assert f"found {funnel['found']}\n" in shown


def test_what_is_computed_is_what_would_be_stored(decided: Path) -> None:
    settings = load_settings(decided)
    held = Held(Lake.open(settings.lake_root), "instruments")
    scanner = settings.scanners["us_trend"]
    computed = find(held, scanner, DECIDED, listed=False)
    assert computed.basis == "computed"
    read = find(held, scanner, DECIDED, listed=True)
    assert read.basis == "stored"
    assert_frame_equal(computed.rows, read.rows)


def test_a_scanner_that_no_sleeve_lists_is_computed(decided: Path) -> None:
    told = scanned(decided, "volatility_breakout", "--session", DAY)
    assert (told["basis"], told["sleeve"]) == ("computed", "instruments")
    assert told["remark"] == "instruments does not list it"
    assert told["funnel"]["reached"] > 0
    assert (
        "computed (instruments does not list it)"
        in quant(decided, "scan", "volatility_breakout", "--session", DAY).out
    )


def test_without_a_session_it_is_the_last_one(decided: Path) -> None:
    assert scanned(decided, "us_trend")["session"] == LAST.isoformat()


def test_all_scanners_of_a_sleeve_and_their_candidates(decided: Path) -> None:
    told = scanned(decided, "--sleeve", "instruments", "--all", "--session", DAY)
    taken = load_settings(decided).sleeves["instruments"].scanners
    assert [scan["scanner"] for scan in told["scans"]] == list(taken)
    rows = stored(decided, "candidates")
    named = {row["security_id"]: row["scanners"] for row in told["candidates"]}
    assert named == dict(rows.select("security_id", "scanners").iter_rows())
    shown = quant(decided, "scan", "--sleeve", "instruments", "--all", "--session", DAY).out
    assert f"{rows.height} candidates" in shown
    assert all(symbol in shown for symbol in rows["symbol"])


def test_rows_by_other_rules_than_the_file_has_now_are_told(decided: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lakehouse").symlink_to(decided / "lakehouse")
    shutil.copytree(decided / "assets_config", folder / "assets_config")
    file = folder / "assets_config" / "scanners" / "stock" / "us_trend.yaml"
    text = file.read_text()
    file.write_text(text.replace("eless, right: 0.05", "eless, right: 0.04"))
    told = scanned(folder, "us_trend", "--session", DAY)
    assert told["basis"] == "stored"
    assert told["remark"] == "by other rules than its file has now: Volatility.M eless"
    file.write_text(text.replace("left: Volatility.M,", "left: Volatility.W,"))
    remark = scanned(folder, "us_trend", "--session", DAY)["remark"]
    assert remark.endswith(": Volatility.M eless, Volatility.W eless")
    file.write_text(f"{text}\nlimit: 7\n")
    assert scanned(folder, "us_trend", "--session", DAY)["remark"].endswith("now: limit")


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (("us_tren",), ConfigError, "there is no scanner 'us_tren'; expected us_trend"),
        (("us_trend", "--sleeve", "instrument"), ConfigError, "expected instruments"),
        (("etf_yield_alpha",), ConfigError, "no sleeve holds etf"),
        (("etf_yield_alpha", "--sleeve", "instruments"), ConfigError, "looks at etf"),
        (("us_trend", "--all"), ConfigError, "'us_trend' and --all"),
        ((), ConfigError, "no scanner is named"),
        (("--all",), ConfigError, "add --sleeve NAME"),
        (("us_trend", "--session", "20220425"), CalendarError, "--session is '20220425'"),
        (("us_trend", "--session", "2022-04-24"), CalendarError, "2022-04-25"),
        (("us_trend", "--session", "2022-02-01"), LakeError, "has no partition of 2022-02-01"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    decided: Path, arguments: tuple[str, ...], error: type[QuantError], told: str
) -> None:
    answer = quant(decided, "scan", *arguments)
    assert answer.code == error.exit_code
    assert answer.err.startswith(f"{error.__name__}: ")
    assert told in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""
