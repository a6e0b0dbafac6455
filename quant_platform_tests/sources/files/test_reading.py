"""What a reading makes of days, times and columns that are not written as ours are."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import ConfigError
from quant_platform.sources.files import FolderReader, read_mapping
from quant_platform.sources.files.mapping import Kind
from quant_platform_tests.sources.files.folders import write
from quant_platform_tests.sources.markets import NYSE

SERIES = "series,session,value,unit\ncpi,2024-01-31,7.5,percent\n"
BARS = "symbol,session,open,high,low,close,volume"


def read(folder: Path, mapping: str, kind: Kind) -> pl.DataFrame:
    path = folder / "map.yaml"
    path.write_text(mapping, encoding="utf-8")
    return FolderReader(folder, read_mapping(path), NYSE, {"bars": 30}).table(kind)


def test_days_later_alone_are_added_to_the_assumed_time(tmp_path: Path) -> None:
    write(tmp_path, {"s.csv": SERIES})
    rows = read(tmp_path, "series:\n  - files: s.csv\n    known_at: {days_later: 45}\n", "series")
    close = NYSE.close(date(2024, 1, 31))
    assert rows["known_at"].to_list() == [close + timedelta(minutes=30, days=45)]
    assert rows["known_at_basis"].to_list() == ["assumed"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/New_York", None])
def test_midnight_is_the_day_in_its_own_zone(tmp_path: Path, zone: str | None) -> None:
    midnight = pl.Series([date(2024, 1, 3)]).cast(pl.Datetime("us")).dt.replace_time_zone(zone)
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    table = pl.DataFrame({"symbol": ["A"], "session": midnight}).with_columns(**numbers)
    write(tmp_path, {"bars.parquet": table})
    rows = read(tmp_path, "bars:\n  - files: bars.parquet\n", "bars")
    assert rows["session"].to_list() == [date(2024, 1, 3)]


def test_an_end_that_is_not_part_of_the_stay_is_the_session_before(tmp_path: Path) -> None:
    first = NYSE.first_day
    ends = [date(2024, 1, 16), date(2024, 1, 7), first, first - timedelta(days=400), None]
    stays = pl.DataFrame({"index": "I", "symbol": "A", "valid_from": first, "end": ends})
    write(tmp_path, {"m.parquet": stays})
    rows = read(
        tmp_path,
        "membership:\n  - files: m.parquet\n"
        "    columns: {valid_to: {column: end, previous_session: true}}\n",
        "membership",
    )
    assert rows["valid_to"].to_list() == [
        # A Tuesday after a holiday, a Sunday, and days before the calendar begins.
        *(date(2024, 1, 12), date(2024, 1, 5)),
        *(first - timedelta(days=1), first - timedelta(days=401), None),
    ]
    with pytest.raises(ConfigError, match="both next_session and previous_session"):
        read(
            tmp_path,
            "membership:\n  - files: m.parquet\n"
            "    columns: {valid_to: {column: e, previous_session: true, next_session: true}}\n",
            "membership",
        )
