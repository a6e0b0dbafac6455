"""The content hash of a frame: the same rows give the same hash, whatever their arrangement.

Two partitions are equal when they hold the same columns, types and exact values under the same
keys. How the rows were chunked, in which order rows or columns arrived and which version of Polars
made them says nothing about content, so none of it reaches the hash:

1. Rows are put in the order of their key. A key that occurs twice would leave the order open, so
   it is a :class:`~quant_platform.errors.ContractError`. Enum and Categorical keys sort by their
   text, so the order does not depend on how categories were declared.
2. Columns are taken in the order of their names. A header names every column and its type, time
   unit and time zone included.
3. Each column becomes contiguous little-endian buffers once: numbers, booleans and times as their
   values; text, Enum and Categorical as byte lengths and joined UTF-8; lists as lengths and,
   recursively, their joined elements; structs as their fields, by name. Nulls are a byte mask
   beside the values, and what lies under a null is zero (`quant_platform.lakehouse.buffers`).
4. SHA-256 runs over the header, the row count and, column by column, the buffers of the rows. Row
   count and lengths come before the bytes that they count, so no two contents share a stream.

Values are compared by their exact bits, so ``0.0`` and ``-0.0`` differ, and null, NaN and zero
differ; only the NaNs, whose bits no computation promises, all count as one. The categories that an
Enum declares are not content, the texts that the rows use are.

A range of partitions is sorted once and its buffers are made once; each partition then hashes its
slice of them, which gives the same hash as hashing the partition alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl

from quant_platform.errors import ContractError
from quant_platform.lakehouse.buffers import buffers_of, is_text, type_token

_FORMAT = b"quant_platform.frame/1"


def frame_hash(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """Hash the content of one frame.

    Parameters
    ----------
    frame
        Columns of booleans, integers, floats, dates, times, datetimes, durations, text, Enum,
        Categorical, or lists and structs of those.
    key
        Columns that identify a row. May be empty when the frame has at most one row.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ContractError
        A key column is absent, a key occurs twice, or a column has a type without exact values.
    """
    ordered = _in_key_order(frame, list(key))
    return _hash_slices(ordered, [0, ordered.height])[0]


def partition_hashes(
    frame: pl.DataFrame, key: Sequence[str], partition: str = "session"
) -> dict[date, str]:
    """Hash every partition of a range frame in one pass.

    Parameters
    ----------
    frame
        Rows of any number of partitions, in any order.
    key
        Columns that identify a row within its partition; the partition column may be among them.
    partition
        The Date column that tells which partition a row belongs to.

    Returns
    -------
    dict[date, str]
        For each partition, in ascending order, what :func:`frame_hash` gives for its rows alone.
    """
    ordered, days, bounds = _partitioned(frame, key, partition)
    return dict(zip(days, _hash_slices(ordered, bounds), strict=True))


def sorted_partitions(
    frame: pl.DataFrame, key: Sequence[str], partition: str = "session"
) -> Iterator[tuple[date, str, pl.DataFrame]]:
    """Yield every partition with its hash and its rows in key order.

    Parameters
    ----------
    frame, key, partition
        As for :func:`partition_hashes`.

    Yields
    ------
    tuple[date, str, polars.DataFrame]
        The partition, its content hash, and its rows: columns as they came, rows by key. The
        rows are a view of one sorted frame, not a copy.
    """
    ordered, days, bounds = _partitioned(frame, key, partition)
    hashes = _hash_slices(ordered, bounds)
    for index, (day, content_hash) in enumerate(zip(days, hashes, strict=True)):
        start, stop = bounds[index], bounds[index + 1]
        yield day, content_hash, ordered.slice(start, stop - start)


def _partitioned(
    frame: pl.DataFrame, key: Sequence[str], partition: str
) -> tuple[pl.DataFrame, list[date], list[int]]:
    """Return the frame in order of partition and key, its partitions, and where each begins."""
    if frame.schema.get(partition) != pl.Date:
        raise ContractError(
            f"partition column {partition!r} is {frame.schema.get(partition, 'absent')}",
            expected="a Date column",
        )
    if frame[partition].null_count():
        raise ContractError(
            f"partition column {partition!r} is null in {frame[partition].null_count()} rows",
            expected="a date in every row",
        )
    ordered = _in_key_order(frame, [partition, *(name for name in key if name != partition)])
    column = ordered[partition]
    if not ordered.height:
        return ordered, [], [0]
    steps = np.flatnonzero(np.diff(column.cast(pl.Int32).to_numpy())) + 1
    starts = [0, *steps.tolist()]
    return ordered, [column[start] for start in starts], [*starts, ordered.height]


def _in_key_order(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the frame sorted by key, in one chunk; refuse a key that occurs twice."""
    absent = [name for name in key if name not in frame.columns]
    if absent:
        raise ContractError(
            f"key column {', '.join(map(repr, absent))} is not in the frame",
            expected=f"one of {', '.join(frame.columns)}",
        )
    if frame.height < 2:
        return frame.rechunk()
    if not key:
        raise ContractError(
            f"a frame of {frame.height} rows has no key",
            expected="the columns that identify a row",
        )
    # As text, so that the order does not depend on how categories were declared.
    sortable = [
        pl.col(name).cast(pl.String) if is_text(frame.schema[name]) else pl.col(name)
        for name in key
    ]
    if not _strictly_ascends(frame.lazy().select(sortable)):
        frame = frame.sort(sortable)
        _refuse_twins(frame.select(sortable))
    return frame.rechunk()


def _strictly_ascends(keys: pl.LazyFrame) -> bool:
    """Tell whether every row's key lies above the one before it: sorted, without twins.

    Comparing neighbours costs a fraction of sorting, and most producers emit rows in key order.
    A null key compares as null and so counts as not ascending, which only costs the sort.
    """
    ascends = pl.lit(value=False)
    for name in reversed(keys.collect_schema().names()):
        before, after = pl.col(name).shift(1), pl.col(name)
        ascends = (before < after) | ((before == after) & ascends)
    verdict = keys.select(ascends.slice(1).fill_null(value=False).all()).collect(engine="in-memory")
    return bool(verdict.item())


def _refuse_twins(keys: pl.DataFrame) -> None:
    """Raise when two neighbours of a sorted frame have the same key."""
    same = keys.select(
        pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in keys.columns)
        & (pl.int_range(pl.len()) > 0)
    ).to_series()
    twins = same.sum()
    if twins:
        first = keys.row(same.arg_max() or 0, named=True)
        shown = ", ".join(f"{name}={value}" for name, value in first.items())
        raise ContractError(
            f"{twins} rows repeat the key of another row, first at {shown}",
            expected=f"each ({', '.join(keys.columns)}) once",
        )


def _hash_slices(frame: pl.DataFrame, bounds: list[int]) -> list[str]:
    """Hash the rows between each two neighbouring bounds; one column's buffers live at a time."""
    schema = dict(frame.schema)
    names = sorted(schema)
    header = hashlib.sha256(_FORMAT + len(names).to_bytes(8, "little"))
    for name in names:
        for part in (name, type_token(name, schema[name])):
            text = part.encode()
            header.update(len(text).to_bytes(8, "little") + text)
    slices = list(pairwise(bounds))
    digests = [header.copy() for _ in slices]
    for digest, (start, stop) in zip(digests, slices, strict=True):
        digest.update((stop - start).to_bytes(8, "little"))
    for name in names:
        column = buffers_of(frame[name])
        for digest, (start, stop) in zip(digests, slices, strict=True):
            column.feed(digest, start, stop)
    return [digest.hexdigest() for digest in digests]
