"""The buffers of a column: what of it is content, as bytes that any run of rows can be fed from.

A column becomes contiguous little-endian buffers once, and a partition hashes its slice of them;
`quant_platform.lakehouse.content` says what goes into the hash and why. What lies under a null is
zero, so that it cannot show.

Most partitions are a few rows, for which one expression of Polars costs a hundred times what
hashing their bytes does: values and masks are taken from the column's memory wherever it has them.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl
from polars.datatypes import DataTypeClass

from quant_platform.errors import ContractError

_VALUE_TYPES: dict[type[pl.DataType], str] = {
    pl.Boolean: "bool",
    pl.Int8: "i8",
    pl.Int16: "i16",
    pl.Int32: "i32",
    pl.Int64: "i64",
    pl.UInt8: "u8",
    pl.UInt16: "u16",
    pl.UInt32: "u32",
    pl.UInt64: "u64",
    pl.Float32: "f32",
    pl.Float64: "f64",
    pl.Date: "date",
    pl.Time: "time",
}
_STORED_AS: dict[type[pl.DataType], type[pl.DataType]] = {
    pl.Boolean: pl.UInt8,
    pl.Date: pl.Int32,
    pl.Time: pl.Int64,
    pl.Datetime: pl.Int64,
    pl.Duration: pl.Int64,
}
"""The numbers that stand for values that are not numbers themselves."""
_TEXT_TYPES: dict[type[pl.DataType], str] = {
    pl.String: "string",
    pl.Enum: "enum",
    pl.Categorical: "categorical",
}


class Digest(Protocol):
    """What takes the bytes in: a hash of ``hashlib``."""

    def update(self, data: Any, /) -> None:
        """Take in bytes, or what shows them."""


class Buffers(Protocol):
    """The buffers of one column, of which any run of rows can be fed to a digest."""

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        """Hand the rows from ``start`` up to ``stop`` to a digest."""


def type_token(name: str, dtype: pl.DataType) -> str:
    """Return the text that stands for a type in the header."""
    if isinstance(dtype, pl.List):
        return f"list[{type_token(name, _instance(dtype.inner))}]"
    if isinstance(dtype, pl.Struct):
        # A field's name may hold anything: its length says where it ends.
        parts = [
            f"{len(field.name.encode())}:{field.name}={type_token(name, _instance(field.dtype))}"
            for field in sorted(dtype.fields, key=lambda field: field.name)
        ]
        return f"struct[{','.join(parts)}]"
    if isinstance(dtype, pl.Datetime):
        return f"datetime[{dtype.time_unit},{dtype.time_zone or ''}]"
    if isinstance(dtype, pl.Duration):
        return f"duration[{dtype.time_unit}]"
    token = (_VALUE_TYPES | _TEXT_TYPES).get(type(dtype))
    if token is None:
        raise ContractError(
            f"column {name!r} is {dtype}",
            expected="a boolean, number, time or text column, or a list or struct of those",
            mend="cast it before it is stored",
        )
    return token


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column's values are texts, however it stores them."""
    return type(dtype) in _TEXT_TYPES


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def buffers_of(series: pl.Series) -> Buffers:
    """Turn a column of a supported type into its buffers."""
    series = series.rechunk()
    if isinstance(series.dtype, pl.List):
        return _ListColumn(series)
    if isinstance(series.dtype, pl.Struct):
        return _StructColumn(series)
    if is_text(series.dtype):
        return _TextColumn(series)
    return _ValueColumn(series)


Mask = np.ndarray[Any, np.dtype[np.uint8]]


class _Nulls:
    """Which rows are null: one byte per row, or nothing at all where no row is."""

    def __init__(self, mask: Mask | None) -> None:
        self._mask = mask
        if mask is not None:
            self._before = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        # The flag depends on these rows only; a null elsewhere in the range must not show.
        if self._mask is None or self._before[start] == self._before[stop]:
            digest.update(b"\x00")
        else:
            digest.update(b"\x01")
            digest.update(self._mask[start:stop])


def _mask_of(array: Any) -> Mask:
    """Mask of an Arrow array that has nulls: its validity, one byte per row and turned round."""
    validity = np.frombuffer(array.buffers()[0], dtype=np.uint8)
    bits = np.unpackbits(validity, bitorder="little")
    return 1 - bits[array.offset : array.offset + len(array)]


def _mask_of_rows(series: pl.Series) -> Mask | None:
    """Mask of a nested column, whose memory is not worth turning into Arrow for it."""
    return series.is_null().cast(pl.UInt8).to_numpy() if series.null_count() else None


class _ValueColumn:
    """Booleans, numbers and times: one fixed-width value per row."""

    def __init__(self, series: pl.Series) -> None:
        stored_as = _STORED_AS.get(type(series.dtype))
        values = series if stored_as is None else series.cast(stored_as)
        mask, array = None, values.to_numpy() if not values.null_count() else None
        if array is None:
            arrow: Any = values.to_arrow()
            mask = _mask_of(arrow)
            memory = np.frombuffer(arrow.buffers()[1], dtype=arrow.type.to_pandas_dtype())
            rows = memory[arrow.offset : arrow.offset + len(arrow)]
            array = np.where(mask, rows.dtype.type(0), rows)
        self._nulls = _Nulls(mask)
        if array.dtype.kind == "f":
            not_a_number = np.isnan(array)
            if not_a_number.any():
                array = np.where(not_a_number, array.dtype.type(np.nan), array)
        self._values = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        self._nulls.feed(digest, start, stop)
        digest.update(self._values[start:stop])


class _TextColumn:
    """Text: the length of each row in bytes, then all bytes joined."""

    def __init__(self, series: pl.Series) -> None:
        texts = series.cast(pl.String)
        mask = _mask_of(texts.to_arrow()) if texts.null_count() else None
        self._nulls = _Nulls(mask)
        arrow: Any = (texts if mask is None else texts.fill_null("")).rechunk().to_arrow()
        _, offsets, data = arrow.buffers()
        ends = np.frombuffer(offsets, dtype="<i8")[arrow.offset : arrow.offset + len(arrow) + 1]
        self._bounds = ends if len(ends) else np.zeros(1, dtype="<i8")
        self._lengths = np.diff(self._bounds)
        self._data = memoryview(data if data is not None else b"")

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        self._nulls.feed(digest, start, stop)
        digest.update(self._lengths[start:stop])
        digest.update(self._data[self._bounds[start] : self._bounds[stop]])


class _ListColumn:
    """Lists: the length of each row, then the joined elements as a column of their own."""

    def __init__(self, series: pl.Series) -> None:
        self._nulls = _Nulls(_mask_of_rows(series))
        lengths = series.list.len().fill_null(0).cast(pl.Int64).to_numpy()
        self._lengths = np.ascontiguousarray(lengths, dtype="<i8")
        self._bounds = np.concatenate(([0], np.cumsum(self._lengths)))
        self._elements = buffers_of(series.explode(empty_as_null=False, keep_nulls=False))

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        self._nulls.feed(digest, start, stop)
        digest.update(self._lengths[start:stop])
        self._elements.feed(digest, int(self._bounds[start]), int(self._bounds[stop]))


class _StructColumn:
    """Structs: each field as a column of its own, in the order of their names."""

    def __init__(self, series: pl.Series) -> None:
        self._nulls = _Nulls(_mask_of_rows(series))
        # A field of a null struct may hold anything; none of it is content.
        fields = [series.struct.field(name) for name in sorted(series.struct.fields)]
        if series.null_count():
            present = series.is_not_null()
            fields = [pl.select(pl.when(present).then(field)).to_series() for field in fields]
        self._fields = [buffers_of(field) for field in fields]

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        self._nulls.feed(digest, start, stop)
        for field in self._fields:
            field.feed(digest, start, stop)
