"""Members of an index from snapshots: since when, until when, and when that was known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import SourceError
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.scanners.universe import members
from quant_platform.sources.files.stays import stays
from quant_platform.sources.protocol import KNOWN_AT_BASIS
from quant_platform_tests.sources.files.folders import DAYS, FIRST, SLEEVE, imported, prices, write
from quant_platform_tests.sources.markets import NYSE


def listing(symbols: Sequence[str], known: date | None = None) -> pl.DataFrame:
    """One snapshot as its file has it."""
    rows = pl.DataFrame({"index": ["I"] * len(symbols), "symbol": symbols})
    return rows if known is None else rows.with_columns(known_at=pl.lit(known))


def members_by_day(folder: Path, lake: Path, days: Sequence[date]) -> dict[date, set[str]]:
    """Who is a member on each day, by what was known at its cutoff."""
    source, _ = imported(folder, lake)
    found = {}
    for day in days:
        known = source.membership(NYSE, SLEEVE, NYSE.between(FIRST, day)).with_columns(
            knowledge_session=pl.lit(day)
        )
        latest = known.sort("known_at").unique(
            ["index", "security_id", "valid_from"], keep="last", maintain_order=True
        )
        kept = members(latest, "I", SessionRange(NYSE, (day,), FIRST))
        found[day] = {name.removeprefix("US:") for name in kept["security_id"]}
    return found


def snapshots(told: Mapping[date, pl.DataFrame]) -> dict[str, pl.DataFrame | str]:
    return {f"membership/{day}.csv": rows for day, rows in told.items()}


def test_a_snapshot_holds_until_the_next_one(tmp_path: Path) -> None:
    told = {
        DAYS[3]: listing(["S00", "S01"]),
        DAYS[8]: listing(["S00", "S02"]),
        DAYS[20]: listing(["S00", "S01", "S02"]),
    }
    folder = write(tmp_path / "in", {"bars.csv": prices(), **snapshots(told)})
    asked = [DAYS[n] for n in (2, 3, 7, 8, 19, 20, 30)]
    found = members_by_day(folder, tmp_path / "lake", asked)
    first, second, third = {"S00", "S01"}, {"S00", "S02"}, {"S00", "S01", "S02"}
    assert list(found.values()) == [set(), first, first, second, second, third, third]


def test_nothing_is_known_before_it_was_published(tmp_path: Path) -> None:
    """The second snapshot came five sessions late: until then the first one held."""
    late = listing(["S02"], DAYS[12])
    told = {DAYS[3]: listing(["S01"], DAYS[3] - timedelta(days=5)), DAYS[8]: late}
    folder = write(tmp_path / "in", {"bars.csv": prices(), **snapshots(told)})
    found = members_by_day(folder, tmp_path / "lake", [DAYS[n] for n in (2, 3, 8, 12, 13)])
    assert list(found.values()) == [set(), {"S01"}, {"S01"}, {"S01"}, {"S02"}]


def test_an_announced_change_holds_from_its_day(tmp_path: Path) -> None:
    told = {DAYS[3]: listing(["S01"], DAYS[2]), DAYS[8]: listing(["S02"], DAYS[1])}
    folder = write(tmp_path / "in", {"bars.csv": prices(), **snapshots(told)})
    found = members_by_day(folder, tmp_path / "lake", [DAYS[n] for n in (3, 7, 8)])
    assert list(found.values()) == [{"S01"}, {"S01"}, {"S02"}]


def test_an_older_snapshot_that_comes_later_changes_nothing(tmp_path: Path) -> None:
    told = {DAYS[8]: listing(["S01"], DAYS[8]), DAYS[3]: listing(["S02"], DAYS[12])}
    folder = write(tmp_path / "in", {"bars.csv": prices(), **snapshots(told)})
    found = members_by_day(folder, tmp_path / "lake", [DAYS[n] for n in (4, 9, 14)])
    assert list(found.values()) == [set(), {"S01"}, {"S01"}]


def test_a_snapshot_without_members_is_refused(tmp_path: Path) -> None:
    empty = {f"membership/{DAYS[3]}.csv": "index,symbol\n"}
    folder = write(tmp_path / "in", {"bars.csv": prices(), **empty})
    with pytest.raises(SourceError, match="lists no member"):
        imported(folder, tmp_path / "lake")


SETS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 25), st.sets(st.sampled_from("ABC"), min_size=1)),
    min_size=1,
    max_size=6,
    unique_by=lambda snapshot: snapshot[0],
)


@settings(max_examples=60)
@given(SETS)
def test_any_snapshots_read_as_the_newest_that_holds(
    told: list[tuple[int, int, set[str]]],
) -> None:
    """Against the rule as it is written, asked day by day."""
    rows = pl.DataFrame(
        [
            {
                "index": "I",
                "symbol": symbol,
                "valid_from": FIRST + timedelta(days=of),
                "known_at": FIRST + timedelta(days=known),
            }
            for of, known, listed in told
            for symbol in sorted(listed)
        ]
    ).select(
        *("index", "symbol", "valid_from"),
        pl.lit(None, pl.Date).alias("valid_to"),
        pl.lit(value=True).alias("snapshot"),
        pl.col("known_at").cast(pl.Datetime("us", "UTC")),
        pl.lit("observed", KNOWN_AT_BASIS).alias("known_at_basis"),
    )
    made = stays(rows, lambda days: days.cast(pl.Datetime("us", "UTC")))
    assert not made.select("index", "symbol", "valid_from", "known_at").is_duplicated().any()
    for number in range(30):
        day = FIRST + timedelta(days=number)
        heard = [(max(of, known), of, listed) for of, known, listed in told if known <= number]
        holding = [snapshot for snapshot in heard if snapshot[0] <= number]
        newest = max(holding, key=lambda snapshot: snapshot[1], default=(0, 0, set[str]()))
        latest = (
            made.filter(pl.col("known_at").dt.date() <= day)
            .sort("known_at")
            .unique(["symbol", "valid_from"], keep="last", maintain_order=True)
            .filter(
                pl.col("valid_from") <= day,
                pl.col("valid_to").is_null() | (pl.col("valid_to") >= day),
            )
        )
        assert sorted(latest["symbol"]) == sorted(newest[2])
