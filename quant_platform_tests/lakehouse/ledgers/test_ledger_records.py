"""Ledger values have one spelling; what has none, and what is secret, is refused."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.ledgers.canonical import canonical_json, plain
from quant_platform.lakehouse.ledgers.records import (
    NO_HASH,
    LedgerLine,
    LedgerRecord,
    RecordType,
    checked,
)

NOW = datetime(2024, 3, 2, 1, 30, tzinfo=UTC)


def record(payload: Any, **changes: Any) -> LedgerRecord:
    values: dict[str, Any] = {
        "record_type": "success",
        "session": date(2024, 3, 1),
        "action": "place",
        "payload": payload,
        "run_id": "run-1",
    }
    return LedgerRecord(**(values | changes))


def sealed(payload: dict[str, Any], **changes: Any) -> tuple[LedgerLine, bytes]:
    return checked(record(payload, **changes)).seal(
        seq=1, batch_seq=1, ts_utc=NOW, supersedes=None, prev_hash=NO_HASH
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ((1, 2.0), "[1,2.0]"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-0.0, "-0.0"),
        (1e22, "1e+22"),
        (10**30, "1" + "0" * 30),
        ("Köln\n", '"Köln\\n"'),
        (date(2024, 3, 1), '"2024-03-01"'),
        (
            datetime(2024, 3, 1, 20, tzinfo=timezone(timedelta(hours=-5))),
            '"2024-03-02T01:00:00.000000Z"',
        ),
        (Decimal("1.50"), '"1.50"'),
        (np.float64(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.float32(0.1), "0.10000000149011612"),
    ],
)
def test_every_value_has_one_spelling(value: object, text: str) -> None:
    assert canonical_json(plain(value, "value")) == text


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"a": [1, {"b": float("nan")}]}, r"payload\.a\[1\]\.b is nan"),
        ({"a": float("-inf")}, r"payload\.a is -inf"),
        ({"a": Decimal("NaN")}, r"payload\.a is NaN"),
        ({"a": np.float32("inf")}, r"payload\.a is inf"),
        ({"a": datetime(2024, 1, 1)}, r"payload\.a is .* without a time zone"),  # noqa: DTZ001
        ({"a": time(1, 2)}, r"payload\.a is a time"),
        ({"a": timedelta(1)}, r"payload\.a is a timedelta"),
        ({"a": {1, 2}}, r"payload\.a is a set"),
        ({"a": b"raw"}, r"payload\.a is a bytes"),
        ({"a": Path("x")}, r"payload\.a is a "),
        ({"a": "half \ud800"}, r"payload\.a holds half a character"),
        ({"half \ud800": 1}, r"payload.* holds half a character"),
        ({"a": {1: 2}}, r"payload\.a has the key 1"),
        ({"a": pl.DataFrame({"x": [1]})}, "frame_hash"),
        ({"a": pl.Series([1])}, "frame_hash"),
        ([1], "payload of 'place' is a list"),
    ],
)
def test_what_has_no_exact_spelling_is_refused(payload: Any, place: str) -> None:
    with pytest.raises(LedgerError, match=place):
        checked(record(payload))


@pytest.mark.parametrize(
    "key",
    [
        *("secret", "api_key", "apiKey", "API-KEY", "APCA_API_KEY_ID", "apikey", "token"),
        *("access_token", "accessToken", "password", "db_password", "client.secret"),
        *("Authorization token", "private_key", "SECRET", "secretKey"),
    ],
)
def test_keys_that_look_secret_are_refused(key: str) -> None:
    for payload in ({key: "x"}, {"a": {"b": [{key: 1}]}}):
        with pytest.raises(LedgerError, match="looks like a secret") as caught:
            checked(record(payload))
        assert "x" not in caught.value.found.split()


@pytest.mark.parametrize(
    "key", ["key", "tokens", "secretary", "idempotency_key", "api_version", "bypass", "keys"]
)
def test_ordinary_keys_are_not_secret(key: str) -> None:
    assert checked(record({key: 1})).payload == {key: 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"record_type": "maybe"},
        {"run_id": ""},
        {"action": ""},
        {"action": "a/b"},
        {"action": 'a"b'},
        {"content_hash": "a b"},
        {"content_hash": ""},
    ],
)
def test_a_record_needs_its_names(changes: dict[str, Any]) -> None:
    with pytest.raises(LedgerError):
        checked(record({}, **changes))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
names = st.text('ab_.,:"{ü株 \\', max_size=5)
payloads = st.dictionaries(
    names | st.sampled_from(["hash", "idempotency_key", "payload_hash", "run_id", "ts_utc"]),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(
    payloads,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["intent", "success", "error", "empty", "recovered"]),
)
@settings(max_examples=100)
def test_a_line_is_read_back_as_it_was_written(
    payload: dict[str, Any], run_id: str, record_type: RecordType
) -> None:
    line, raw = sealed(payload, run_id=run_id, record_type=record_type)
    again = LedgerLine.from_json(raw)
    assert again == line
    again.check(raw)
    assert line.to_json().encode() == raw


def test_the_hashes_are_those_that_anybody_can_recompute() -> None:
    _, raw = sealed({"price": 1.5, "venue": "paper", "run_id": "x", "ts_utc": "y"})
    body = json.loads(raw)

    def digest(value: object) -> str:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    assert body["payload_hash"] == digest({"price": 1.5, "venue": "paper"})
    assert body.pop("hash") == digest(body)


@given(st.data())
@settings(max_examples=150)
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    _, raw = sealed({"price": 1.5, "name": "Köln", "tags": ["a", None]})
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    altered = raw[:place] + bytes([byte]) + raw[place + 1 :]
    with pytest.raises(ValueError, match=r"is not|does not|has "):
        LedgerLine.from_json(altered).check(altered)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seq":1', b'"seq":true'),
        (b'"supersedes":null', b'"supersedes":"1"'),
        (b'"schema_version":1', b'"schema_version":2'),
        (b'"session":"2024-03-01"', b'"session":"yesterday"'),
        (b".000000Z", b""),
        (b'"payload":{', b'"payload":{"a":NaN,'),
        (b'"payload":{', b'"payload":[{'),
        (b'"action":"place",', b""),
        (b'"action"', b'"acted"'),
        (b'"record_type":"success"', b'"record_type":"maybe"'),
        (b'{"action"', b'[{"action"'),
    ],
)
def test_a_line_of_another_shape_is_not_read(old: bytes, new: bytes) -> None:
    _, raw = sealed({"price": 1.5})
    assert old in raw
    with pytest.raises(ValueError, match=r"is not JSON|does not|has "):
        LedgerLine.from_json(raw.replace(old, new, 1))


def test_spaces_and_repeated_keys_are_alterations() -> None:
    _, raw = sealed({"price": 1.5})
    for altered in (
        raw.replace(b",", b", ", 1),
        raw.replace(b'{"action"', b'{"seq":7,"action"'),
        raw.replace(b"place", b"pl\\u0061ce", 1),
        raw.replace(b"1.5", b"1.50"),
        raw.replace(b".000000Z", b".000000+00:00"),
    ):
        assert altered != raw
        with pytest.raises(ValueError, match="canonical"):
            LedgerLine.from_json(altered).check(altered)
