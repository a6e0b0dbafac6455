"""Late bars and corrections: stored when they became known, and used from then on, never before.

Every session of a range is compared with its indicators worked out naively from what was known at
its cutoff (``known_history``), and the range with its single days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import polars as pl
import pytest

from quant_platform_tests.end_to_end.published import (
    FIRST,
    NYSE,
    SECURITIES,
    bar_of,
    clean_rows,
    corrected,
    known_by,
    late,
    published,
)
from quant_platform_tests.end_to_end.stories import make_directly, story
from quant_platform_tests.orchestration.known_history import (
    differences,
    naive_state,
    naive_trend,
)
from quant_platform_tests.small_project import SmallProject

BARS, ACTIONS, TREND, STATE = (
    f"instruments/{kind}" for kind in ("bars", "actions", "features_trend", "features_state")
)
TABLES = (BARS, ACTIONS, STATE, TREND)
Make = Callable[..., SmallProject]
DAY = tuple(NYSE.offset(FIRST, n) for n in range(262))
LAST = DAY[-1]
SAMPLE = [*range(64), *range(64, len(DAY), 6), *range(250, len(DAY))]
"""Sessions that are worked out naively: all in which things happen, and some of the rest."""
REPLAY = 21
LATE, CORRECTED, OVERLAPPING, ANCIENT, LISTED_LATE, TWICE, NEVER, AT_ONCE = SECURITIES
EVENTS = NYSE.between(DAY[29], DAY[54])
"""Sessions in which something late happens, with a few around."""


def eventful_rows() -> pl.DataFrame:
    """Give each security its own kind of late news, and all of them one late session."""
    rows = clean_rows(LAST)
    rows = rows.filter(~(bar_of(DAY[40], NEVER) | bar_of(DAY[41], NEVER)))
    rows = late(rows, bar_of(DAY[30], LATE), DAY[31])
    rows = corrected(rows, bar_of(DAY[32], CORRECTED), 1.25, DAY[35])
    rows = corrected(rows, bar_of(DAY[33], OVERLAPPING), 1.10, DAY[36])
    rows = corrected(rows, bar_of(DAY[34], OVERLAPPING), 0.90, DAY[37])
    rows = corrected(rows, bar_of(DAY[30], OVERLAPPING), 1.05, DAY[37])
    rows = corrected(rows, bar_of(DAY[24], ANCIENT), 1.30, DAY[24 + REPLAY])
    rows = late(rows, bar_of(DAY[0], LISTED_LATE) | bar_of(DAY[1], LISTED_LATE), DAY[6])
    rows = corrected(rows, bar_of(DAY[42], TWICE), 1.20, DAY[44])
    rows = corrected(rows, bar_of(DAY[42], TWICE), 0.95, DAY[47])
    rows = late(rows, bar_of(DAY[50]), DAY[51])
    return corrected(rows, bar_of(DAY[53], AT_ONCE), 1.15, DAY[53])


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return eventful_rows()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, rows: pl.DataFrame) -> Iterator[SmallProject]:
    made = SmallProject.create(
        tmp_path_factory.mktemp("knowledge"), sources=published(rows), tables=TABLES
    )
    made.fill(FIRST, LAST, jobs=["us_daily"], chunk=400)
    yield made
    made.close()


def replayed(rows: pl.DataFrame, lag: int) -> pl.DataFrame:
    """Rows without those that came too late for a replay of so many sessions."""
    arrived = NYSE.knowledge_sessions(rows["known_at"])
    delay = [
        NYSE.ordinal(known) - NYSE.ordinal(session)
        for known, session in zip(arrived, rows["session"], strict=True)
    ]
    return rows.filter(pl.Series(delay) < lag)


def test_rows_are_stored_in_the_session_in_which_they_became_known(
    project: SmallProject, rows: pl.DataFrame
) -> None:
    stored = project.lake.scan(BARS).collect()
    expected = rows.with_columns(knowledge_session=NYSE.knowledge_sessions(rows["known_at"]))
    key = ["knowledge_session", "security_id", "session", "known_at"]
    assert stored.sort(key).equals(expected.select(stored.columns).sort(key))
    late_ones = stored.filter(pl.col("session") < pl.col("knowledge_session"))
    assert late_ones.height == 1 + 1 + 3 + 1 + 2 + 2 + len(SECURITIES)
    assert project.lake.provenance(BARS, DAY[50]).rows == 0
    assert project.lake.provenance(BARS, DAY[51]).rows == 2 * len(SECURITIES)


def test_reads_give_what_was_known_at_the_cutoff(project: SmallProject, rows: pl.DataFrame) -> None:
    for session in [*EVENTS, LAST]:
        known = known_by(rows, NYSE.cutoff(session))
        read = project.lake.as_of(BARS, session).collect().sort("security_id", "session")
        assert read.select(known.columns).equals(known), session


def test_trend_is_that_of_the_bars_known_at_each_cutoff(
    project: SmallProject, rows: pl.DataFrame
) -> None:
    stored = project.lake.scan(TREND).collect()
    for number in SAMPLE:
        session = DAY[number]
        naive = naive_trend(known_by(rows, NYSE.cutoff(session)), DAY[: number + 1])
        made = stored.filter(pl.col("session") == session)
        assert differences(made, naive, relative=2e-6) == [], session


def test_state_is_that_of_the_bars_known_at_each_cutoff(
    project: SmallProject, rows: pl.DataFrame
) -> None:
    stored = project.lake.scan(STATE).collect()
    usable = replayed(rows, REPLAY)
    for number in SAMPLE:
        session = DAY[number]
        naive = naive_state(known_by(usable, NYSE.cutoff(session)), DAY[: number + 1])
        made = stored.filter(pl.col("session") == session)
        assert differences(made, naive, relative=2e-6) == [], session
        states = {
            security: {name: value for name, value in row.items() if name.endswith("_state")}
            for security, row in naive.items()
        }
        assert differences(made, states, relative=1e-9) == [], session


def test_a_correction_changes_nothing_before_it_is_known(
    project: SmallProject, small_project: Make
) -> None:
    """The lake without any late news agrees up to the session before each piece of it."""
    plain = small_project(sources=published(clean_rows(LAST)), tables=TABLES)
    until = DAY[:50]
    for table in TABLES:
        make_directly(plain, table, until)
    for security, known in (
        (CORRECTED, DAY[35]),
        (TWICE, DAY[44]),
        (ANCIENT, DAY[24 + REPLAY]),
    ):
        for table, changes in ((TREND, True), (STATE, security != ANCIENT)):
            own = pl.col("security_id") == security
            with_news, without = (
                lake.scan(table, until).filter(own).sort("session").collect()
                for lake in (project.lake, plain.lake)
            )
            untouched = pl.col("session") < known
            assert with_news.filter(untouched).equals(without.filter(untouched))
            after = pl.col("session") == known
            told = ["restated_from", "revisions_missed"]
            values = pl.all().exclude(told)
            same = (
                with_news.filter(after).select(values).equals(without.filter(after).select(values))
            )
            assert same is not changes, (security, table)


def test_replays_and_missed_revisions_are_told(project: SmallProject) -> None:
    told = project.lake.scan(STATE).filter(pl.col("session").is_in(EVENTS)).collect()

    def restated(security: str, session: date) -> date | None:
        own = (pl.col("security_id") == security) & (pl.col("session") == session)
        return told.filter(own)["restated_from"].item()

    assert restated(LATE, DAY[31]) == DAY[30]
    assert restated(CORRECTED, DAY[35]) == DAY[32]
    assert restated(CORRECTED, DAY[34]) is None
    assert restated(OVERLAPPING, DAY[36]) == DAY[33]
    assert restated(OVERLAPPING, DAY[37]) == DAY[30]
    assert restated(TWICE, DAY[47]) == DAY[42]
    assert restated(AT_ONCE, DAY[53]) is None
    missed = project.lake.scan(STATE).collect().filter(pl.col("revisions_missed") > 0)
    assert missed["security_id"].unique().to_list() == [ANCIENT]
    assert missed["session"].min() == DAY[24 + REPLAY]
    assert missed["revisions_missed"].unique().to_list() == [1]


def test_a_late_session_is_reported_and_not_failed(project: SmallProject) -> None:
    verdicts = {day: entry.verdict for day, entry in project.lake.entries(BARS).items()}
    assert verdicts[DAY[50]] == verdicts[DAY[51]] == "warned"
    assert "blocked" not in verdicts.values()
    assert project.lake.provenance(TREND, DAY[50]).rows == 0
    assert project.lake.provenance(STATE, DAY[50]).rows == len(SECURITIES)
    failed = project.lake.checks(BARS).filter(~pl.col("passed"))
    told = failed.select("session", "rule").sort("session").rows()
    assert told == [(DAY[50], "row_count"), (DAY[51], "late_share")]


@pytest.mark.slow
def test_single_days_equal_the_range(
    project: SmallProject, rows: pl.DataFrame, small_project: Make
) -> None:
    days = small_project(sources=published(rows), tables=TABLES)
    for table in TABLES:
        make_directly(days, table, DAY[: DAY.index(EVENTS[0])])
    for session in EVENTS:
        for table in TABLES:
            make_directly(days, table, [session])
    for table in TABLES:
        assert story(days.lake, table, EVENTS) == story(project.lake, table, EVENTS)


@pytest.mark.parametrize("seed", range(3))
def test_random_corrections_of_random_age(small_project: Make, seed: int) -> None:
    random = np.random.default_rng(seed)
    sessions, replay = DAY[:60], 8
    rows = clean_rows(sessions[-1])
    for security in SECURITIES:
        for _ in range(int(random.integers(0, 6))):
            described = int(random.integers(2, 50))
            known = min(described + int(random.integers(0, 12)), 59)
            chosen = bar_of(sessions[described], security)
            if random.random() < 0.3:
                rows = late(rows, chosen & (pl.col("known_at_basis") == "assumed"), sessions[known])
            else:
                rows = corrected(rows, chosen, float(random.uniform(0.8, 1.2)), sessions[known])
    rows = rows.unique(["security_id", "session", "known_at"], keep="last", maintain_order=True)
    settings = {"platform__features__state__replay_sessions": replay}
    made = small_project(sources=published(rows), tables=TABLES, **settings)
    for table in TABLES:
        for begin, end in ((0, 20), (20, 37), (37, 60)):
            make_directly(made, table, sessions[begin:end])
    trend, state = (made.lake.scan(table).collect() for table in (TREND, STATE))
    unmissed = state.filter(pl.col("revisions_missed") == 0).select("session", "security_id")
    for number, session in enumerate(sessions):
        known = known_by(rows, NYSE.cutoff(session))
        now = pl.col("session") == session
        naive = naive_trend(known, sessions[: number + 1])
        assert differences(trend.filter(now), naive, relative=2e-6) == [], session
        whole = unmissed.filter(now)["security_id"].to_list()
        expected = {
            security: row
            for security, row in naive_state(known, sessions[: number + 1]).items()
            if security in whole
        }
        stored = state.filter(now & pl.col("security_id").is_in(whole))
        assert differences(stored, expected, relative=2e-6) == [], session
    assert unmissed.height > state.height / 2
