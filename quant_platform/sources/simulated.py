"""The source of the embedded market: no network, no keys, the same answer on every machine.

1. The sleeve's market (`quant_platform.sources.simulated_market`) is laid out once, from its start
   to the calendar's horizon.
2. A bar of session S is published at S's close plus the lag; a late one with the session after, a
   correction with the third after. The knowledge session of each publication is looked up once per
   session, so a request selects whole rows of the matrices.
3. What is selected is spoilt as its fate says: a wrong close, an impossible bar, a second copy.
   Prints on closed days are added.
4. A listing is published at the close of its first session, a split at the close of the session in
   which it is announced, a delisting at the close of the first session without a bar: its ex
   session.

Regular rows carry an assumed ``known_at`` (close plus lag); late rows and corrections an observed
one, for there the delay itself was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.settings import Settings
from quant_platform.sources.protocol import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    EARNINGS_SCHEMA,
    FUND_FACT_SCHEMA,
    MEMBERSHIP_SCHEMA,
    SECURITY_SCHEMA,
    SERIES_SCHEMA,
)
from quant_platform.sources.simulated_dirt import CORRECTION_DELAY, Dirt, Fate
from quant_platform.sources.simulated_draws import Floats, Integers, Truths
from quant_platform.sources.simulated_listings import listing_of
from quant_platform.sources.simulated_lives import NEVER
from quant_platform.sources.simulated_market import (
    Market,
    SimulatedSleeve,
    simulate,
    to_tick,
)

_EPOCH_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


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
    """

    seed: int
    start: date
    sleeves: tuple[SimulatedSleeve, ...]
    dirt: Dirt
    lag: timedelta

    @classmethod
    def from_settings(cls, settings: Settings) -> SimulatedSource:
        """Return the market that the settings describe, with every sleeve routed to it."""
        market = settings.platform.embedded_market
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
        )

    @property
    def name(self) -> str:
        """Name by which sleeves route to this source."""
        return "simulated"

    @property
    def kinds(self) -> frozenset[str]:
        """What it delivers."""
        return frozenset({"securities", "bars", "actions"})

    def market(self, calendar: SessionCalendar, sleeve: str) -> Market:
        """Return the matrices behind a sleeve; for the truth table and for tests."""
        return simulate(calendar, self.sleeve(sleeve), self.seed, self.start, self.dirt)

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

    def publications(self, calendar: SessionCalendar) -> tuple[Integers, Integers]:
        """Return for each session of the market its publication and its knowledge session.

        The publication is in microseconds since 1970; the knowledge session is an ordinal of the
        calendar, one past the last when that lies beyond the horizon.
        """
        return _publications(calendar, self.start, self.lag)

    def closed_print_publications(
        self, calendar: SessionCalendar, market: Market
    ) -> tuple[Integers, Integers]:
        """Return the same for each print on a closed day: the midnight after it plus the lag."""
        midnight = (market.closed_prints[:, 0] + 1) * (_DAY // _MICROSECOND)
        published = midnight + self.lag // _MICROSECOND
        return published, np.searchsorted(_cutoffs(calendar), published, side="left")

    def bars(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the raw bars that became known in the given sessions; see the protocol."""
        market = self.market(calendar, sleeve)
        wanted = _wanted(calendar, knowledge_sessions)
        if wanted[: market.first].any():
            raise SourceError(
                f"bars of {min(knowledge_sessions)} were asked of the embedded market",
                expected=f"sessions from its start {self.start} on",
                mend="move embedded_market.start back or platform.history_start forward",
            )
        prints = pl.concat(
            [
                self._on_sessions(calendar, market, wanted),
                self._on_closed_days(calendar, market, wanted),
            ]
        ).sort("known_at", "session", "security", maintain_order=True)
        listing = listing_of(self.sleeve(sleeve), market.asset_classes)
        return prints.with_columns(
            symbol=listing["symbol"].gather(prints["security"]),
            security_id=listing["security_id"].gather(prints["security"]),
        ).select(*BAR_SCHEMA)

    def securities(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the listings and delistings that became known; see the protocol."""
        market = self.market(calendar, sleeve)
        published, known = self.publications(calendar)
        arrives = _wanted(calendar, knowledge_sessions)[known]
        sessions = session_days(calendar, market)
        announcements = []
        for rows, is_delisting in ((market.listed, False), (market.delisted, True)):
            security = np.flatnonzero(rows != NEVER)
            security = security[arrives[rows[security]]]
            announcements.append(
                pl.DataFrame(
                    {
                        "security": security,
                        "listed_on": sessions[market.listed[security]],
                        "delisted_on": sessions[rows[security]],
                        "known_at": published[rows[security]],
                    }
                ).with_columns(pl.when(is_delisting).then("delisted_on").alias("delisted_on"))
            )
        rows_known = pl.concat(announcements).sort("known_at", "security", "delisted_on")
        listing = listing_of(self.sleeve(sleeve), market.asset_classes)
        return pl.concat(
            [
                listing[rows_known["security"]],
                rows_known.select(
                    pl.col("listed_on", "delisted_on").cast(pl.Int32).cast(pl.Date),
                    pl.col("known_at").cast(SECURITY_SCHEMA["known_at"]),
                    known_at_basis=pl.lit("assumed", SECURITY_SCHEMA["known_at_basis"]),
                ),
            ],
            how="horizontal",
        ).select(*SECURITY_SCHEMA)

    def actions(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return the splits and delistings that became known; see the protocol."""
        market = self.market(calendar, sleeve)
        published, known = self.publications(calendar)
        arrives = _wanted(calendar, knowledge_sessions)[known]
        sessions = session_days(calendar, market)
        gone = np.flatnonzero(market.delisted != NEVER)
        splits, ex = market.splits, market.delisted[gone]
        planned = pl.DataFrame(
            {
                "security": np.concatenate([splits.security, gone]),
                "session": sessions[np.concatenate([splits.ex, ex])],
                "kind": ["split"] * len(splits.ex) + ["delisting"] * len(ex),
                "value": np.concatenate([splits.ratio, market.payout[gone]]),
                "known_at": published[np.concatenate([splits.announced, ex])],
                "arrives": arrives[np.concatenate([splits.announced, ex])],
            }
        )
        listing = listing_of(self.sleeve(sleeve), market.asset_classes)
        rows = planned.filter("arrives").sort("known_at", "session", "security", "kind")
        return rows.select(
            listing["security_id"].gather(rows["security"]),
            pl.col("session").cast(pl.Int32).cast(pl.Date),
            pl.col("kind").cast(ACTION_SCHEMA["kind"]),
            "value",
            pl.col("known_at").cast(ACTION_SCHEMA["known_at"]),
            counterpart=pl.lit(None, pl.String),
            known_at_basis=pl.lit("assumed", ACTION_SCHEMA["known_at_basis"]),
        ).select(*ACTION_SCHEMA)

    def earnings(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return nothing; see `kinds`."""
        return pl.DataFrame(schema=EARNINGS_SCHEMA)

    def membership(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return nothing; see `kinds`."""
        return pl.DataFrame(schema=MEMBERSHIP_SCHEMA)

    def fund_facts(
        self, calendar: SessionCalendar, sleeve: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return nothing; see `kinds`."""
        return pl.DataFrame(schema=FUND_FACT_SCHEMA)

    def series(
        self, calendar: SessionCalendar, branch: str, knowledge_sessions: Sequence[date]
    ) -> pl.DataFrame:
        """Return nothing; see `kinds`."""
        return pl.DataFrame(schema=SERIES_SCHEMA)

    def _on_sessions(
        self, calendar: SessionCalendar, market: Market, wanted: Truths
    ) -> pl.DataFrame:
        """Return every version of a bar that is published in a wanted knowledge session."""
        published, known = self.publications(calendar)
        arriving = np.flatnonzero(wanted[known])
        parts = [
            _versions(market, arriving, 0, (Fate.CLEAN, Fate.CORRECTED, Fate.IMPOSSIBLE)),
            _versions(market, arriving, 0, (Fate.DUPLICATED,)),
            _versions(market, arriving, 0, (Fate.DUPLICATED,)),
            _versions(market, arriving, 1, (Fate.LATE,)),
            _versions(market, arriving, CORRECTION_DELAY, (Fate.CORRECTED,)),
        ]
        row, security, delay = (np.concatenate(part) for part in zip(*parts, strict=True))
        cell = (row, security)
        opening, high, low, close = (
            matrix[cell] for matrix in (market.open, market.high, market.low, market.close)
        )
        fate, variant = market.fate[cell], market.variant[cell]
        mistaken = to_tick(close * (1.05 + 0.2 * variant), market.is_crypto[security])
        is_mistaken = (fate == Fate.CORRECTED) & (delay == 0)
        is_crossed = (fate == Fate.IMPOSSIBLE) & (variant < 0.5)
        is_negative = (fate == Fate.IMPOSSIBLE) & (variant >= 0.5)
        high = np.where(is_mistaken, np.maximum(high, mistaken), high)
        return _prints(
            security=security,
            session=session_days(calendar, market)[row],
            open=opening,
            high=np.where(is_crossed, low / 2, high),
            low=np.where(is_negative, -low, low),
            close=np.where(is_mistaken, mistaken, close),
            volume=market.volume[cell],
            known_at=published[row + delay],
            observed=delay > 0,
        )

    def _on_closed_days(
        self, calendar: SessionCalendar, market: Market, wanted: Truths
    ) -> pl.DataFrame:
        """Return the prints of closed days that are published in a wanted knowledge session."""
        day, row, security = market.closed_prints.T
        known_at, known = self.closed_print_publications(calendar, market)
        here = wanted[known]
        cell = (row[here], security[here])
        return _prints(
            security=security[here],
            session=day[here],
            open=market.open[cell],
            high=market.high[cell],
            low=market.low[cell],
            close=market.close[cell],
            volume=market.volume[cell],
            known_at=known_at[here],
            observed=np.zeros(int(here.sum()), dtype=np.bool_),
        )


def _prints(**columns: Floats | Integers | Truths) -> pl.DataFrame:
    """Put arrays of one print each into a frame with the protocol's types."""
    return pl.DataFrame(columns).with_columns(
        pl.col("session").cast(pl.Int32).cast(pl.Date),
        pl.col("known_at").cast(BAR_SCHEMA["known_at"]),
        known_at_basis=pl.when("observed")
        .then(pl.lit("observed"))
        .otherwise(pl.lit("assumed"))
        .cast(BAR_SCHEMA["known_at_basis"]),
    )


def _versions(
    market: Market, arriving: Integers, delay: int, fates: tuple[Fate, ...]
) -> tuple[Integers, Integers, Integers]:
    """Return row, security and delay of the bars with such fates that arrive so much later."""
    rows = arriving[arriving >= delay] - delay
    chosen = market.trading(rows) & np.isin(market.fate[rows], fates)
    which, security = np.nonzero(chosen)
    return rows[which], security, np.full(len(security), delay)


def _wanted(calendar: SessionCalendar, knowledge_sessions: Sequence[date]) -> Truths:
    """Mark the wanted ordinals; the extra last element stands for "beyond the horizon"."""
    wanted = np.zeros(len(calendar.sessions) + 1, dtype=np.bool_)
    wanted[[calendar.ordinal(session) for session in knowledge_sessions]] = True
    return wanted


@lru_cache(maxsize=8)
def _cutoffs(calendar: SessionCalendar) -> Integers:
    return calendar.frame()["cutoff"].to_physical().to_numpy()


@lru_cache(maxsize=8)
def _publications(
    calendar: SessionCalendar, start: date, lag: timedelta
) -> tuple[Integers, Integers]:
    closes = [calendar.close(session) for session in calendar.between(start, calendar.horizon)]
    published = np.array(
        [(close - _EPOCH_1970 + lag) // _MICROSECOND for close in closes], dtype=np.int64
    )
    return published, np.searchsorted(_cutoffs(calendar), published, side="left")


def session_days(calendar: SessionCalendar, market: Market) -> Integers:
    """Return the market's sessions as days since 1970."""
    return calendar.frame()["session"].slice(market.first).to_physical().cast(pl.Int64).to_numpy()
