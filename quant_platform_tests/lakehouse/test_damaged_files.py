"""Files that are not what the log names: a sentence, never another number."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.filled_lake import (
    DAYS,
    filled_for_spoiling,
)
from quant_platform_tests.lakehouse.small_lake import (
    TREND_TABLE,
    trend_frame,
    write,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Fill a lake that a test may spoil."""
    return filled_for_spoiling(tmp_path)


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(path)


def _other_session(path: Path) -> None:
    other = path.parent.with_name(f"session={DAYS[0]}") / path.name
    grown = pl.read_parquet(other, hive_partitioning=False)
    footer = pl.read_parquet_metadata(other)["quant_platform"]
    grown.write_parquet(path, metadata={"quant_platform": footer, "padding": "x" * 99})


def _other_table(path: Path) -> None:
    rows = pl.read_parquet(path, hive_partitioning=False)
    footer = pl.read_parquet_metadata(path)["quant_platform"]
    footer = footer.replace("instruments/features_trend", "crypto/features_trend")
    rows.write_parquet(path, metadata={"quant_platform": footer})


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_delete, "is gone from"),
        (_cut, "not an intact partition file"),
        (_empty, "not an intact partition file"),
        (_foreign, "not an intact partition file"),
        (_other_session, f"of {DAYS[0]}"),
        (_other_table, "holds crypto/features_trend"),
        (_folder, "not an intact partition file"),
    ],
)
def test_a_file_that_is_not_the_partition_is_a_sentence(
    lake: Lake, spoil: Callable[[Path], None], sentence: str
) -> None:
    path = lake.layout(TREND_TABLE).part(DAYS[4])
    spoil(path)
    for reading in (lake.scan, lambda table: lake.as_of(table, DAYS[6], lookback=4)):
        with pytest.raises(LakeError, match=sentence) as told:
            reading(TREND_TABLE)
        assert str(path) in str(told.value)
        assert told.value.mend
    # Reads that do not need it are not disturbed.
    assert lake.as_of(TREND_TABLE, DAYS[3]).collect().height == 4


def test_a_flipped_bit_is_found_by_verifying(lake: Lake) -> None:
    lake.verify(TREND_TABLE, DAYS)
    path = lake.layout(TREND_TABLE).part(DAYS[4])
    content = bytearray(path.read_bytes())
    content[10] ^= 4
    path.write_bytes(content)
    lake.verify(TREND_TABLE, [*DAYS[:4], *DAYS[5:]])
    with pytest.raises(LakeError, match="is damaged"):
        lake.verify(TREND_TABLE, DAYS)


@pytest.mark.parametrize(
    "read_it",
    [
        lambda lake: lake.scan(TREND_TABLE),
        lambda lake: lake.as_of(TREND_TABLE, DAYS[6], lookback=4),
        lambda lake: lake.latest(TREND_TABLE, DAYS[4]),
        lambda lake: lake.features(TREND_TABLE, DAYS[4]),
    ],
)
@pytest.mark.parametrize("position", [10, -20])
def test_a_flipped_bit_is_never_another_number(
    lake: Lake, read_it: Callable[[Lake], Any], position: int
) -> None:
    read_it(lake)
    path = lake.layout(TREND_TABLE).part(DAYS[4])
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    # Not even the time of its last change gives it away.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(LakeError) as told:
        read_it(lake)
    assert str(path) in str(told.value)
    assert "'quant doctor --deep'" in str(told.value)
    assert not lake.store(TREND_TABLE).intact(lake.provenance(TREND_TABLE, DAYS[4]))


def test_a_partition_that_its_writer_has_not_logged_yet_is_read(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    log = layout.log.read_bytes()
    write(lake, TREND_TABLE, trend_frame([DAYS[4]], close=77.0))
    # As between the rename and the line of the log.
    layout.log.write_bytes(log)
    layout.pending.write_text(str(DAYS[4]))
    reader = Lake.open(lake.root, clock=lake.clock)
    assert reader.scan(TREND_TABLE, [DAYS[4]]).collect()["close"].to_list() == [77.0]
    # Nobody is replacing it: then it is not what was written.
    layout.pending.unlink()
    with pytest.raises(LakeError, match="is damaged"):
        reader.scan(TREND_TABLE, [DAYS[4]])
