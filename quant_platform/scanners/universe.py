"""The universe as of each session: who is listed, and who of them may be looked at.

1. The last description known at the cutoff says who is listed; each of them has a row.
2. Each *screen* is asked of each, in this order; who passes all of them is in the universe, and who
   does not keeps its row with the first that failed:

   - ``survivor``, where the survivorship is biased: is it on the list of that later day?
   - ``index_member``, where an index is named: was it a member on the session, by the stays known
     then? The last version of each stay holds; nothing is read backwards from a later stay.
   - ``stale``: sessions since it last traded or moved, by the bars known then; five are too many.
   - ``aum``: the last assets told, of a day no older than a year, where there are fund facts.
   - ``mean_volume``: the mean volume over 20 sessions, in units of the session.

A screen without a value fails: a gate without evidence is closed. Sums are taken in calendar order,
so that a range has the bytes of its single days.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date

import numpy as np
import polars as pl

from quant_platform.features.panel import Panel, window_sums
from quant_platform.lakehouse.contracts.universe import UNIVERSE
from quant_platform.lakehouse.gates import Gate
from quant_platform.lakehouse.vintages import ALL_HISTORY, splits_in_effect
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.quality import active_ages
from quant_platform.scanners.audit import entry, first_failed
from quant_platform.scanners.fund_facts import last_told
from quant_platform.settings.universe import UniverseSettings

VOLUME_SESSIONS = 20
"""Sessions over which volume is averaged."""
FEWEST_BARS = 15
"""Bars among them below which there is no mean."""

SURVIVOR = Gate("survivor", "choice")
MEMBER = Gate("index_member", "choice")
STALE = Gate("stale", "guard")
AUM = Gate("aum", "choice")
MEAN_VOLUME = Gate("mean_volume", "choice")
SCREENS = (SURVIVOR, MEMBER, STALE, AUM, MEAN_VOLUME)
"""Every screen, in the order in which they are asked."""

_KEY = ["session", "security_id"]
_DESCRIBED = ("symbol", "exchange", "asset_class", "sector", "category", "listed_on", "delisted_on")


def universe_gates(settings: UniverseSettings, kinds: Collection[str]) -> list[Gate]:
    """Screens that a universe asks, in their order.

    Parameters
    ----------
    settings
        What is asked for.
    kinds
        Kinds of data that there are; fund facts that are lacking are not asked for.
    """
    asked = {
        SURVIVOR: settings.survivors_on is not None,
        MEMBER: settings.index is not None and settings.survivors_on is None,
        STALE: True,
        AUM: settings.min_aum is not None and "fund_facts" in kinds,
        MEAN_VOLUME: settings.min_mean_volume is not None,
    }
    return [gate for gate in SCREENS if asked[gate]]


def universe_windows(
    settings: UniverseSettings, kinds: Collection[str], stale_sessions: int
) -> dict[str, Window]:
    """Sessions of its inputs that ``universe`` depends on.

    Parameters
    ----------
    settings, kinds
        As for `universe_gates`.
    stale_sessions
        Sessions without a trade after which a security is out.
    """
    gates = universe_gates(settings, kinds)
    averaged = VOLUME_SESSIONS if MEAN_VOLUME in gates else 0
    windows = {
        "securities": Window("securities", ALL_HISTORY),
        "actions": Window("actions", ALL_HISTORY),
        "bars": Window("bars", max(stale_sessions, averaged) - 1),
    }
    if MEMBER in gates:
        windows["membership"] = Window("membership", ALL_HISTORY)
    if AUM in gates:
        windows["fund_facts"] = Window("fund_facts", ALL_HISTORY)
    return windows


def session_universe(
    frames: Mapping[str, pl.LazyFrame],
    settings: UniverseSettings,
    wanted: SessionRange,
    *,
    stale_sessions: int,
    survivors: Callable[[], Collection[str]] | None = None,
) -> pl.DataFrame:
    """Compute ``universe`` for a range.

    Parameters
    ----------
    frames
        What `universe_windows` asks for, by its names.
    settings
        Who belongs.
    wanted
        Sessions to compute.
    stale_sessions
        Sessions without a trade after which a security is out.
    survivors
        The biased list, where one is asked for.

    Returns
    -------
    polars.DataFrame
        One row per listed security, by session and security.
    """
    actions, bars = frames["actions"].collect(), frames["bars"].collect()
    rows = _listed(frames["securities"], wanted)
    rows = rows.join(_idle(bars, stale_sessions, wanted), on=_KEY, how="left")
    audit = []
    if survivors is not None:
        kept = pl.col("security_id").is_in(sorted(survivors())).cast(pl.Float64)
        audit.append(entry(SURVIVOR.name, kept >= 1, kept, 1.0))
    if "membership" in frames and settings.index is not None:
        stays = members(frames["membership"].collect(), settings.index, wanted)
        rows = rows.join(stays.lazy().with_columns(member=pl.lit(1.0)), on=_KEY, how="left")
        member = pl.col("member").fill_null(0.0)
        audit.append(entry(MEMBER.name, member >= 1, member, 1.0))
    idle = pl.col("idle").cast(pl.Float64)
    audit.append(entry(STALE.name, idle < stale_sessions, idle, float(stale_sessions)))
    if "fund_facts" in frames and settings.min_aum is not None:
        assets = frames["fund_facts"].filter(pl.col("aum").is_not_null())
        facts = last_told(assets, rows, wanted, ["aum"])
        rows = rows.join(facts, on=_KEY, how="left")
        aum = pl.col("aum")
        audit.append(entry(AUM.name, aum >= settings.min_aum, aum, settings.min_aum))
    if settings.min_mean_volume is not None:
        loaded = wanted.loaded(Window("bars", VOLUME_SESSIONS - 1))
        volumes = _mean_volumes(bars, actions, wanted, loaded)
        rows = rows.join(volumes.lazy(), on=_KEY, how="left")
        least, volume = settings.min_mean_volume, pl.col("mean_volume")
        audit.append(entry(MEAN_VOLUME.name, volume >= least, volume, least))
    return (
        rows.with_columns(
            # Arrays of structs are laid out in one go, lists of them row by row.
            passes=pl.concat_arr(audit).arr.to_list(),
            reason=first_failed(audit),
        )
        .with_columns(included=pl.col("reason").is_null())
        .select(pl.col(name).cast(column.dtype) for name, column in UNIVERSE.columns.items())
        .sort(_KEY)
        .collect()
    )


def members(membership: pl.DataFrame, index: str, wanted: SessionRange) -> pl.DataFrame:
    """Return who was a member of an index on each session, by the stays known at its cutoff.

    Parameters
    ----------
    membership
        Published stays, every version.
    index
        Name of the index.
    wanted
        Sessions that are asked.
    """
    stay = ["security_id", "valid_from"]
    versions = (
        membership.filter(pl.col("index") == index)
        .sort(*stay, "knowledge_session", "known_at")
        .unique([*stay, "knowledge_session"], keep="last", maintain_order=True)
        .with_columns(until=pl.col("knowledge_session").shift(-1).over(stay))
    )
    sessions = pl.DataFrame({"session": wanted.sessions}, schema={"session": pl.Date})
    session = pl.col("session")
    return (
        versions.lazy()
        .join(sessions.lazy(), how="cross")
        .filter(
            session >= pl.max_horizontal("valid_from", "knowledge_session"),
            pl.col("until").is_null() | (session < pl.col("until")),
            pl.col("valid_to").is_null() | (session <= pl.col("valid_to")),
        )
        .select(_KEY)
        .unique()
        .collect()
    )


def survivors_of(
    securities: pl.DataFrame,
    membership: pl.DataFrame | None,
    settings: UniverseSettings,
    there: SessionRange,
) -> list[str]:
    """Return who is listed, and a member where an index is named, on the last session of a range.

    Parameters
    ----------
    securities, membership
        Published rows up to that session.
    settings
        Names the index.
    there
        A range that ends with the session whose list is taken.
    """
    last = there.at_last
    listed = _listed(securities.lazy(), last).select(_KEY).collect()
    if settings.index is not None and membership is not None:
        listed = listed.join(members(membership, settings.index, last), on=_KEY)
    return listed["security_id"].sort().to_list()


def _listed(securities: pl.LazyFrame, wanted: SessionRange) -> pl.LazyFrame:
    """Describe each security at each session as last told by then; keep those that are listed."""
    descriptions = (
        securities.sort("knowledge_session", "security_id", "known_at")
        .unique(["knowledge_session", "security_id"], keep="last", maintain_order=True)
        .select("security_id", "knowledge_session", *_DESCRIBED)
    )
    sessions = pl.LazyFrame({"session": wanted.sessions}, schema={"session": pl.Date})
    return (
        sessions.join(securities.select("security_id").unique(), how="cross")
        .sort("session", "security_id")
        .join_asof(
            descriptions,
            left_on="session",
            right_on="knowledge_session",
            by="security_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(
            pl.col("listed_on") <= pl.col("session"),
            pl.col("delisted_on").is_null() | (pl.col("delisted_on") > pl.col("session")),
        )
    )


def _idle(bars: pl.DataFrame, stale_sessions: int, wanted: SessionRange) -> pl.LazyFrame:
    """Count the sessions since each security last traded or moved, as known by then."""
    ordinals = wanted.calendar.frame().select("session", "ordinal")
    known = ordinals.rename({"session": "knowledge_session", "ordinal": "known"})
    ages = active_ages(
        bars.join(ordinals, on="session").join(known, on="knowledge_session"), stale_sessions
    )
    return ages.lazy().join(ordinals.lazy(), on="ordinal").select(*_KEY, idle="age")


def _mean_volumes(
    bars: pl.DataFrame, actions: pl.DataFrame, wanted: SessionRange, loaded: list[date]
) -> pl.DataFrame:
    """Average the volume known by each session over the sessions up to it, in its own units."""
    panel = Panel.of(bars, wanted, loaded, ["volume"], splits_in_effect(actions))
    start = len(loaded) - len(wanted.sessions)
    total, count = window_sums(panel.columns["volume"], start, VOLUME_SESSIONS)
    keep = panel.visible(start, len(loaded)) & (count >= FEWEST_BARS)
    places, columns = np.nonzero(keep)
    return pl.DataFrame(
        {
            "session": pl.Series(loaded, dtype=pl.Date).gather(places + start),
            "security_id": panel.series["security_id"].gather(columns),
            "mean_volume": total[places, columns] / count[places, columns],
        }
    )
