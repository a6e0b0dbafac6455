"""What was told and is not so: ends of stays and listings are taken back, actions are asked for."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.scanners.universe import members
from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, FIRST, SYMBOLS, prices
from quant_platform_tests.sources.markets import NYSE

TOLD, AFTER = DAYS[30], DAYS[34]
HEAD = "symbol,session,kind,value\n"


def snapshot(symbols: tuple[str, ...]) -> str:
    return "index,symbol\n" + "".join(f"I,{symbol}\n" for symbol in symbols)


def stay(valid_to: str) -> str:
    first = DAYS[0]
    return f"index,symbol,valid_from,valid_to\nI,S01,{first},{valid_to}\nI,S02,{first},\n"


def members_on(own: Deliveries, number: int) -> set[str]:
    day = DAYS[number]
    known = own.known("membership", day)
    sessions = NYSE.knowledge_sessions(known["known_at"])
    dated = known.with_columns(knowledge_session=sessions)
    found = members(dated, "I", SessionRange(NYSE, (day,), FIRST))
    return {name.removeprefix("US:") for name in found["security_id"]}


def test_a_snapshot_that_was_half_there_is_mended(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    first, second = f"membership/{DAYS[0]}.csv", f"membership/{DAYS[10]}.csv"
    own.deliver({"bars.csv": prices(), first: snapshot(SYMBOLS), second: snapshot(SYMBOLS[:4])})
    own.take(TOLD)
    assert members_on(own, 30) == set(SYMBOLS[:4])
    own.deliver({second: snapshot(SYMBOLS)})
    assert members_on(own, 30) == set(SYMBOLS[:4])
    assert members_on(own, 34) == set(SYMBOLS)


def test_a_member_that_never_was_one_is_none_from_now_on(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    first, second = f"membership/{DAYS[0]}.csv", f"membership/{DAYS[10]}.csv"
    own.deliver({"bars.csv": prices(), first: snapshot(SYMBOLS[:4]), second: snapshot(SYMBOLS[:6])})
    own.take(TOLD)
    before = own.known("membership", TOLD)
    own.deliver({second: snapshot(SYMBOLS[:4])})
    assert own.known("membership", TOLD).equals(before)
    assert members_on(own, 30) == set(SYMBOLS[:6])
    assert members_on(own, 34) == set(SYMBOLS[:4])


def test_an_end_that_is_removed_is_taken_back(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    own.deliver({"bars.csv": prices(), "membership.csv": stay(str(DAYS[12]))})
    own.take(TOLD)
    assert members_on(own, 30) == {"S02"}
    own.deliver({"membership.csv": stay("")})
    assert members_on(own, 34) == {"S01", "S02"}


def test_an_action_is_not_moved_to_another_symbol_in_silence(tmp_path: Path) -> None:
    """It would stay told of the first; a value of nothing takes it back."""
    own = Deliveries(tmp_path)
    others = f"S01,{DAYS[5]},dividend,0.1\nS01,{DAYS[29]},dividend,0.1\n"
    wrong = f"{HEAD}{others}S06,{DAYS[20]},split,2.0\n"
    own.deliver({"bars.csv": prices(), "actions.csv": wrong})
    own.take(TOLD)
    moved = f"{HEAD}{others}S07,{DAYS[20]},split,2.0\n"
    (refusal,) = own.deliver({"actions.csv": moved}).refusals
    assert f"US:S06 split of {DAYS[20]}" in refusal.detail
    assert own.known("actions", AFTER).filter(security_id="US:S07").height == 0
    assert not own.deliver({"actions.csv": f"{moved}S06,{DAYS[20]},split,1.0\n"}).refusals
    ratios = own.known("actions", AFTER).filter(security_id="US:S06").sort("known_at")["value"]
    assert ratios.to_list() == [2.0, 1.0]
    own.take(DAYS[31])
    assert not own.deliver({"actions.csv": moved}).refusals


def test_actions_older_than_the_file_stay_told(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    new = f"S01,{DAYS[29]},dividend,0.1\n"
    own.deliver({"bars.csv": prices(), "actions.csv": f"{HEAD}S01,{DAYS[5]},dividend,0.1\n{new}"})
    own.take(TOLD)
    before = own.known("actions", AFTER)
    report = own.deliver({"actions.csv": HEAD + new})
    assert not report.refusals
    assert any("not in the files any more" in line.what for line in report.findings)
    assert own.known("actions", AFTER).equals(before)


@pytest.mark.parametrize("listed_again", [False, True])
def test_who_was_told_gone_does_not_come_back_in_silence(
    tmp_path: Path, *, listed_again: bool
) -> None:
    rows = prices()
    lagging = (pl.col("symbol") != "S05") | (pl.col("date") <= DAYS[8])
    own = Deliveries(tmp_path)
    own.deliver({"bars.csv": rows.filter(lagging, pl.col("date") <= TOLD)})
    own.take(TOLD)
    assert own.known("actions", TOLD)["security_id"].to_list() == ["US:S05"]
    tables: dict[str, pl.DataFrame | str] = {"bars.csv": rows}
    if listed_again:
        tables["listings.csv"] = (
            f"symbol,listed_on,delisted_on\nS05,{DAYS[0]},{DAYS[9]}\nS05,{DAYS[9]},\n"
        )
    refusals = own.deliver(tables).refusals
    assert [refusal.count for refusal in refusals] == ([] if listed_again else [1])
    if listed_again:
        back = own.known("bars", AFTER).filter(symbol="US:S05")["security_id"].unique()
        assert back.sort().to_list() == ["US:S05", f"US:S05@{DAYS[9]}"]
    else:
        assert "US:S05" in refusals[0].detail


def test_a_delisting_day_that_is_corrected_is_no_return(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    left = (pl.col("symbol") != "S05") | (pl.col("date") <= DAYS[8])
    listed = "symbol,listed_on,delisted_on\nS05,2020-01-02,{}\n"
    own.deliver({"bars.csv": prices().filter(left), "listings.csv": listed.format(DAYS[9])})
    own.take(TOLD)
    assert not own.deliver({"listings.csv": listed.format(DAYS[10])}).refusals
