"""A rerun over its own old partitions: what lies inside the range is replaced and never read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.store import Judgement
from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    bar_of,
    clean_rows,
    corrected,
    late,
    published,
)
from quant_platform_tests.end_to_end.stories import attempt, make_directly, story
from quant_platform_tests.small_project import SmallProject

Make = Callable[..., SmallProject]
BARS, STATE = "instruments/bars", "instruments/features_state"
LAST = NYSE.offset(FIRST, 24)
BEGIN, END = NYSE.offset(FIRST, 8), NYSE.offset(FIRST, 20)
"""The range that is poisoned and made again."""
INSIDE = NYSE.between(BEGIN, END)


def rows_with_replays() -> pl.DataFrame:
    """Rows whose replays begin before the range, inside it, and in both."""
    day = {n: NYSE.offset(FIRST, n) for n in range(25)}
    rows = late(clean_rows(LAST), bar_of(day[9], SECURITIES[0]), day[12])
    rows = corrected(rows, bar_of(day[5], SECURITIES[1]), 1.1, day[10])
    rows = corrected(rows, bar_of(day[11], SECURITIES[1]), 0.9, day[14])
    return corrected(rows, bar_of(day[7], SECURITIES[2]), 1.2, day[18])


def poison(project: SmallProject, sessions: list[date], by: str) -> None:
    """Overwrite stored state: with other numbers that the log vouches for, or with noise."""
    store = project.lake.store(STATE)
    if by == "noise":
        for session in sessions:
            path = store.file_of(project.lake.provenance(STATE, session))
            path.write_bytes(b"\x17" * path.stat().st_size)
        return
    numbers = pl.selectors.float() & pl.selectors.ends_with("_state")
    rows = project.lake.scan(STATE, sessions).with_columns(numbers * 1000).collect()
    entry = project.lake.provenance(STATE, sessions[0])
    judgements = {day: Judgement("passed", "poison") for day in sessions}
    store.write(rows, judgements, entry.stamp)


@pytest.fixture
def filled(small_project: Make) -> SmallProject:
    project = small_project(sources=published(rows_with_replays()), tables=[STATE])
    project.fill(FIRST, LAST, jobs=["us_daily"])
    return project


@pytest.mark.parametrize("by", ["numbers", "noise"])
def test_a_rerun_never_reads_the_state_that_it_replaces(filled: SmallProject, by: str) -> None:
    honest = story(filled.lake, STATE)
    assert filled.lake.scan(STATE, INSIDE).collect()["restated_from"].drop_nulls().len() >= 3
    poison(filled, INSIDE, by)
    assert attempt(filled, [STATE], BEGIN, END) is None
    assert story(filled.lake, STATE) == honest
    filled.lake.verify(STATE, list(honest))


def test_single_days_never_read_their_own_old_state(filled: SmallProject) -> None:
    honest = story(filled.lake, STATE)
    poison(filled, INSIDE, "numbers")
    for session in INSIDE:
        make_directly(filled, STATE, [session])
    assert story(filled.lake, STATE) == honest


def test_state_before_the_range_is_read(filled: SmallProject) -> None:
    """The twin: poison where the range must read shows, so the tests above can fail."""
    honest = story(filled.lake, STATE)
    poison(filled, [NYSE.offset(BEGIN, -1)], "numbers")
    assert attempt(filled, [STATE], BEGIN, END) is None
    assert story(filled.lake, STATE, INSIDE) != {day: honest[day] for day in INSIDE}


def test_noise_before_the_range_stops_it(filled: SmallProject) -> None:
    honest = story(filled.lake, STATE)
    before = NYSE.offset(BEGIN, -1)
    poison(filled, [before], "noise")
    error = attempt(filled, [STATE], BEGIN, END)
    assert isinstance(error, LakeError)
    assert "is damaged" in str(error)
    assert f"'quant backfill --from {before} --to {before}'" in str(error)
    assert story(filled.lake, STATE) == honest


def test_the_mend_that_the_error_names_works(filled: SmallProject) -> None:
    honest = story(filled.lake, STATE)
    before = NYSE.offset(BEGIN, -1)
    poison(filled, [before], "noise")
    filled.lake.store(STATE).file_of(filled.lake.provenance(STATE, before)).unlink()
    filled.fill(before, before, jobs=["us_daily"])
    assert attempt(filled, [STATE], BEGIN, END) is None
    assert story(filled.lake, STATE) == honest
