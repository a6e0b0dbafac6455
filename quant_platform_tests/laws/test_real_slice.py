"""Laws 1 and 2 on every table of market data and features, made of real published history.

A slice of the US listings of 2015 to 2017, through mapping file, import and source: some dozens of
shares, among them those that left, were renamed or were split, over the months around a session
that was published a session late as a whole. The set lies beside the repository, see
``known_answers.data``.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform.sources.files import FilesSource, FolderReader, ImportStore, read_mapping
from quant_platform_tests.known_answers.data import real_data
from quant_platform_tests.laws.point_in_time import check_another_future, check_truncation
from quant_platform_tests.laws.ranges import (
    check_beginning,
    check_made_over_again,
    check_range_equals_chunks,
    check_securities_apart,
)
from quant_platform_tests.laws.workshop import Recipe, Workshop, only
from quant_platform_tests.sources.files.folders import AT
from quant_platform_tests.sources.markets import NYSE

pytestmark = pytest.mark.slow

SET = "us_pit_2015_2017"
MAPPING = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "mappings" / "us_listings.yaml"
FIRST, LAST = date(2015, 3, 20), date(2016, 12, 2)
DECIDED = date(2016, 10, 3)
"""First day of what is made on rebalance sessions."""
DAY = timedelta(days=1)


def sliced(folder: Path) -> None:
    """Write every fortieth share, with those to which something happened, into a folder."""
    source = real_data(f"{SET}/prices.parquet").parent
    (folder / SET).mkdir()
    listings = pl.read_parquet(source / "listings.parquet")
    splits = pl.read_parquet(source / "implied_actions.parquet").filter(kind="split?")
    symbols = listings["symbol"].unique().sort()
    some = pl.concat(
        [symbols.gather_every(150), splits["symbol"].unique().sort().gather_every(25)]
    ).unique()
    for name in ("prices", "listings", "implied_actions"):
        rows = pl.scan_parquet(source / f"{name}.parquet")
        kept = rows.filter(pl.col("symbol").is_in(some.implode()))
        kept.sink_parquet(folder / SET / f"{name}.parquet")
    for other in ("membership", "earnings"):
        (folder / other).symlink_to(source.parent / other)


@pytest.fixture(scope="module")
def slice_of_history(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("slice")
    sliced(folder)
    reader = FolderReader(folder, read_mapping(MAPPING), NYSE, {"bars": 30})
    store = ImportStore.of(folder / "told", "instruments")
    store.commit(store.prepare(reader, None), AT)
    source = FilesSource(folder / "told", ("instruments",))
    recipe = Recipe(
        {
            "platform__history_start": FIRST.isoformat(),
            "platform__walk_forward_start": DECIDED.isoformat(),
        },
        alter=lambda _: source,
        plant=only("instruments"),
    )
    workshop = Workshop.open(folder / "workshop", recipe)
    workshop.make_all(FIRST, LAST)
    return workshop


@pytest.fixture(scope="module")
def late(slice_of_history: Workshop) -> date:
    """Session in which most bars of the session before it were published."""
    bars = slice_of_history.lake.scan("instruments/bars").collect()
    behind = bars.filter(
        pl.col("knowledge_session") > pl.col("session"),
        pl.col("session").is_between(DECIDED, LAST - 7 * DAY),
    )
    counts = behind.group_by("knowledge_session").len().sort("len", "knowledge_session")
    day = counts["knowledge_session"][-1]
    assert counts["len"][-1] > 20
    assert isinstance(day, date)
    return day


def test_every_table_has_something_to_judge(slice_of_history: Workshop) -> None:
    kinds = {stage.contract.kind for stage in slice_of_history.stages}
    assert {"bars", "actions", "securities", "membership", "earnings", "returns"} <= kinds
    assert {"quality", "universe", "features_state", "features_trend"} <= kinds
    for stage in slice_of_history.stages:
        entries = slice_of_history.lake.entries(stage.table).values()
        assert sum(entry.rows for entry in entries) > 0, stage.table


def test_one_range_is_many_days(slice_of_history: Workshop, late: date) -> None:
    check_range_equals_chunks(slice_of_history, [(late - 4 * DAY, late + 3 * DAY)], chunks=[1])


def test_where_a_range_begins(slice_of_history: Workshop, late: date) -> None:
    check_beginning(slice_of_history, late - 4 * DAY, late, late + 2 * DAY)


def test_made_over_again(slice_of_history: Workshop, late: date) -> None:
    check_made_over_again(slice_of_history, [(late - 2 * DAY, late + 2 * DAY)])


def test_securities_apart(slice_of_history: Workshop, late: date) -> None:
    check_securities_apart(slice_of_history, (late - 2 * DAY, late + DAY))


def test_truncation(slice_of_history: Workshop, late: date) -> None:
    check_truncation(slice_of_history, late - 3 * DAY, [late - DAY, late])


def test_another_future(slice_of_history: Workshop, late: date) -> None:
    check_another_future(slice_of_history, late, ago=2, ahead=5)
