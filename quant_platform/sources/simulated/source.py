"""The source of the embedded market: no network, no keys, the same answer on every machine.

1. A request names knowledge sessions. The bars that are published in them lie in a few blocks of
   the sleeve's market (`quant_platform.sources.simulated.market`), which are computed and kept.
2. A bar of session S is published at S's close plus the lag; a late one with the session after, a
   correction with the third after.
3. What is selected is spoilt as its fate says: a wrong close, an impossible bar, a second copy.
   Prints on closed days are added.
4. Everything else (`quant_platform.sources.simulated.facts`, `.series`) is told at instants of its
   own; the rows that became known in the wanted sessions are selected.

Regular rows carry an assumed ``known_at`` (close plus lag); late rows and corrections an observed
one, for there the delay itself was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.settings import Settings
from quant_platform.sources.protocol import BAR_SCHEMA
from quant_platform.sources.simulated import facts
from quant_platform.sources.simulated.dirt import CORRECTION_DELAY, Dirt, Fate
from quant_platform.sources.simulated.draws import Floats, Integers, Truths
from quant_platform.sources.simulated.market import (
    Bars,
    Market,
    SimulatedSleeve,
    simulate,
    to_tick,
)
from quant_platform.sources.simulated.planted import Planted
from quant_platform.sources.simulated.publication import DAY, Publication, publication
from quant_platform.sources.simulated.series import series

_FACTS: dict[str, Callable[[Market, Publication], pl.DataFrame]] = {
    "securities": facts.securities,
    "actions": facts.actions,
    "earnings": facts.earnings,
    "membership": facts.membership,
    "fund_facts": facts.fund_facts,
}


@dataclass(frozen=True)
class SimulatedSource:
    """The embedded market as a `quant_platform.sources.Source`.

    Parameters
    ----------
    seed
        Seed of every random number.
    start
        First day of the market; every path begins here, whatever is asked for.
    sleeves
        What is listed in each sleeve.
    dirt
        How often a bar is spoilt.
    lag
        From a session's close to the publication of its bars.
    planted
        Strengths of the planted effects.
    """

    seed: int
    start: date
    sleeves: tuple[SimulatedSleeve, ...]
    dirt: Dirt
    lag: timedelta
    planted: Planted = field(default_factory=Planted)

    @classmethod
    def from_settings(cls, settings: Settings) -> SimulatedSource:
        """Return the market that the settings describe, with every sleeve routed to it."""
        market = settings.platform.embedded_market
        strengths = market.planted.model_dump()
        return cls(
            seed=market.seed,
            start=market.start,
            sleeves=tuple(
                SimulatedSleeve(
                    name=name,
                    asset_classes=tuple(sleeve.asset_classes),
                    symbols=sleeve.symbols or market.symbols_per_sleeve,
                )
                for name, sleeve in sorted(settings.sleeves.items())
                if "simulated" in sleeve.sources.values()
            ),
            dirt=Dirt(**market.dirt.model_dump()),
            lag=timedelta(minutes=settings.platform.knowledge_lag_minutes["bars"]),
            planted=Planted.none() if market.null_market else Planted(**strengths),
        )

    @property
    def name(self) -> str:
        """Name by which sleeves route to this source."""
        return "simulated"

    @property
    def kinds(self) -> frozenset[str]:
        """What it delivers."""
        return frozenset({*_FACTS, "bars", "series"})

    def market(self, calendar: SessionCalendar, sleeve: str) -> Market:
        """Return the market behind a sleeve; for the truth table and for tests."""
        return simulate(
            calendar,
            self.sleeve(sleeve),
            self.seed,
            self.start,
            dirt=self.dirt,
            planted=self.planted,
        )

    def sleeve(self, name: str) -> SimulatedSleeve:
        """Return what is listed in a sleeve.

        Raises
        ------
        SourceError
            When the market has no such sleeve.
        """
        for sleeve in self.sleeves:
            if sleeve.name == name:
                return sleeve
        raise SourceError(
            f"sleeve {name!r} is not in the embedded market",
            expected=f"one of {', '.join(sleeve.name for sleeve in self.sleeves) or 'none'}",
            mend="add the sleeve's file to assets_config/sleeves/",
        )

    def news(self, calendar: SessionCalendar, market: Market) -> Publication:
        """Return when the sessions of a market are published."""
        return publication(calendar, market.first, self.lag)

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the raw bars that became known in the given sessions; see the protocol."""
        market = self.market(calendar, sleeve)
        news = self.news(calendar, market)
        wanted = news.wanted(calendar, knowledge_sessions)
        if wanted[: market.first].any():
            raise SourceError(
                f"bars of {min(knowledge_sessions)} were asked of the embedded market",
                expected=f"sessions from its start {self.start} on",
                mend="move embedded_market.start back or platform.history_start forward",
            )
        arriving = np.flatnonzero(wanted[news.known])
        parts = [
            _published(market, news, number, arriving, wanted)
            for number in _blocks(market, arriving)
        ]
        prints = pl.concat(parts or [_nothing()])
        own = market.paths.roster
        renamed = market.row_of(np.minimum(own.renamed[: market.count], len(market.time.days)))
        security = prints["security"].to_numpy()
        is_new = prints["row"].to_numpy() >= renamed[security]
        symbols = pl.Series(own.symbol[: market.count], dtype=pl.String).gather(prints["security"])
        if is_new.any():
            later = pl.Series(own.new_symbol[: market.count]).gather(prints["security"])
            symbols = symbols.zip_with(pl.Series(~is_new), later)
        identifiers = own.listing["security_id"].gather(prints["security"])
        return prints.with_columns(symbol=symbols, security_id=identifiers).select(*BAR_SCHEMA)

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return listings, new names and delistings that became known; see the protocol."""
        return self._facts("securities", calendar, sleeve, knowledge_sessions)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the corporate actions that became known; see the protocol."""
        return self._facts("actions", calendar, sleeve, knowledge_sessions)

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return what became known of results; see the protocol."""
        return self._facts("earnings", calendar, sleeve, knowledge_sessions)

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the stays in the index that became known; see the protocol."""
        return self._facts("membership", calendar, sleeve, knowledge_sessions)

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return what became known of funds; see the protocol."""
        return self._facts("fund_facts", calendar, sleeve, knowledge_sessions)

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the observations that became known; see the protocol."""
        return _chosen(_series(self, calendar), calendar, knowledge_sessions)

    def _facts(
        self, kind: str, calendar: SessionCalendar, sleeve: str, asked: Sequence[date]
    ) -> pl.DataFrame:
        return _chosen(_told(self, kind, calendar, sleeve), calendar, asked)


@lru_cache(maxsize=32)
def _told(
    source: SimulatedSource, kind: str, calendar: SessionCalendar, sleeve: str
) -> pl.DataFrame:
    market = source.market(calendar, sleeve)
    return _FACTS[kind](market, source.news(calendar, market))


@lru_cache(maxsize=4)
def _series(source: SimulatedSource, calendar: SessionCalendar) -> pl.DataFrame:
    first = calendar.ordinal(calendar.between(source.start, calendar.horizon)[0])
    news = publication(calendar, first, source.lag)
    return series(calendar, source.seed, source.start, news)


def _chosen(told: pl.DataFrame, calendar: SessionCalendar, asked: Sequence[date]) -> pl.DataFrame:
    """Select the rows that became known in the wanted sessions."""
    ordinals = np.zeros(len(calendar.sessions) + 1, dtype=np.bool_)
    ordinals[[calendar.ordinal(session) for session in asked]] = True
    return told.filter(ordinals[told["knowledge"].to_numpy()]).drop("knowledge")


_VALUES = ("open", "high", "low", "close", "volume")
Columns = dict[str, npt.NDArray[Any]]
"""One array of prints by column."""


def _blocks(market: Market, arriving: Integers) -> list[int]:
    """Blocks whose rows, or whose delayed and closed prints, arrive with some rows."""
    numbers: set[int] = set()
    for number in market.blocks_of(arriving):
        numbers.add(number)
        first = market.rows_in(number).start
        rows = arriving[arriving >= first]
        if number and rows[0] < first + CORRECTION_DELAY:
            numbers.add(number - 1)
    return sorted(numbers)


def _published(
    market: Market, news: Publication, number: int, arriving: Integers, wanted: Truths
) -> pl.DataFrame:
    """Return what a block's sessions and closed days publish in wanted knowledge sessions."""
    rows = market.rows_in(number)
    own = arriving[(arriving >= rows.start) & (arriving < rows.stop)]
    bars = market.block(number)
    parts = [_closed(bars, news, wanted)]
    if len(own):
        early = own[0] < rows.start + CORRECTION_DELAY and number
        whole = _joined(market.block(number - 1), bars) if early else bars
        parts.append(_regular(market, whole, news, own))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _prints(_ordered(market, news, columns))


def _ordered(market: Market, news: Publication, columns: Columns) -> Columns:
    """Put prints in the order of the protocol: by ``known_at``, session and security.

    One number stands for the three; what is nearly in order already is sorted fast.
    """
    place = np.searchsorted(news.published, columns["known_at"], side="left")
    # Between two publications of sessions come the prints of closed days.
    last = len(news.published) - 1
    exact = news.published[np.minimum(place, last)] == columns["known_at"]
    key = (2 * place + exact) * (len(news.published) + 1) + columns["row"]
    order = np.argsort(key * market.count + columns["security"], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _joined(before: Bars, bars: Bars) -> Bars:
    """Put the last sessions of the block before in front of a block."""
    names = ("open", "high", "low", "close", "volume", "fate", "variant")
    kept = min(CORRECTION_DELAY, len(before.close))
    joined = {
        name: np.concatenate([getattr(before, name)[-kept:], getattr(bars, name)]) for name in names
    }
    return replace(bars, first=bars.first - kept, **joined)


def _regular(market: Market, bars: Bars, news: Publication, arriving: Integers) -> Columns:
    """Return every version of a bar that is published with some sessions."""
    parts = [
        _versions(market, bars, arriving, 0, lambda fate: fate > Fate.LATE),
        _versions(market, bars, arriving, 0, lambda fate: fate == Fate.DUPLICATED),
        _versions(market, bars, arriving, 1, lambda fate: fate == Fate.LATE),
        _versions(market, bars, arriving, CORRECTION_DELAY, lambda fate: fate == Fate.CORRECTED),
    ]
    row, security, delay = (np.concatenate(part) for part in zip(*parts, strict=True))
    cell = (row - bars.first, security)
    prints = {
        "security": security,
        "row": row,
        "session": market.sessions[row],
        **{name: getattr(bars, name)[cell] for name in _VALUES},
        "known_at": news.published[row + delay],
        "observed": delay > 0,
    }
    _spoil(market, prints, bars.fate[cell], bars.variant[cell])
    return prints


def _spoil(
    market: Market,
    prints: Columns,
    fate: Integers,
    variant: Floats,
) -> None:
    """Spoil prints in place, as their fate says."""
    at = np.flatnonzero((fate != Fate.CLEAN) & (fate != Fate.LATE))
    fate, variant, observed = fate[at], variant[at], prints["observed"][at]
    high, low, close = (prints[name] for name in ("high", "low", "close"))
    crypto = market.is_crypto[prints["security"][at]]
    mistaken = to_tick(close[at] * (1.05 + 0.2 * variant), crypto)
    is_mistaken = (fate == Fate.CORRECTED) & ~observed
    factor = np.where(variant < 0.5, 1.3 + variant, 1 / (0.8 + variant))
    stray = to_tick(close[at] * factor, crypto)
    wrong = np.where(is_mistaken, mistaken, np.where(fate == Fate.BAD_PRINT, stray, close[at]))
    crossed = (fate == Fate.IMPOSSIBLE) & (variant < 0.5)
    negative = (fate == Fate.IMPOSSIBLE) & (variant >= 0.5)
    close[at] = wrong
    top, bottom = np.maximum(high[at], wrong), np.minimum(low[at], wrong)
    high[at] = np.where(crossed, bottom / 2, top)
    low[at] = np.where(negative, -bottom, bottom)


def _closed(bars: Bars, news: Publication, wanted: Truths) -> Columns:
    """Return the prints of a block's closed days that are published in wanted sessions."""
    instants = closed_instants(news, bars.closed_prints)
    here = wanted[news.known_in(instants)]
    day, row, security = bars.closed_prints[here].T
    cell = (row - bars.first, security)
    return {
        "security": security,
        "row": row,
        "session": day,
        **{name: getattr(bars, name)[cell] for name in _VALUES},
        "known_at": instants[here],
        "observed": np.zeros(len(day), dtype=np.bool_),
    }


def closed_instants(news: Publication, prints: Integers) -> Integers:
    """When prints on closed days are published: the midnight after them plus the lag."""
    return np.asarray((prints[:, 0] + 1) * DAY + news.lag)


def _prints(columns: Columns) -> pl.DataFrame:
    """Put arrays of one print each into a frame with the protocol's types."""
    return pl.DataFrame(columns).with_columns(
        pl.col("session").cast(pl.Int32).cast(pl.Date),
        pl.col("known_at").cast(BAR_SCHEMA["known_at"]),
        known_at_basis=pl.when("observed")
        .then(pl.lit("observed"))
        .otherwise(pl.lit("assumed"))
        .cast(BAR_SCHEMA["known_at_basis"]),
    )


def _nothing() -> pl.DataFrame:
    """Return no prints; made on demand, because importing must not start the threads of Polars."""
    return _prints(
        {
            **{name: np.zeros(0, np.int64) for name in ("security", "row", "session", "known_at")},
            **{name: np.zeros(0) for name in _VALUES},
            "observed": np.zeros(0, np.bool_),
        }
    )


def _versions(
    market: Market,
    bars: Bars,
    arriving: Integers,
    delay: int,
    chosen: Callable[[npt.NDArray[np.int8]], Truths],
) -> tuple[Integers, Integers, Integers]:
    """Return row, security and delay of the bars with such fates that arrive so much later."""
    rows = arriving[arriving >= max(delay, bars.first + delay)] - delay
    which, security = np.nonzero(market.trading(rows) & chosen(bars.fate[rows - bars.first]))
    return rows[which], security, np.full(len(security), delay)
