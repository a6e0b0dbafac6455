"""The one spelling of a ledger's values, and what may not be spelled at all.

Hashes are taken over text, so every value needs exactly one spelling: JSON with sorted keys,
without spaces, in UTF-8; floats in their shortest exact form (``1.0`` is not ``1``); dates as ISO
text; moments as ISO text in UTC with microseconds; decimals as their exact text. NaN and infinities
have no spelling in JSON and are refused, as are frames, which belong in a ledger by their content
hash, and keys that look like a secret.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from quant_platform.errors import LedgerError

_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_SECRET_WORDS = {
    *("secret", "secrets", "token", "apikey", "credential", "credentials"),
    *("password", "passwords", "passwd", "passphrase"),
}
_SECRET_PAIRS = {("api", "key"), ("access", "key"), ("private", "key")}
_ALWAYS_PLAIN = {int, bool, type(None)}
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_json(value: Any) -> str:
    """Spell a value of plain JSON types.

    Parameters
    ----------
    value
        What :func:`plain` returned, or what was read from JSON.
    """
    return _ENCODER.encode(value)


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=64)
def moment_text(moment: datetime) -> str:
    """Spell a moment that has a time zone: in UTC, with microseconds.

    The lines of one append share their moment, so it is spelled once.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(value: Any, place: str) -> Any:
    """Return a value in types that JSON has.

    Parameters
    ----------
    value
        Text, numbers, dates, moments, decimals, and lists or mappings of them.
    place
        What the value is, for the message.

    Raises
    ------
    LedgerError
        Something in it has no exact spelling, or a key looks like a secret.
    """
    try:
        return _plain(value)
    except _Refusal as refusal:
        raise LedgerError(
            f"{place}{''.join(refusal.path)} {refusal.found}",
            expected=refusal.expected,
            mend=refusal.mend,
        ) from None


class _Refusal(Exception):  # noqa: N818  (becomes a LedgerError once its path is known)
    """Why a value is refused; containers put its path together on the way out."""

    def __init__(self, found: str, expected: str, mend: str = "") -> None:
        super().__init__(found)
        self.found, self.expected, self.mend = found, expected, mend
        self.path: list[str] = []


def _plain(value: Any) -> Any:
    # The usual types first: asking an abstract class costs more than all the rest.
    kind = type(value)
    if (
        kind in _ALWAYS_PLAIN
        or (kind is str and value.isascii())
        or (kind is float and math.isfinite(value))
    ):
        return value
    if kind is dict or isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, list | tuple):
        return _plain_list(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    return _plain_scalar(value)


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _Refusal(f"has the key {key!r}", "keys of text")
        try:
            _check_key(key)
            result[key] = _plain(item)
        except _Refusal as refusal:
            refusal.path.insert(0, f".{key}")
            raise
    return result


def _plain_list(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    result = []
    for index, item in enumerate(value):
        try:
            result.append(_plain(item))
        except _Refusal as refusal:
            refusal.path.insert(0, f"[{index}]")
            raise
    return result


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, str):
        _check_text(value)
        return value
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise _Refusal(f"is {value}", "a finite number", "record null and the reason beside it")
        return value if isinstance(value, float) else str(value)
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _Refusal(f"is {value} without a time zone", "a moment in UTC")
        return moment_text(value)
    if isinstance(value, date):
        return value.isoformat()
    raise _Refusal(
        f"is a {type(value).__name__}",
        "text, a number, a date, a list or a mapping",
        "record a frame by content.frame_hash, anything else by its fields",
    )


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refusal("holds half a character", "Unicode text") from None


@lru_cache(maxsize=4096)
def _check_key(key: str) -> None:
    """Refuse a key that no ledger may have; the few that there are come again and again."""
    _check_text(key)
    words = [word.lower() for word in _WORD.findall(key)]
    if not (_SECRET_WORDS.isdisjoint(words) and _SECRET_PAIRS.isdisjoint(pairwise(words))):
        raise _Refusal(
            "looks like a secret",
            "no credentials in a ledger",
            "leave it out, or name it for what it is",
        )
