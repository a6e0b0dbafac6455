"""One canonical form for settings, and the hash of it.

Two settings have the same hash exactly if they are equal wherever a result could differ:

1. a model becomes a mapping of its fields, without those marked ``outside_hash``;
2. a date becomes ISO text, a tuple a list, ``-0.0`` becomes ``0.0``;
3. the JSON is written with sorted keys and no spaces, and hashed with SHA-256.

So neither the order of keys, nor comments, nor the layer a value came from, nor the machine's
folders take part. A path is refused instead of being hashed by accident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

from quant_platform.settings.base import OUTSIDE_HASH


def _outside_hash(model: BaseModel, field: str) -> bool:
    extra = type(model).model_fields[field].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(OUTSIDE_HASH))


def canonical(value: object) -> Any:
    """Return ``value`` as plain JSON types, without the fields that are outside every hash."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            field: canonical(getattr(value, field))
            for field in fields
            if not _outside_hash(value, field)
        }
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("only text keys can be hashed")
        return {key: canonical(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [canonical(item) for item in value]
    raise TypeError(f"a {type(value).__name__} has no canonical form")


def slice_hash(*parts: object) -> str:
    """Return the SHA-256 of some settings: models, mappings, lists, scalars and dates.

    Parameters
    ----------
    *parts
        What one asset depends on, for instance its sleeve and one section of the platform. The
        order of the parts matters, the order of keys within a part does not.
    """
    text = json.dumps(
        canonical(parts),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()
