"""The mapping file: how somebody else's columns, symbols, units and conventions are to be read.

A folder in the documented layout needs none: `Mapping()` reads it. What differs is said in one YAML
file, by kind of data. Each kind is a list of *readings*: which files, which columns, since when the
rows were known. No data set has code of its own; what can not be said here can not be imported, and
the refusal says which line asked for it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from quant_platform.errors import ConfigError
from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.base import SessionDate, SettingsModel, described, refuse
from quant_platform.settings.documents import read_document
from quant_platform.settings.problems import FILE_LAYER, Place, from_validation, raise_first
from quant_platform.settings.wording import quoted

Kind = Literal["bars", "listings", "actions", "membership", "earnings", "fund_facts", "series"]
KINDS: tuple[Kind, ...] = (
    *("bars", "listings", "actions", "membership", "earnings", "fund_facts", "series"),
)
"""Kinds of files, in the order in which they are read."""

Layout = Literal["table", "cboe", "french", "ishares", "edgar"]


def _glob(written: str) -> str:
    parts = PurePosixPath(written).parts
    inside = parts and not written.startswith("/") and ".." not in parts
    if not inside or any("**" in part and part != "**" for part in parts):
        raise refuse(
            f"files is {quoted(written)}",
            expected="a glob of files below the folder, such as bars/*.csv or **/*.parquet",
        )
    return written


def _one_sign(written: str) -> str:
    if len(written) != 1 or not written.isascii() or written in '"\r\n':
        raise refuse(
            f"separator is {quoted(written)}",
            expected='one ASCII character that is no quote and no line break, such as ";" or "\\t"',
        )
    return written


def _readable(written: str | None) -> str | None:
    if written is not None:
        try:
            pl.Series(["2024-01-31"]).str.to_date(written, strict=False)
        except pl.exceptions.PolarsError as error:
            raise refuse(
                f"format is {quoted(written)}", expected="a day in the signs of strftime: %d.%m.%Y"
            ) from error
    return written


class ColumnRule(SettingsModel):
    """How one column of ours comes from theirs; the steps are taken in the order of the keys."""

    column: str | None = described("Their column; one of column and value.", None)
    value: str | float | None = described("The same value in every row, instead of a column.", None)
    values: dict[str, str] = described("Their words and ours; others are left as they are.", {})
    otherwise: str | None = described("What becomes of words that values does not name.", None)
    format: Annotated[str | None, AfterValidator(_readable)] = described(
        "How a date is written, in the signs of strftime; ISO without it.", None
    )
    inverse: bool = described("Take one divided by the number.", False)
    scale: float = described(
        "Multiply the number: 0.01 makes a fraction of a percentage.", 1.0, allow_inf_nan=False
    )
    next_session: bool = described(
        "Take the session after the date, for files that name the last day on old terms.", False
    )
    previous_session: bool = described(
        "Take the session before the date, for files that name the first day on new terms: the end "
        "of a stay that is not part of it.",
        False,
    )
    open_ended: bool = described(
        "The newest date of the column means: not yet. For files that say of what is still "
        "there the day they were made.",
        False,
    )

    @model_validator(mode="after")
    def _one_origin(self) -> ColumnRule:
        if (self.column is None) == (self.value is None):
            raise refuse("a column rule needs one of column and value", expected="exactly one")
        if self.next_session and self.previous_session:
            raise refuse(
                "a column rule has both next_session and previous_session", expected="at most one"
            )
        return self


def _as_rule(written: object) -> object:
    return {"column": written} if isinstance(written, str) else written


class KnownRule(SettingsModel):
    """Since when rows were known: by a column, by the day of publication, or by the lag."""

    column: str | None = described(
        "Their column of the publication: an instant (UTC unless it says otherwise), or a date, "
        "which is known at its end.",
        None,
    )
    published: SessionDate | None = described(
        "The day on which the whole file was published, known at its end.", None
    )
    days_later: int = described(
        "Days to add to the column, the day or, without either, to the assumed time.",
        0,
        unit="days",
        ge=0,
    )

    @model_validator(mode="after")
    def _not_both(self) -> KnownRule:
        if self.column is not None and self.published is not None:
            raise refuse("known_at has both column and published", expected="at most one")
        return self


class Reading(SettingsModel):
    """One way to read some files of a kind."""

    files: Annotated[str, AfterValidator(_glob)] = described(
        "The files, as a glob below the folder."
    )
    layout: Layout = described(
        "table: one header line, or Parquet. Others are the published layouts of those names.",
        "table",
    )
    separator: Annotated[str, AfterValidator(_one_sign)] = described(
        "What stands between two columns of a CSV.", ","
    )
    decimal: Literal[".", ","] = described(
        "What stands before the decimals of a number that is written as text; nothing parts its "
        "thousands.",
        ".",
    )
    columns: dict[str, Annotated[ColumnRule, BeforeValidator(_as_rule)]] = described(
        "Our column and theirs, or a rule. A column that is not named here is looked for under "
        "our name.",
        {},
    )
    known_at: KnownRule = described(
        "Since when rows were known. Without a column or a day it is assumed: the close of the "
        "session plus the lag of the kind in platform.yaml.",
        KnownRule(),
    )
    where: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = described(
        "Rows to take: their column and the values wanted.", {}
    )
    wide: dict[str, str] = described(
        "For series with a column each: their column and the name of the series.", {}
    )
    since: SessionDate | None = described("Days before this are not read.", None)
    snapshot: bool = described(
        "Of members: each file lists all of an index on the day in valid_from, and holds from then "
        "on until the next one. Files called YYYY-MM-DD.csv without that column are read so "
        "anyway.",
        False,
    )
    file_is_symbol: bool = described(
        "Each file holds one symbol and is named after it; a row of another symbol is refused.",
        False,
    )


class SymbolRule(SettingsModel):
    """How their symbols become EXCHANGE:TICKER."""

    exchange: str = described(
        "Exchange to put before a symbol that names none.", "US", pattern=r"^[A-Z0-9_.]+$"
    )
    replace: dict[str, str] = described("Signs of theirs and ours, as in BRK-B and BRK.B.", {})
    upper: bool = described("Write symbols in capitals.", True)


class DepartureRule(SettingsModel):
    """What to make of a symbol that is listed no more."""

    confirm_days: int = described(
        "A departure is told this long after the last day: until then the symbol may reappear "
        "under another name.",
        10,
        unit="days",
        ge=0,
        le=365,
    )
    same_name_is_rename: bool = described(
        "A symbol that appears within confirm_days of a departure with the same company name, or "
        "with the very bar that the departed one had, is the same security renamed.",
        False,
    )
    pinned_is_merger: bool = described(
        "A price that hardly moved in its last twenty sessions and did before was bound to the "
        "terms of a merger.",
        False,
    )


class Mapping(SettingsModel):
    """Everything in one mapping file."""

    description: str = described("A sentence for whoever reads the file.", "")
    asset_class: AssetClass = described("Class of what does not say its own.", "stock")
    symbols: SymbolRule = described("How symbols are written.", SymbolRule())
    departures: DepartureRule = described(
        "What to make of symbols that are listed no more.", DepartureRule()
    )
    adjusted_tolerance: float = described(
        "With a column adjusted in bars (a total-return close), dividends are read from its "
        "steps; a smaller step is rounding.",
        1e-5,
        unit="fraction",
        gt=0,
        lt=0.1,
    )
    splits_in_adjusted: bool = described(
        "Whether the close is raw, so that a step beyond a quarter is a split; false where the "
        "close is split-adjusted already.",
        False,
    )
    bars: tuple[Reading, ...] = Field(default=(), strict=False, description="Daily bars.")
    listings: tuple[Reading, ...] = Field(default=(), strict=False, description="Listings.")
    actions: tuple[Reading, ...] = Field(default=(), strict=False, description="Corporate actions.")
    membership: tuple[Reading, ...] = Field(
        default=(), strict=False, description="Members of indices."
    )
    earnings: tuple[Reading, ...] = Field(
        default=(), strict=False, description="Announcements of results."
    )
    fund_facts: tuple[Reading, ...] = Field(default=(), strict=False, description="Facts of funds.")
    series: tuple[Reading, ...] = Field(default=(), strict=False, description="Series.")

    def readings(self, kind: Kind) -> tuple[Reading, ...]:
        """Return the readings of a kind: those told, or those of the documented layout."""
        told: tuple[Reading, ...] = getattr(self, kind)
        if told or any(getattr(self, other) for other in KINDS):
            return told
        return (Reading(files=f"{kind}/*"), Reading(files=f"{kind}.*"))

    @property
    def digest(self) -> str:
        """Hash of everything it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def read_mapping(path: Path | None) -> Mapping:
    """Read a mapping file; without one, the documented layout.

    Raises
    ------
    ConfigError
        With the file and the line of the first thing that is wrong.
    """
    if path is None:
        return Mapping()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"mapping file {path} can not be read ({error.strerror})",
            expected="a YAML file",
            mend="correct --mapping or the sleeve's files.mapping",
        ) from error
    document = read_document(data, Place(FILE_LAYER, path.name, 1))
    raise_first(document.problems)
    values: Any = document.value
    try:
        return Mapping.model_validate(values)
    except ValidationError as error:
        raise_first(from_validation(error, Mapping, (), document.places))
        raise
