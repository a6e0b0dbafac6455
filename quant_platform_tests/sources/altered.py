"""A source whose future is cut, spoilt or peopled differently; everything up to then is untouched.

The point-in-time law runs the platform on a source and on this one with the same cutoff: if any
output for a session up to that cutoff differs, something looked ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources import Source

_PRICES = ("open", "high", "low", "close")
_NEWCOMER = "-newcomer"


@dataclass(frozen=True)
class AlteredSource:
    """A `quant_platform.sources.Source` that differs from `inner` only in what is known later.

    Parameters
    ----------
    inner
        The source that is altered.
    truncate_after
        Rows that became known after this are gone.
    corrupt_after
        Rows that became known after this are scaled by seven, turned negative, or swapped with
        others of their instant; a third of the securities each. (Actions are not swapped.)
    repeople_after
        Of the securities whose listing became known after this every other one is gone, and every
        row known after it is also there under a new name, as if that name had been listed then.
    """

    inner: Source
    truncate_after: datetime | None = None
    corrupt_after: datetime | None = None
    repeople_after: datetime | None = None

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def kinds(self) -> frozenset[str]:
        return self.inner.kinds

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        rows = self.inner.bars(calendar, sleeve, knowledge_sessions)
        altered = self._repeopled(calendar, sleeve, rows)
        if self.corrupt_after is not None:
            later = pl.col("known_at") > self.corrupt_after
            kind = pl.col("security_id").hash(seed=1) % 3
            swapped = [pl.col(name).reverse().over("known_at") for name in (*_PRICES, "volume")]
            altered = altered.with_columns(
                pl.when(later & (kind == 0))
                .then(pl.col(column) * 7)
                .when(later & (kind == 1))
                .then(-pl.col(column) - 1)
                .when(later)
                .then(other * 1.5 + 1)
                .otherwise(column)
                .alias(column)
                for column, other in zip((*_PRICES, "volume"), swapped, strict=True)
            )
        return self._truncated(altered)

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        rows = self.inner.securities(calendar, sleeve, knowledge_sessions)
        altered = self._repeopled(calendar, sleeve, rows)
        if self.corrupt_after is not None:
            later = pl.col("known_at") > self.corrupt_after
            altered = altered.with_columns(
                pl.when(later).then(pl.lit("Spoilt")).otherwise(column).alias(column)
                for column in ("name", "sector", "category")
            )
        return self._truncated(altered)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        rows = self.inner.actions(calendar, sleeve, knowledge_sessions)
        altered = self._repeopled(calendar, sleeve, rows)
        if self.corrupt_after is not None:
            later = pl.col("known_at") > self.corrupt_after
            negative = pl.col("security_id").hash(seed=1) % 3 == 1
            altered = altered.with_columns(
                pl.when(later & negative)
                .then(-pl.col("value") - 1)
                .when(later)
                .then(pl.col("value") * 7)
                .otherwise("value")
                .alias("value")
            )
        return self._truncated(altered)

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._spoilt(calendar, sleeve, "earnings", knowledge_sessions)

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._spoilt(calendar, sleeve, "membership", knowledge_sessions)

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        return self._spoilt(calendar, sleeve, "fund_facts", knowledge_sessions)

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        rows = self.inner.series(calendar, branch, knowledge_sessions)
        if self.repeople_after is not None:
            later = pl.col("known_at") > self.repeople_after
            newcomers = rows.filter(later).with_columns(pl.col("series") + _NEWCOMER)
            rows = pl.concat([rows, newcomers])
        return self._truncated(self._scaled(rows))

    def _spoilt(
        self, calendar: SessionCalendar, sleeve: str, kind: str, asked: Sequence[date]
    ) -> pl.DataFrame:
        rows = getattr(self.inner, kind)(calendar, sleeve, asked)
        return self._truncated(self._scaled(self._repeopled(calendar, sleeve, rows)))

    def _scaled(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Multiply numbers and move first days of what became known later."""
        if self.corrupt_after is None:
            return rows
        later = pl.col("known_at") > self.corrupt_after
        moved = [name for name in ("valid_from", "announced_on") if name in rows.columns]
        return rows.with_columns(
            pl.when(later).then(pl.col(pl.Float64) * 7).otherwise(pl.col(pl.Float64)),
            *(
                pl.when(later).then(pl.col(name) - pl.duration(days=9)).otherwise(name).alias(name)
                for name in moved
            ),
        )

    def _truncated(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self.truncate_after is None:
            return rows
        return rows.filter(pl.col("known_at") <= self.truncate_after)

    def _repeopled(
        self, calendar: SessionCalendar, sleeve: str, rows: pl.DataFrame
    ) -> pl.DataFrame:
        if self.repeople_after is None:
            return rows
        everything = self.inner.securities(calendar, sleeve, calendar.sessions)
        listed_later = (
            everything.group_by("security_id")
            .agg(pl.col("known_at").min())
            .filter(pl.col("known_at") > self.repeople_after)["security_id"]
            .sort()
        )
        known_later = rows.filter(pl.col("known_at") > self.repeople_after)
        newcomers = known_later.with_columns(
            pl.col(name) + suffix
            for name, suffix in (("symbol", _NEWCOMER.upper()), ("security_id", _NEWCOMER))
            if name in rows.columns
        )
        kept = rows.filter(~pl.col("security_id").is_in(listed_later.gather_every(2).implode()))
        order = [name for name in ("known_at", "session", "security_id") if name in rows.columns]
        return pl.concat([kept, newcomers]).sort(order, maintain_order=True)
