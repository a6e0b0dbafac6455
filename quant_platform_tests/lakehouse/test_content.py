"""The content hash: blind to arrangement, sensitive to every value, type and name."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import ContractError
from quant_platform.lakehouse.content import frame_hash, partition_hashes, sorted_partitions

FIRST = date(2024, 1, 1)
EPOCH = datetime(1990, 1, 1, tzinfo=UTC)
COLOURS = ["red", "green", "blue"]
SCHEMA: dict[str, Any] = {
    "session": pl.Date,
    "symbol": pl.String,
    "flag": pl.Boolean,
    "small": pl.Int8,
    "count": pl.UInt64,
    "price": pl.Float64,
    "feature": pl.Float32,
    "known_at": pl.Datetime("us", "UTC"),
    "text": pl.String,
    "colour": pl.Enum(COLOURS),
    "group": pl.Categorical,
    "path": pl.List(pl.Float64),
    "words": pl.List(pl.List(pl.String)),
    "pair": pl.Struct({"text": pl.String, "price": pl.Float64}),
    "parts": pl.List(pl.Struct({"sleeve": pl.String, "weights": pl.List(pl.Float64)})),
}

floats = st.floats() | st.sampled_from([0.0, -0.0, float("nan"), float("inf")])
texts = st.text(max_size=5)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": maybe(st.booleans()),
    "small": maybe(st.integers(-128, 127)),
    "count": maybe(st.integers(0, 2**64 - 1)),
    "price": maybe(floats),
    "feature": maybe(st.floats(width=32)),
    "known_at": maybe(
        st.integers(0, 10**15).map(lambda micros: EPOCH + timedelta(microseconds=micros))
    ),
    "text": maybe(texts),
    "colour": maybe(st.sampled_from(COLOURS)),
    "group": maybe(st.sampled_from(["a", "b"])),
    "path": maybe(st.lists(maybe(floats), max_size=2)),
    "words": maybe(st.lists(maybe(st.lists(maybe(texts), max_size=2)), max_size=2)),
}
VALUES["pair"] = maybe(st.fixed_dictionaries({"text": maybe(texts), "price": maybe(floats)}))
VALUES["parts"] = maybe(
    st.lists(
        maybe(st.fixed_dictionaries({"sleeve": maybe(texts), "weights": VALUES["path"]})),
        max_size=2,
    )
)
keys = st.tuples(st.integers(0, 2).map(lambda day: FIRST + timedelta(day)), texts)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Frames with every supported kind of column; (session, symbol) is the key."""
    drawn = draw(st.lists(keys, min_size=1, max_size=6, unique=True))
    row = st.fixed_dictionaries(VALUES)
    return pl.DataFrame(
        [{"session": session, "symbol": symbol} | draw(row) for session, symbol in drawn],
        schema=SCHEMA,
    )


KEY = ["session", "symbol"]


@given(frames(), st.data())
@settings(max_examples=40)
def test_arrangement_does_not_reach_the_hash(frame: pl.DataFrame, data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(frame.height)))
    columns = data.draw(st.permutations(frame.columns))
    cuts = sorted(data.draw(st.lists(st.integers(0, frame.height), max_size=3)))
    shuffled = frame[rows].select(columns)
    bounds = [0, *cuts, frame.height]
    chunked = pl.concat(
        [shuffled.slice(start, stop - start) for start, stop in pairwise(bounds)], rechunk=False
    )
    assert frame_hash(chunked, KEY) == frame_hash(frame, KEY)


@given(frames())
@settings(max_examples=40)
def test_a_range_hashes_like_its_days(frame: pl.DataFrame) -> None:
    alone = {
        day: frame_hash(frame.filter(pl.col("session") == day), KEY)
        for day in frame["session"].unique().sort()
    }
    assert partition_hashes(frame, KEY) == alone
    assert list(partition_hashes(frame, KEY)) == sorted(alone)
    pieces = list(sorted_partitions(frame[list(range(frame.height))[::-1]], KEY))
    assert {day: content for day, content, _ in pieces} == alone
    for day, content, rows in pieces:
        assert rows["session"].unique().to_list() == [day]
        assert rows["symbol"].to_list() == sorted(rows["symbol"], key=lambda text: text.encode())
        assert rows.columns == frame.columns
        assert frame_hash(rows, ["symbol"]) == content


def _exact(value: object) -> object:
    """Return what makes two values the same content: exact bits, and one NaN."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value)  # noqa: PLR0124
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    return value


@given(frames(), st.data())
@settings(max_examples=40)
def test_one_changed_value_changes_the_hash(frame: pl.DataFrame, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(sorted(VALUES)))
    row = data.draw(st.integers(0, frame.height - 1))
    values = frame[column].to_list()
    before, after = (
        pl.Series([value], dtype=SCHEMA[column]).to_list()[0]
        for value in (values[row], data.draw(VALUES[column]))
    )
    values[row] = after
    changed = frame.with_columns(pl.Series(column, values, dtype=SCHEMA[column]))
    same = _exact(before) == _exact(after)
    assert (frame_hash(changed, KEY) == frame_hash(frame, KEY)) is same


def one(dtype: pl.DataType | type[pl.DataType], *values: object) -> str:
    """Hash one column of values under a counting key."""
    frame = pl.DataFrame({"k": range(len(values)), "x": pl.Series(values, dtype=dtype)})
    return frame_hash(frame, ["k"])


def test_null_nan_zero_and_negative_zero_all_differ() -> None:
    hashes = {one(pl.Float64, value) for value in (None, float("nan"), 0.0, -0.0)}
    assert len(hashes) == 4


def test_every_nan_is_the_same_nan() -> None:
    quiet, signed = (
        pl.DataFrame({"x": pl.Series([bits], dtype=pl.UInt64).reinterpret(dtype=pl.Float64)})
        for bits in (0x7FF8000000000000, 0xFFF8000000000123)
    )
    assert signed["x"].is_nan().all()
    assert frame_hash(quiet, []) == frame_hash(signed, [])


def test_what_lies_under_a_null_does_not_count() -> None:
    kept = pl.DataFrame({"k": [1, 2], "x": [7.5, 1.0], "show": [False, True]})
    masked = kept.with_columns(x=pl.when("show").then("x"))
    plain = kept.with_columns(x=pl.Series([None, 1.0]))
    assert frame_hash(masked, ["k"]) == frame_hash(plain, ["k"])


def test_type_unit_zone_and_name_count() -> None:
    moment = datetime(2024, 1, 2)  # noqa: DTZ001
    hashes = [
        one(pl.Int32, 1),
        one(pl.Int64, 1),
        one(pl.UInt32, 1),
        one(pl.Float32, 1.0),
        one(pl.Float64, 1.0),
        one(pl.Boolean, True),
        one(pl.Datetime("us"), moment),
        one(pl.Datetime("ms"), moment),
        one(pl.Datetime("us", "UTC"), moment),
        one(pl.Datetime("us", "America/New_York"), moment),
        one(pl.Duration("us"), timedelta(1)),
        one(pl.Duration("ms"), timedelta(1)),
        one(pl.Date, moment.date()),
        one(pl.String, "a"),
        one(pl.Enum(["a"]), "a"),
        one(pl.Categorical, "a"),
        one(pl.List(pl.Int64), [1]),
        one(pl.List(pl.Int32), [1]),
        frame_hash(pl.DataFrame({"k": [0], "y": [1]}), ["k"]),
        frame_hash(pl.DataFrame({"k": [0]}), ["k"]),
    ]
    assert len(set(hashes)) == len(hashes)


def test_values_do_not_run_into_each_other() -> None:
    hashes = [
        one(pl.String, "ab", "c"),
        one(pl.String, "a", "bc"),
        one(pl.String, "abc", ""),
        one(pl.String, "abc", None),
        one(pl.List(pl.Int64), [1, 2], [3]),
        one(pl.List(pl.Int64), [1], [2, 3]),
        one(pl.List(pl.Int64), [1, 2, 3], []),
        one(pl.List(pl.Int64), [1, 2, 3], None),
        one(pl.List(pl.Int64), [1, 2, 3], [None]),
    ]
    assert len(set(hashes)) == len(hashes)


PART = pl.Struct({"sleeve": pl.String, "weight": pl.Float64})


def test_structs_are_their_fields_by_name() -> None:
    turned = pl.Struct({"weight": pl.Float64, "sleeve": pl.String})
    part = {"sleeve": "etfs", "weight": 0.5}
    assert one(PART, part) == one(turned, part)
    assert one(pl.List(PART), [part]) == one(pl.List(turned), [part])


def test_structs_do_not_run_into_each_other() -> None:
    a, b = {"sleeve": "a", "weight": 0.25}, {"sleeve": "b", "weight": 0.75}
    swapped = [{"sleeve": "a", "weight": 0.75}, {"sleeve": "b", "weight": 0.25}]
    nothing = {"sleeve": None, "weight": None}
    hashes = [
        one(PART, a, b),
        one(PART, *swapped),
        one(PART, nothing, b),
        one(PART, None, b),
        one(pl.List(PART), [a, b], []),
        one(pl.List(PART), swapped, []),
        one(pl.List(PART), [a], [b]),
        one(pl.List(PART), [a, b], None),
        one(pl.List(PART), [a, b], [None]),
        one(pl.List(PART), [a, b], [nothing]),
        one(pl.Struct({"sleeve": pl.String, "weights": pl.Float64}), None, None),
        one(pl.Struct({"sleeve": pl.String, "weight": pl.Float32}), None, None),
        one(pl.Struct({"a": pl.Struct({"b": pl.Int64}), "c": pl.Int64}), None),
        one(pl.Struct({"a": pl.Struct({"b": pl.Int64, "c": pl.Int64})}), None),
        # Names that look like the header's own words.
        one(pl.Struct({"a": pl.Int64, "b": pl.Int64}), None),
        one(pl.Struct({"a=i64,1:b": pl.Int64}), None),
    ]
    assert len(set(hashes)) == len(hashes)


def test_what_lies_under_a_null_struct_does_not_count() -> None:
    full = pl.DataFrame(
        {
            "k": [1, 2],
            "x": [{"a": 7.5, "b": [{"c": "hidden"}]}, {"a": 1.0, "b": [{"c": "seen"}]}],
            "show": [False, True],
        }
    )
    masked = full.with_columns(x=pl.when("show").then("x"))
    plain = full.with_columns(x=pl.Series([None, full["x"][1]], dtype=full.schema["x"]))
    assert masked["x"].null_count() == 1
    assert frame_hash(masked, ["k"]) == frame_hash(plain, ["k"])
    assert frame_hash(masked, ["k"]) != frame_hash(full, ["k"])


def test_declared_categories_do_not_count() -> None:
    values = ["red", "blue", "green"]
    frames_ = [
        pl.DataFrame({"c": pl.Series(values, dtype=pl.Enum(order)), "x": [1, 2, 3]})
        for order in (COLOURS, sorted(COLOURS), [*COLOURS, "black"])
    ]
    assert len({frame_hash(frame, ["c"]) for frame in frames_}) == 1


def test_empty_frames_hash_by_their_columns() -> None:
    ints = pl.DataFrame(schema={"session": pl.Date, "x": pl.Int64})
    assert frame_hash(ints, ["session"]) == frame_hash(ints.select("x", "session"), ["session"])
    assert frame_hash(ints, []) != frame_hash(ints.cast({"x": pl.Int32}), [])
    assert frame_hash(ints, []) != frame_hash(ints.clear(1), [])
    assert partition_hashes(ints, ["session"]) == {}
    assert list(sorted_partitions(ints, ["session"])) == []


def test_the_hash_of_a_known_frame_never_moves() -> None:
    """Stored partitions carry this hash, so a change of the format would orphan them all."""
    frame = pl.DataFrame(
        {
            "session": [date(2024, 1, 3), date(2024, 1, 2)],
            "symbol": ["MSFT", "AAPL"],
            "close": [370.6, None],
            "tags": [["tech"], []],
            "live": [True, None],
        }
    )
    expected = "91c29d23db97741a5b99dc8df0dfaf138002b73e182e0edaebd5ea18ce245b5e"
    assert frame_hash(frame, ["session", "symbol"]) == expected


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"k": [1, 1], "x": [1.0, 2.0]}),
        pl.DataFrame({"k": [None, None], "x": [1.0, 2.0]}, schema={"k": pl.Int64, "x": pl.Float64}),
        pl.DataFrame({"k": [0.0, -0.0]}),
        pl.DataFrame({"j": [1]}),
        pl.DataFrame({"k": [1], "x": [None]}),
        pl.DataFrame({"k": [1], "x": [{"a": None}]}),
        pl.DataFrame({"k": [1], "x": [[{"a": None}]]}),
        pl.DataFrame({"k": [1], "x": pl.Series([object()], dtype=pl.Object)}),
    ],
    ids=["twins", "null twins", "zero twins", "no key", "untyped", "in struct", "below", "object"],
)
def test_what_has_no_single_content_is_refused(frame: pl.DataFrame) -> None:
    with pytest.raises(ContractError):
        frame_hash(frame, ["k"])


def test_many_rows_without_a_key_are_refused() -> None:
    with pytest.raises(ContractError):
        frame_hash(pl.DataFrame({"x": [1, 2]}), [])
    assert frame_hash(pl.DataFrame({"x": [1]}), [])


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([date(2024, 1, 2), None]),
        pl.Series(["2024-01-02", "2024-01-03"]),
    ],
    ids=["null", "text"],
)
def test_a_partition_column_holds_dates(column: pl.Series) -> None:
    frame = pl.DataFrame({"session": column, "k": [1, 2]})
    with pytest.raises(ContractError):
        partition_hashes(frame, ["k"])
    with pytest.raises(ContractError):
        partition_hashes(frame.drop("session"), ["k"])
