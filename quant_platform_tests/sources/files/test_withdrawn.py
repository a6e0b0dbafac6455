"""What was told and is not so: ends of stays and listings are taken back, actions are asked for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.scanners.universe import members
from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, FIRST, SYMBOLS, prices, write
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


def test_an_action_that_is_moved_to_another_symbol_is_taken_back(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    others = f"S01,{DAYS[5]},dividend,0.1\nS01,{DAYS[29]},dividend,0.1\n"
    wrong = f"{HEAD}{others}S06,{DAYS[20]},split,2.0\nS02,{DAYS[21]},dividend,0.3\n"
    own.deliver({"bars.csv": prices(), "actions.csv": wrong})
    own.take(TOLD)
    before = own.known("actions", TOLD)
    moved = f"{HEAD}{others}S07,{DAYS[20]},split,2.0\n"
    for day in (31, 32, 33):
        report = own.deliver({"actions.csv": moved})
        assert not report.refusals
        assert any("taken back" in line.detail for line in report.findings) == (day == 31)
        own.take(DAYS[day])
        known = own.known("actions", AFTER).sort("known_at")
        assert known.filter(security_id="US:S06")["value"].to_list() == [2.0, 1.0]
        assert known.filter(security_id="US:S07")["value"].to_list() == [2.0]
        assert known.filter(security_id="US:S02")["value"].to_list() == [0.3, 0.0]
    assert own.known("actions", TOLD).equals(before)
    # Told again it holds again.
    own.deliver({"actions.csv": wrong})
    known = own.known("actions", DAYS[36]).sort("known_at")
    assert known.filter(security_id="US:S06")["value"].to_list() == [2.0, 1.0, 2.0]
    assert known.filter(security_id="US:S07")["value"].to_list() == [2.0, 1.0]


def test_a_file_that_has_lost_many_actions_takes_none_back(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    lines = [f"{name},{day},dividend,0.1\n" for name in SYMBOLS for day in DAYS[3:6]]
    own.deliver({"bars.csv": prices(), "actions.csv": HEAD + "".join(lines)})
    own.take(TOLD)
    half = HEAD + "".join(lines[:10] + lines[-10:])
    (refusal,) = own.deliver({"actions.csv": half}).refusals
    assert refusal.count == len(lines) - 20
    assert "fetch it again" in refusal.detail


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


@pytest.mark.parametrize("listed", ["no file", "taken back", "listed again"])
def test_who_was_told_gone_and_is_there_again_is_another_security(
    tmp_path: Path, listed: str
) -> None:
    """Day after day, whether the listings say nothing of it, take the end back or list it anew."""
    rows = prices()
    lagging = (pl.col("symbol") != "S05") | (pl.col("date") <= DAYS[8])
    head = "symbol,listed_on,delisted_on\n"
    own = Deliveries(tmp_path)
    first: dict[str, pl.DataFrame | str] = {
        "bars.csv": rows.filter(lagging, pl.col("date") <= TOLD)
    }
    if listed != "no file":
        first["listings.csv"] = f"{head}S05,{DAYS[0]},{DAYS[9]}\n"
    own.deliver(first)
    own.take(TOLD)
    assert own.known("actions", TOLD)["security_id"].to_list() == ["US:S05"]
    before = own.known("bars", TOLD)
    again = f"S05,{DAYS[0]},{DAYS[9]}\nS05,{DAYS[9]},\n" if listed == "listed again" else ""
    if listed != "no file":
        write(tmp_path / "in", {"listings.csv": head + (again or f"S05,{DAYS[0]},\n")})
    new = f"US:S05@{DAYS[9]}"
    # Some of its bars come later than others.
    late = (pl.col("symbol") != "S05") | (~pl.col("date").is_in(DAYS[9:12]))
    for day, there in ((31, lagging | late), (32, pl.lit(value=True)), (33, pl.lit(value=True))):
        report = own.deliver({"bars.csv": rows.filter(there, pl.col("date") <= DAYS[day])})
        assert not report.refusals
        told = [line for line in report.findings if "are there again" in line.what]
        assert len(told) == (listed != "listed again")
        own.take(DAYS[day])
        back = own.known("bars", DAYS[day]).filter(symbol="US:S05")
        assert back.filter(pl.col("session") <= DAYS[8])["security_id"].unique().to_list() == [
            "US:S05"
        ]
        assert back.filter(pl.col("session") > DAYS[8])["security_id"].unique().to_list() == [new]
        assert own.known("actions", DAYS[day])["security_id"].to_list() == ["US:S05"]
        described = own.known("securities", DAYS[day]).filter(security_id=new)
        assert described["delisted_on"].to_list() == [None]
    assert own.known("bars", TOLD).equals(before)


def test_who_left_twice_and_came_back_twice(tmp_path: Path) -> None:
    rows = prices(NYSE.between(FIRST, date(2024, 4, 30)))
    days = rows["date"].unique().sort().to_list()

    def there(spans: list[tuple[int, int]]) -> pl.DataFrame:
        inside = pl.any_horizontal(
            pl.col("date").is_between(days[first], days[last]) for first, last in spans
        )
        return rows.filter((pl.col("symbol") != "S05") | inside)

    own = Deliveries(tmp_path)
    steps = [([(0, 8)], 20), ([(0, 8), (20, 30)], 31), ([(0, 8), (20, 30)], 45)]
    steps += [([(0, 8), (20, 30), (50, 70)], 55), ([(0, 8), (20, 30), (50, 70)], 60)]
    for spans, until in steps:
        table = there(spans).filter(pl.col("date") <= days[until])
        assert not own.deliver({"bars.csv": table}).refusals
        own.take(days[until])
    last = days[60]
    ids = own.known("bars", last).filter(symbol="US:S05").group_by("security_id").len()
    first_end, second_end = f"US:S05@{days[9]}", f"US:S05@{days[31]}"
    assert dict(ids.iter_rows()) == {"US:S05": 9, first_end: 11, second_end: 11}
    ends = own.known("actions", last).sort("session")
    assert ends["security_id"].to_list() == ["US:S05", first_end]


def test_who_was_listed_anew_stays_so_though_the_lake_has_not_heard_of_it(tmp_path: Path) -> None:
    """The import is made after the cutoff: its news belong to the next session."""
    rows = prices()
    gone = (pl.col("symbol") != "S05") | (pl.col("date") <= DAYS[8])
    own = Deliveries(tmp_path)
    own.deliver({"bars.csv": rows.filter(gone, pl.col("date") <= TOLD)})
    own.take(TOLD)
    own.hours = 60
    for day in (31, 32):
        file = rows.filter(pl.col("date") <= DAYS[day])
        assert not own.deliver({"bars.csv": file}).refusals
        # The lake takes in the bar of the evening, before the late ones are known.
        own.take(DAYS[day])
    newest = own.known("bars", DAYS[32]).filter(symbol="US:S05", session=DAYS[32])
    assert newest["security_id"].to_list() == [f"US:S05@{DAYS[9]}"]


def test_an_end_in_the_midst_of_bars_is_asked_for(tmp_path: Path) -> None:
    """Bars of after it were taken in under its id: they can not become those of another."""
    own = Deliveries(tmp_path)
    own.deliver({"bars.csv": prices(), "actions.csv": f"{HEAD}S05,{DAYS[9]},delisting,\n"})
    own.take(TOLD)
    (refusal,) = own.deliver({"actions.csv": HEAD}).refusals
    assert f"US:S05 delisting of {DAYS[9]}" in refusal.detail


def test_a_delisting_day_that_is_corrected_is_no_return(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    left = (pl.col("symbol") != "S05") | (pl.col("date") <= DAYS[8])
    listed = "symbol,listed_on,delisted_on\nS05,2020-01-02,{}\n"
    own.deliver({"bars.csv": prices().filter(left), "listings.csv": listed.format(DAYS[9])})
    own.take(TOLD)
    assert not own.deliver({"listings.csv": listed.format(DAYS[10])}).refusals


def test_listings_that_have_lost_lines_degrade_nobody(tmp_path: Path) -> None:
    own = Deliveries(tmp_path)
    head = "symbol,listed_on,name,sector\n"
    lines = [f"{name},{DAYS[0]},The {name} Company,Energy\n" for name in SYMBOLS]
    own.deliver(
        {"bars.csv": prices().filter(pl.col("date") <= TOLD), "listings.csv": head + "".join(lines)}
    )
    own.take(TOLD)
    before = own.known("securities", TOLD)
    assert before.height == len(SYMBOLS)
    for day in (31, 32):
        rows = prices().filter(pl.col("date") <= DAYS[day])
        report = own.deliver({"bars.csv": rows, "listings.csv": head + "".join(lines[:7])})
        (lost,) = [line for line in report.findings if "have lost" in line.what]
        assert (lost.weight, lost.count) == ("warning", 5)
        own.take(DAYS[day])
        assert own.known("securities", DAYS[day + 2]).equals(before)
    # What a listing says otherwise is news all the same.
    own.deliver({"listings.csv": head + "".join(lines).replace("The S11 Company", "S11 plc")})
    names = own.known("securities", DAYS[36]).filter(security_id="US:S11").sort("known_at")["name"]
    assert names.to_list() == ["The S11 Company", "S11 plc"]
