"""What a ledger line is: its fields, its one spelling, its hashes.

A line is one JSON object in the canonical form of
:mod:`~quant_platform.lakehouse.ledgers.canonical`. One content has one spelling, so a line in any
other spelling was altered.

===================  ===========================================================================
``seq``              position in the ledger, from 1 without gaps
``batch_seq``        ``seq`` of the first line that was appended in the same step
``schema_version``   version of this layout
``record_type``      ``intent``, or an outcome: ``success``, ``error``, ``empty``, ``recovered``,
                     ``withdrawn``
``run_id``           the run that wrote the line
``ts_utc``           what the clock said when it was written
``session``          the session it is about, or null
``action``           what was done
``content_hash``     content of what it was done with, as by ``content.frame_hash``
``payload``          what there is to say
``idempotency_key``  session, action and content hash in one text
``supersedes``       ``seq`` of the line of the same key that this one replaces, or null
``payload_hash``     SHA-256 of the payload without ``run_id`` and ``ts_utc``
``prev_hash``        ``hash`` of the line before; 64 zeros in the first
``hash``             SHA-256 of the line without this field
===================  ===========================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Literal, NoReturn, get_args

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.ledgers.canonical import canonical_json, moment_text, plain, text_hash

RecordType = Literal["intent", "success", "error", "empty", "recovered", "withdrawn"]
SCHEMA_VERSION = 1
NO_HASH = "0" * 64

_RECORD_TYPES: tuple[str, ...] = get_args(RecordType)
_NAME = re.compile(r"[A-Za-z0-9_.:+-]+")
_NOT_COMPARED = ("run_id", "ts_utc")


@dataclass(frozen=True)
class LedgerRecord:
    """What somebody wants to have recorded.

    Parameters
    ----------
    record_type
        ``intent`` before an action; ``success``, ``error`` or ``empty`` after it; ``recovered``
        closes an intent whose process died, ``withdrawn`` takes an outcome back.
    session
        Session that it is about; None for what belongs to no session.
    action
        Name of what was done, such as ``meta_optimize_hrp``.
    payload
        Texts, numbers, dates, decimals, lists and mappings of them. No frames, no secrets.
    run_id
        The run that asks for it.
    content_hash
        Content of what the action works on, usually ``frame_hash`` of its input. By default the
        hash of the payload, so that only an equal record counts as the same one.
    """

    record_type: RecordType
    session: date | None
    action: str
    payload: Mapping[str, Any]
    run_id: str
    content_hash: str | None = None


@dataclass(frozen=True)
class LedgerLine:
    """One line of a ledger; the fields are those of the file."""

    seq: int
    batch_seq: int
    schema_version: int
    record_type: RecordType
    run_id: str
    ts_utc: datetime
    session: date | None
    action: str
    content_hash: str
    payload: dict[str, Any]
    idempotency_key: str
    supersedes: int | None
    payload_hash: str
    prev_hash: str
    hash: str

    def to_json(self) -> str:
        """Return the line as it stands in the file, without its line end."""
        return _with_hash(canonical_json(self._body()), self.hash)

    def _body(self) -> dict[str, Any]:
        """Return what the hash covers, in plain JSON types."""
        body = vars(self) | {
            "ts_utc": moment_text(self.ts_utc),
            "session": None if self.session is None else self.session.isoformat(),
        }
        del body["hash"]
        return body

    @classmethod
    def from_json(cls, raw: bytes) -> LedgerLine:
        """Read a line without recomputing its hashes; ValueError says what is wrong with it."""
        try:
            body = _DECODER.decode(raw.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError("is not JSON") from error
        if not isinstance(body, dict) or body.keys() != _FIELDS:
            raise ValueError("does not have the fields of a ledger line")
        if not (
            all(type(body[name]) is int for name in _NUMBERS)
            and all(isinstance(body[name], str) for name in _TEXTS)
            and type(body["supersedes"]) in {int, type(None)}
            and body["record_type"] in _RECORD_TYPES
            and isinstance(body["payload"], dict)
        ):
            raise ValueError("has a field of the wrong type")
        try:
            body["ts_utc"] = datetime.fromisoformat(body["ts_utc"])
            if body["session"] is not None:
                body["session"] = date.fromisoformat(body["session"])
        except (TypeError, ValueError) as error:
            raise ValueError("has a date that is none") from error
        if body["ts_utc"].tzinfo is None:
            raise ValueError("has a time without its zone")
        if body["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"has schema version {body['schema_version']}, not {SCHEMA_VERSION}")
        return cls(**body)

    def check(self, raw: bytes) -> None:
        """Recompute everything that the line says about itself; ValueError says what is wrong.

        Parameters
        ----------
        raw
            The bytes that the line was read from.
        """
        body = canonical_json(self._body())
        if _with_hash(body, self.hash).encode() != raw:
            raise ValueError("is not in canonical form")
        if text_hash(body) != self.hash:
            raise ValueError("does not match its hash")
        if payload_hash(self.payload) != self.payload_hash:
            raise ValueError("does not match its payload hash")
        if idempotency_key(self.session, self.action, self.content_hash) != self.idempotency_key:
            raise ValueError("does not match its idempotency key")


_FIELDS = {field.name for field in fields(LedgerLine)}
_NUMBERS = ("seq", "batch_seq", "schema_version")
_TEXTS = (
    *("run_id", "ts_utc", "action", "content_hash"),
    *("idempotency_key", "payload_hash", "prev_hash", "hash"),
)


@dataclass(frozen=True)
class CheckedRecord:
    """A record that can be written: its payload in plain JSON types, its hashes known."""

    record: LedgerRecord
    payload: dict[str, Any]
    payload_text: str
    payload_hash: str
    content_hash: str
    session_text: str | None
    idempotency_key: str

    def seal(
        self, *, seq: int, batch_seq: int, ts_utc: datetime, supersedes: int | None, prev_hash: str
    ) -> tuple[LedgerLine, bytes]:
        """Give the record its place in the chain; return the line and its bytes."""
        values: dict[str, Any] = {
            "seq": seq,
            "batch_seq": batch_seq,
            "schema_version": SCHEMA_VERSION,
            "record_type": self.record.record_type,
            "run_id": self.record.run_id,
            "ts_utc": moment_text(ts_utc),
            "session": self.session_text,
            "action": self.record.action,
            "content_hash": self.content_hash,
            "idempotency_key": self.idempotency_key,
            "supersedes": supersedes,
            "payload_hash": self.payload_hash,
            "prev_hash": prev_hash,
        }
        body = _inserted(canonical_json(values), "payload", self.payload_text, "payload_hash")
        line_hash = text_hash(body)
        line = LedgerLine(
            **(values | {"ts_utc": ts_utc, "session": self.record.session}),
            payload=self.payload,
            hash=line_hash,
        )
        return line, _with_hash(body, line_hash).encode()


def checked(record: LedgerRecord) -> CheckedRecord:
    """Check a record and hash it.

    Raises
    ------
    LedgerError
        The payload holds a frame, a secret or what JSON cannot spell exactly, or a name of the
        record is none.
    """
    if record.record_type not in _RECORD_TYPES:
        raise LedgerError(
            f"record type {record.record_type!r}", expected=f"one of {', '.join(_RECORD_TYPES)}"
        )
    if not record.run_id:
        raise LedgerError(
            f"a record of {record.action!r} has no run id", expected="the run that writes it"
        )
    if not isinstance(record.payload, Mapping):
        raise LedgerError(
            f"the payload of {record.action!r} is a {type(record.payload).__name__}",
            expected="a mapping",
        )
    payload = plain(record.payload, "payload")
    payload_text = canonical_json(payload)
    has_more = any(name in payload for name in _NOT_COMPARED)
    hashed = payload_hash(payload) if has_more else text_hash(payload_text)
    content_hash = hashed if record.content_hash is None else record.content_hash
    for what, name in (("action", record.action), ("content hash", content_hash)):
        if not _NAME.fullmatch(name):
            raise LedgerError(f"{what} {name!r}", expected="letters, digits and _ . : + -")
    return CheckedRecord(
        record=record,
        payload=payload,
        payload_text=payload_text,
        payload_hash=hashed,
        content_hash=content_hash,
        session_text=None if record.session is None else record.session.isoformat(),
        idempotency_key=idempotency_key(record.session, record.action, content_hash),
    )


def idempotency_key(session: date | None, action: str, content_hash: str) -> str:
    """Return the text by which two records count as the same step."""
    return f"{'-' if session is None else session.isoformat()}/{action}/{content_hash}"


def payload_hash(payload: Mapping[str, Any]) -> str:
    """Hash a payload of plain JSON types without ``run_id`` and ``ts_utc``."""
    compared = {key: value for key, value in payload.items() if key not in _NOT_COMPARED}
    return text_hash(canonical_json(compared))


def _with_hash(body: str, line_hash: str) -> str:
    return _inserted(body, "hash", f'"{line_hash}"', "idempotency_key")


def _inserted(body: str, key: str, text: str, next_key: str) -> str:
    """Put a key in its place among the sorted keys of a spelled line.

    Spelling a line as a whole for each of its hashes would cost half of an append. Quotes within
    JSON texts are escaped and only the payload holds mappings, so the first match is the key.
    """
    after = f',"{next_key}":'
    return body.replace(after, f',"{key}":{text}{after}', 1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
