"""The base of every settings model: frozen, strict, and unforgiving about unknown keys.

What belongs here: the common pydantic configuration, the value types that several models share
(a date, an identifier, a calendar code), and the two ways a field carries more than its type:
``described`` for its text, unit and bounds, ``refuse`` for an error that needs its own sentence.

A field that cannot change a result (a folder, a port, how many old versions are kept) is marked
``outside_hash=True``; it is shown in the manifest and left out of every hash.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from quant_platform.settings.wording import quoted

OUTSIDE_HASH = "x-outside-hash"
UNIT = "x-unit"
REFUSED = "quant_refused"

# A guard against typing errors such as 0203-01-03, not a limit of the platform.
EARLIEST_YEAR = 1990
LATEST_YEAR = 2099

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class SettingsModel(BaseModel):
    """A part of the settings: immutable, closed, and never coercing one type into another."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
    )


def described(
    text: str, default: Any = ..., *, unit: str = "", outside_hash: bool = False, **bounds: Any
) -> Any:
    """Declare a settings field with its description, its unit and its bounds.

    Parameters
    ----------
    text
        One or two sentences for the reader of the reference and of the editor's hover.
    default
        The value used when no layer gives one; ``...`` makes the key required.
    unit
        What a number counts: minutes, sessions, a share of rows.
    outside_hash
        True for a field that cannot change any result.
    **bounds
        Constraints that pydantic knows: ``ge``, ``le``, ``min_length``, ``strict``, …
    """
    extra: dict[str, Any] = {}
    if unit:
        extra[UNIT] = unit
    if outside_hash:
        extra[OUTSIDE_HASH] = True
    return Field(default, description=text, json_schema_extra=extra or None, **bounds)


def refuse(found: str, *, expected: str = "", mend: str = "") -> PydanticCustomError:
    """Build the exception of a validator whose sentence is its own.

    The loader puts the file and the line in front and turns it into a ``ConfigError``.
    """
    context = {"found": found, "expected": expected, "mend": mend}
    return PydanticCustomError(REFUSED, "{found}", context)


def near_names(name: str, known: list[str]) -> list[str]:
    """Return the known names closest to ``name``, best first, whatever their case."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    return [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=3)]


def _parse_date(value: object) -> object:
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime):
        return str(value)
    if isinstance(value, date) and not EARLIEST_YEAR <= value.year <= LATEST_YEAR:
        return value.isoformat()
    return value


@cache
def calendar_codes() -> dict[str, str]:
    """Return every calendar code that exchange_calendars knows, mapped to its canonical code."""
    # Imported late: it brings pandas, and `quant config schema` has no need of either.
    import exchange_calendars

    names = exchange_calendars.get_calendar_names(include_aliases=True)
    return {name: exchange_calendars.resolve_alias(name) for name in sorted(names)}


def _canonical_calendar(code: str) -> str:
    codes = calendar_codes()
    if code in codes:
        return codes[code]
    near = near_names(code, list(codes))
    raise refuse(
        f"unknown calendar {quoted(code)}",
        expected="a code of exchange_calendars"
        + (f" such as {' or '.join(near)}" if near else " such as XNYS or 24/7"),
    )


def _canonical_calendar_key(code: str) -> str:
    canonical = _canonical_calendar(code)
    if canonical != code:
        raise refuse(f"{code} is another name of {canonical}", mend=f"write {canonical} here")
    return code


SessionDate = Annotated[date, BeforeValidator(_parse_date)]
"""A date, given as a ``date`` or as text ``YYYY-MM-DD``; never a time stamp."""

CalendarCode = Annotated[str, AfterValidator(_canonical_calendar)]
"""A calendar of exchange_calendars; an alias becomes the code it stands for."""

CalendarKey = Annotated[str, AfterValidator(_canonical_calendar_key)]
"""A canonical calendar code as a key; an alias is refused, so that no calendar is there twice."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
"""A name that is used in asset keys, file paths and SQL: lower case, digits, single underscores."""
