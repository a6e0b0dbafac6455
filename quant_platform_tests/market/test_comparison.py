"""Two imports of one market: which bars differ, which nobody confirmed, and since when it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.lakehouse.contracts.quality import FLAGS, QUALITY
from quant_platform.market.bars import published_bars, published_second_bars
from quant_platform.market.comparison import compared
from quant_platform.market.quality import quality_windows, session_quality
from quant_platform.market.reference import published_actions
from quant_platform.market.returns import session_returns
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.scanners.chain import handed
from quant_platform_tests.sources.files.folders import DAYS, SLEEVE, imported, prices, span, write
from quant_platform_tests.sources.markets import NYSE

DAY = DAYS[20]
NAME = "US:S03"
COMPARED = ("mismatch", "uncompared")
SETTINGS = HygieneSettings()

Tables = Mapping[str, pl.DataFrame]


def at(day: date = DAY, symbol: str = "S03") -> pl.Expr:
    return (pl.col("symbol") == symbol) & (pl.col("date") == day)


def changed(column: str, factor: float, where: pl.Expr | None = None) -> pl.DataFrame:
    """Bars of which one is another."""
    hit = at() if where is None else where
    return prices().with_columns(
        pl.when(hit).then(pl.col(column) * factor).otherwise(column).alias(column)
    )


def published(
    moved: Mapping[tuple[str, date], date], rows: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Bars with the day on which each was published: its own, but for some that were late."""
    rows = prices() if rows is None else rows
    told = pl.col("date")
    for (symbol, day), known in moved.items():
        told = pl.when(at(day, symbol)).then(pl.lit(known)).otherwise(told)
    return rows.with_columns(first_asof=told)


def tables(
    folder: Path, ours: pl.DataFrame, theirs: pl.DataFrame | None
) -> dict[str, pl.DataFrame]:
    """Tables of a sleeve that was imported, and of what it is compared with."""
    source, report = imported(write(folder / "ours", {"bars/a.csv": ours}), folder / "lake")
    assert not report.refusals
    bars = published_bars(source, SLEEVE, span())
    actions = published_actions(source, SLEEVE, span(), bars.rows.lazy()).rows
    made = {"bars": bars.rows, "actions": actions}
    frames = {name: rows.lazy() for name, rows in made.items()}
    made["returns"] = session_returns(frames, ReturnsSettings(), span())
    if theirs is None:
        return made
    other = write(folder / "theirs", {"bars/b.csv": theirs})
    second, report = imported(other, folder / "lake", second=True)
    assert not report.refusals
    taken = published_second_bars(second, SLEEVE, span())
    return made | {"second_bars": taken.rows, "rejected": taken.rejected}


def flags(
    made: Tables, days: Sequence[date] = DAYS, settings: HygieneSettings = SETTINGS
) -> pl.DataFrame:
    """Quality of some sessions, from nothing but what its windows load."""
    wanted = span(days[0], days[-1])
    windows = quality_windows(settings, second="second_bars" in made)
    found = session_quality(handed(made, windows, wanted), settings, wanted)
    return QUALITY.validate("own/quality", found)


def told(quality: pl.DataFrame) -> list[tuple[str, str, date, int]]:
    """List the flags of the comparison: which, of whom, on which session, of how long ago."""
    rows = quality.filter(pl.col("flag").is_in(COMPARED))
    return rows.select("flag", "security_id", "session", "sessions_ago").rows()


def after(sessions: int) -> date:
    return NYSE.offset(DAY, sessions)


def test_two_sources_that_agree_leave_no_doubt(tmp_path: Path) -> None:
    assert told(flags(tables(tmp_path, prices(), prices()))) == []


@pytest.mark.parametrize("price", ["open", "high", "low", "close"])
def test_a_bar_that_differs_is_flagged(tmp_path: Path, price: str) -> None:
    factor = 0.99 if price == "low" else 1.01 if price == "high" else 1.004
    found = flags(tables(tmp_path, prices(), changed(price, factor)))
    assert told(found) == [("mismatch", NAME, DAY, 0)]
    assert found.filter(flag="mismatch")["value"].item() == pytest.approx(abs(factor - 1))


@pytest.mark.parametrize(
    ("column", "factor"), [("open", 1.0019), ("close", 1 / 1.0018), ("volume", 6.0)]
)
def test_what_honest_vendors_differ_by_is_not(tmp_path: Path, column: str, factor: float) -> None:
    assert told(flags(tables(tmp_path, prices(), changed(column, factor)))) == []


def test_the_tolerance_is_a_setting(tmp_path: Path) -> None:
    made = tables(tmp_path, prices(), changed("close", 1.004))
    wider = HygieneSettings(mismatch_tolerance=0.005)
    assert told(flags(made)) != []
    assert told(flags(made, settings=wider)) == []


def test_a_bar_that_the_second_source_lacks_was_confirmed_by_nobody(tmp_path: Path) -> None:
    found = flags(tables(tmp_path, prices(), prices().filter(~at())))
    assert told(found) == [("uncompared", NAME, DAY, 0)]


def test_a_bar_that_cannot_be_believed_confirms_nothing(tmp_path: Path) -> None:
    made = tables(tmp_path, prices(), changed("low", 2.0))
    assert "low_is_lowest" in made["rejected"]["rule"].item()
    assert told(flags(made)) == [("uncompared", NAME, DAY, 0)]


def test_a_bar_that_only_the_second_source_has_is_a_gap_of_ours(tmp_path: Path) -> None:
    found = flags(tables(tmp_path, prices().filter(~at()), prices()))
    assert told(found) == []
    gaps = found.filter(flag="gap")
    assert gaps.select("security_id", "session").rows() == [(NAME, DAY)]


def test_without_a_second_source_nothing_is_said(tmp_path: Path) -> None:
    made = tables(tmp_path, prices(), None)
    assert "second_bars" not in quality_windows(SETTINGS)
    assert told(flags(made)) == []


def test_a_second_source_that_comes_later_is_compared_then(tmp_path: Path) -> None:
    wrong = published({("S03", DAY): after(2)}, changed("close", 1.004))
    made = tables(tmp_path, published({}), wrong)
    assert told(flags(made)) == [
        ("uncompared", NAME, DAY, 0),
        ("mismatch", NAME, after(2), 2),
    ]
    # What came later says nothing of the session itself: it was not known there.
    cut = {**made, "second_bars": made["second_bars"].filter(pl.col("knowledge_session") <= DAY)}
    days = DAYS[: DAYS.index(DAY) + 1]
    assert flags(made, days).equals(flags(cut, days))
    assert flags(made).filter(pl.col("session") <= DAY).equals(flags(made, days))


def test_one_that_comes_too_late_is_not_compared(tmp_path: Path) -> None:
    wrong = changed("close", 1.004)
    last = SETTINGS.mismatch_sessions
    for late, expected in ((last, [("mismatch", NAME, after(last), last)]), (last + 1, [])):
        theirs = published({("S03", DAY): after(late)}, wrong)
        made = tables(tmp_path / str(late), published({}), theirs)
        assert told(flags(made)) == [("uncompared", NAME, DAY, 0), *expected]


def test_a_bar_of_ours_that_comes_too_late_is_uncompared(tmp_path: Path) -> None:
    late = SETTINGS.mismatch_sessions + 1
    made = tables(tmp_path, published({("S03", DAY): after(late)}), published({}))
    assert told(flags(made)) == [("uncompared", NAME, after(late), late)]
    in_time = tables(tmp_path / "again", published({("S03", DAY): after(late - 1)}), published({}))
    assert told(flags(in_time)) == []


def test_a_correction_is_compared_anew(tmp_path: Path) -> None:
    wrong = published({}, changed("close", 1.004))
    right = published({}).filter(at()).with_columns(first_asof=pl.lit(after(1)))
    made = tables(tmp_path, pl.concat([wrong, right]), published({}))
    # On the session after, the two agree.
    assert told(flags(made)) == [("mismatch", NAME, DAY, 0)]
    other = tables(tmp_path / "again", published({}), pl.concat([published({}), right]))
    assert told(flags(other)) == []


def test_a_range_is_its_days(tmp_path: Path) -> None:
    later = {("S03", DAY): after(2), ("S04", DAY): after(7), ("S05", after(1)): after(2)}
    ours = published({("S06", DAY): after(3)}, changed("open", 1.004, at(after(1), "S05")))
    made = tables(tmp_path, ours, published(later, changed("close", 0.99)))
    whole = flags(made)
    assert {row[3] for row in told(whole)} >= {0, 1, 2}
    assert pl.concat([flags(made, [day]) for day in DAYS]).equals(whole)
    pieces = [flags(made, DAYS[start : start + 7]) for start in range(0, len(DAYS), 7)]
    assert pl.concat(pieces).equals(whole)


def test_bars_belong_together_by_symbol_whoever_knows_of_a_rename(tmp_path: Path) -> None:
    """Our files tell that S03 became S99; the second ones hold bars and nothing else."""
    renamed = pl.when((pl.col("symbol") == "S03") & (pl.col("date") >= DAY)).then(pl.lit("S99"))
    rows = prices().with_columns(symbol=renamed.otherwise("symbol"))
    listed = rows.group_by("symbol").agg(listed_on=pl.col("date").min()).sort("symbol")
    gone = pl.when(pl.col("symbol") == "S03").then(pl.lit(DAY))
    files = {
        "bars/a.csv": rows,
        "listings.csv": listed.with_columns(delisted_on=gone),
        "actions.csv": pl.DataFrame(
            {"symbol": ["S03"], "session": [DAY], "kind": ["rename"], "counterpart": ["US:S99"]}
        ),
    }
    source, _ = imported(write(tmp_path / "ours", files), tmp_path / "lake")
    second, _ = imported(
        write(tmp_path / "theirs", {"bars/b.csv": rows}), tmp_path / "lake", second=True
    )
    bars = published_bars(source, SLEEVE, span()).rows
    other = published_second_bars(second, SLEEVE, span()).rows
    # The second import takes S99 for another security than S03.
    assert bars.filter(symbol="US:S99")["security_id"].unique().to_list() == [NAME]
    assert other.filter(symbol="US:S99")["security_id"].unique().to_list() != [NAME]
    made = {"bars": bars, "second_bars": other}
    made["returns"] = session_returns(
        {"bars": bars.lazy(), "actions": published_actions(source, SLEEVE, span()).rows.lazy()},
        ReturnsSettings(),
        span(),
    )
    assert told(flags(made)) == []


def test_rows_of_version_1_tell_how_late_the_latest_bar_was(tmp_path: Path) -> None:
    made = tables(tmp_path, published({("S03", DAY): after(2)}), None)
    now = flags(made)
    assert set(now["flag"]) >= {"gap", "late"}
    assert now.filter(flag="late")["sessions_ago"].to_list() == [2]
    before = now.drop("sessions_ago").with_columns(
        pl.col("flag").cast(pl.String).cast(pl.Enum(FLAGS[:4]))
    )
    assert QUALITY.upgrades[1](before.lazy()).collect().equals(now)


# -- against the definition ------------------------------------------------------------------------

VERSION = st.tuples(
    st.integers(0, 3), st.integers(0, 8), st.integers(0, 23), st.sampled_from([100.0, 101.0])
)
"""Session, sessions until it was known, hour, price."""


@given(st.lists(VERSION, max_size=12), st.lists(VERSION, max_size=12), st.integers(0, 4))
def test_versions_are_compared_as_they_were_known(
    ours: list[tuple[int, int, int, float]],
    theirs: list[tuple[int, int, int, float]],
    reach: int,
) -> None:
    settings = HygieneSettings(mismatch_sessions=reach)
    one, other = _versions(ours), _versions(theirs)
    found = compared(one, other, settings, 2).sort("known", "ago")
    assert [tuple(row) for row in found.select("known", "ago", "difference").rows()] == _by_hand(
        one.rows(named=True), other.rows(named=True), reach, 2
    )


def _versions(drawn: Sequence[tuple[int, int, int, float]]) -> pl.DataFrame:
    start = NYSE.close(DAY)
    rows = [
        ("US:A", "a", session, session + late, start + timedelta(days=session + late, hours=hour))
        + (price,) * 4
        for session, late, hour, price in {draw[:3]: draw for draw in drawn}.values()
    ]
    names = [
        "symbol",
        "security_id",
        "ordinal",
        "known",
        "known_at",
        "open",
        "high",
        "low",
        "close",
    ]
    schema = {name: pl.Float64() for name in names} | {
        "symbol": pl.String(),
        "security_id": pl.String(),
        "ordinal": pl.Int64(),
        "known": pl.Int64(),
        "known_at": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _by_hand(
    ours: Sequence[Mapping[str, object]],
    theirs: Sequence[Mapping[str, object]],
    reach: int,
    first: int,
) -> list[tuple[int, int, float | None]]:
    """Walk through sessions and bars, as the definition says."""
    told = []
    for known in range(first, 16):
        for session in range(known, -1, -1):
            own, other = (
                [row for row in rows if row["ordinal"] == session and row["known"] <= known]
                for rows in (ours, theirs)
            )
            new = [row for row in own if row["known"] == known]
            late = known - session > reach
            if late or not own:
                told += [(known, known - session, None)] if new else []
            elif new or any(row["known"] == known for row in other):
                last = max(own, key=lambda row: row["known_at"])
                beside = max(other, key=lambda row: row["known_at"], default=None)
                apart = None if beside is None else abs(beside["close"] / last["close"] - 1)
                told.append((known, known - session, apart))
    return told
