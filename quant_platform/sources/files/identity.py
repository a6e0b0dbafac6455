"""Who is who: one ``security_id`` for each security, through new names and used-up tickers.

1. A symbol that is listed is a security of that name. Listed again after it had left, it is another
   one: ``<symbol>@<day>``. A ``security_id`` that the files tell wins.
   Rows of one symbol that was listed on one day are versions of one listing: the newest says how
   it is, and each is told when it was known.
2. A symbol that left and appeared then under another one is *renamed*, if the files say so or the
   mapping lets names and bars tell (`rename_links`). The new symbol has the old one's id from then
   on, and what is known of it is told by then: no id depends on what came later.
3. What left otherwise has *departed*: by the terms of a merger, by a delisting, or never having
   traded. It is told ``confirm_days`` after the last day, because until then it could have been a
   rename; the mark stands as long.

A departure pays what an action of the files says; without one the last traded price, and the value
is null so that the row says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.files.columns import refuse_strange_words
from quant_platform.sources.files.departures import departures_of, ends_told, exits, leaving
from quant_platform.sources.files.mapping import Mapping
from quant_platform.sources.files.publication import assumed_instants
from quant_platform.sources.files.relisting import Former, listed_anew, returned
from quant_platform.sources.files.renames import rename_links, told_renames
from quant_platform.sources.protocol import (
    ACTION_SCHEMA,
    ASSET_CLASS,
    KNOWN_AT_BASIS,
    SECURITY_SCHEMA,
)


@dataclass(frozen=True)
class Identities:
    """What the listings of a folder come to.

    Parameters
    ----------
    ids
        ``symbol``, ``since``, ``security_id``: whose bars a symbol's are from a day on.
    securities
        Rows of `SECURITY_SCHEMA`.
    actions
        Rows of `ACTION_SCHEMA`: renames and departures.
    departures
        ``symbol``, ``delisted_on``, ``became`` (renamed, merged, delisted, never_traded) and
        ``successor``.
    named_again
        Departed symbols of which the same company name appeared under another symbol in time.
    listed_anew
        Symbols that were told gone and go on as another security.
    only_bars
        ``security_id`` of those that no listing tells of.
    """

    ids: pl.DataFrame
    securities: pl.DataFrame
    actions: pl.DataFrame
    departures: pl.DataFrame
    named_again: int
    listed_anew: int
    only_bars: pl.DataFrame


@dataclass(frozen=True)
class Evidence:
    """What identities are told by.

    Parameters
    ----------
    listings
        Rows of the listings files; without any, the symbols that have bars are what is listed.
    spans
        By symbol: ``first``, ``last`` session with a bar, ``known`` (when the first one was).
    edges
        Bars at the ends of symbols that came or left: the last sessions and the first ones.
    told
        Actions of the files, with their symbols.
    traded
        Days of which the files have bars, ascending.
    former
        What was told of ends.
    """

    listings: pl.DataFrame
    spans: pl.DataFrame
    edges: pl.DataFrame
    told: pl.DataFrame
    traded: pl.Series
    former: Former = field(default_factory=Former)


def identities(
    evidence: Evidence, mapping: Mapping, calendar: SessionCalendar, lag: timedelta
) -> Identities:
    """Tell who is who.

    Parameters
    ----------
    evidence
        What the files say.
    mapping
        Conventions.
    calendar, lag
        For assumed times.
    """
    spans, edges, told = evidence.spans, evidence.edges, evidence.told
    listings = _completed(evidence, mapping, calendar, lag)
    anew = 0
    while True:
        versions = _versions(listings, spans, mapping, calendar)
        listed = _listed(versions)
        links, named_again = rename_links(listed, edges, told, mapping.departures)
        listed = _with_ids(listed, links)
        # Who was listed anew may have been told gone again.
        back = returned(listed, evidence.former)
        if not back.height:
            break
        anew += back.height
        confirm_days = mapping.departures.confirm_days
        listings = listed_anew(listings, back, calendar, lag, confirm_days)
    versions = _known_as(versions, listed, links, calendar, lag)
    departures = departures_of(listed, edges, told, mapping.departures)
    left = leaving(versions, departures, mapping, calendar, lag)
    securities = _descriptions(versions, left)
    actions = pl.concat(
        [exits(left, departures, ends_told(told, listed)), _renames(versions, links)]
    )
    ids = _ids(listed, links, calendar)
    only_bars = listed.filter("only_bars").select("security_id").unique()
    return Identities(ids, securities, actions, departures, named_again, anew, only_bars)


def _completed(
    evidence: Evidence, mapping: Mapping, calendar: SessionCalendar, lag: timedelta
) -> pl.DataFrame:
    """Add the listings that only bars tell of, and the ends that only renames tell of."""
    spans, renames = evidence.spans, told_renames(evidence.told, evidence.spans)
    missing = spans.join(evidence.listings, on="symbol", how="anti")
    gone = _gone(missing["last"], evidence.traded, mapping.departures.confirm_days, calendar)
    sessions = calendar.frame()["session"]
    after = sessions.gather(sessions.search_sorted(missing["last"], side="right"), null_on_oob=True)
    from_bars = (
        missing.with_columns(end=pl.select(pl.when(gone).then(after)).to_series())
        .join(renames, on="symbol", how="left", maintain_order="left")
        .with_columns(renamed=pl.when(pl.col("renamed") > pl.col("first")).then("renamed"))
        .with_columns(only_bars=pl.lit(value=True))
    )
    first = from_bars.select(
        *("symbol", "only_bars"),
        listed_on="first",
        delisted_on=pl.coalesce("renamed", "end"),
        known_at="known",
        known_at_basis="basis",
    )
    # Bars that a symbol has after its security took another one are of somebody else.
    others = from_bars.filter(pl.col("last") >= pl.col("renamed"))
    again = others.select(
        *("symbol", "only_bars"),
        listed_on="renamed",
        delisted_on="end",
        known_at=assumed_instants(others["renamed"], calendar, lag),
        known_at_basis=pl.lit("assumed", KNOWN_AT_BASIS),
    )
    listed = evidence.listings.with_columns(only_bars=pl.lit(value=False))
    return pl.concat([_ended_by_renames(listed, spans, renames), first, again], how="diagonal")


def _gone(
    last: pl.Series, traded: pl.Series, confirm_days: int, calendar: SessionCalendar
) -> pl.Series:
    """Tell who has no bar any more although the files went on, by the last bar of each.

    They went on if they have bars of half of the sessions in which a departure is confirmed. A
    single row that is dated far ahead says nothing of the others.
    """
    sessions = calendar.frame()["session"]
    until = last.dt.offset_by(f"{confirm_days}d")
    there = traded.filter(traded.is_in(sessions.implode()))
    if not len(there):
        return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(last))
    went_on, possible = (
        days.search_sorted(until, side="right").cast(pl.Int64)
        - days.search_sorted(last, side="right").cast(pl.Int64)
        for days in (there, sessions)
    )
    ended: pl.Series = (until < there[-1]) & (2 * went_on >= possible)
    return ended


def _ended_by_renames(
    listings: pl.DataFrame, spans: pl.DataFrame, renames: pl.DataFrame
) -> pl.DataFrame:
    """End the listings that a rename ends, where the listings say nothing of it."""
    ended = (
        listings.select("symbol")
        .join(renames, on="symbol", how="left", maintain_order="left")
        .join(spans.select("symbol", "last"), on="symbol", how="left", maintain_order="left")
    )
    silent = listings["delisted_on"].is_null() & (listings["listed_on"] < ended["renamed"])
    silent &= ended["last"] < ended["renamed"]
    return listings.with_columns(
        delisted_on=listings["delisted_on"].zip_with(
            ~silent.fill_null(value=False), ended["renamed"]
        )
    )


def _versions(
    listings: pl.DataFrame, spans: pl.DataFrame, mapping: Mapping, calendar: SessionCalendar
) -> pl.DataFrame:
    """Give each listing a number, and each version a row.

    Rows of one symbol that was listed on one day are versions of that listing.
    """
    refuse_strange_words(listings["asset_class"], ASSET_CLASS)
    spanned = spans.select("symbol", "first", "last", "known")
    return (
        listings.sort("symbol", "listed_on", "known_at", maintain_order=True)
        .join(spanned, on="symbol", how="left", maintain_order="left")
        .with_columns(
            name=pl.coalesce("name", pl.col("symbol").str.split(":").list.last()),
            exchange=pl.coalesce("exchange", pl.col("symbol").str.split(":").list.first()),
            asset_class=pl.coalesce("asset_class", pl.lit(mapping.asset_class)),
            arrives=_session_of(pl.col("listed_on"), calendar),
            listing=pl.struct("symbol", "listed_on").rle_id(),
        )
    )


def _listed(versions: pl.DataFrame) -> pl.DataFrame:
    """Take of each listing what its newest version says, and its first name and time."""
    first = ("name", "known_at", "known_at_basis")
    named = versions.with_columns(name_at_end=pl.coalesce("name_at_end", "name"))
    return named.group_by("listing", maintain_order=True).agg(
        pl.col(first).first(), pl.exclude(first).last()
    )


def _with_ids(listed: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Give each listing its security, a successor that of whom it succeeds."""
    own = pl.when(pl.col("listing") == pl.col("listing").min().over("symbol"))
    listed = listed.with_columns(
        own=pl.coalesce(
            "security_id",
            own.then("symbol").otherwise(pl.format("{}@{}", "symbol", "listed_on")),
        )
    )
    ids = dict(listed.select("listing", "own").iter_rows())
    successors = dict(links.select("listing_new", "listing").iter_rows())
    own_ids = dict(ids)
    for listing in own_ids:
        first, seen = listing, {listing}
        while first in successors and successors[first] not in seen:
            first = successors[first]
            seen.add(first)
        ids[listing] = own_ids[first]
    return listed.with_columns(
        # An empty mapping would have no type of its own.
        security_id=pl.col("own")
        if not ids
        else pl.col("listing").replace_strict(ids, return_dtype=pl.String)
    )


def _ids(listed: pl.DataFrame, links: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Say whose bars a symbol's are from a day on."""
    later = links.filter("told").select(listing="listing_new", renamed="since")
    spells = listed.join(later, on="listing", how="left").select(
        "symbol",
        "own",
        "security_id",
        renamed=pl.when(pl.col("renamed") > pl.col("listed_on")).then("renamed"),
        # Before its first listing a symbol is its first owner's.
        since=pl.when(pl.col("listed_on") == pl.col("listed_on").min().over("symbol"))
        .then(pl.lit(calendar.first_day))
        .otherwise("listed_on"),
    )
    is_later = pl.col("renamed").is_not_null()
    before = spells.filter(is_later).select("symbol", "since", security_id="own")
    from_then = spells.select(
        "symbol", since=pl.coalesce("renamed", "since"), security_id="security_id"
    )
    return pl.concat([before, from_then]).sort("symbol", "since")


def _known_as(
    versions: pl.DataFrame,
    listed: pl.DataFrame,
    links: pl.DataFrame,
    calendar: SessionCalendar,
    lag: timedelta,
) -> pl.DataFrame:
    """Give each version its security; of a successor it is known when the succession is."""
    told = links.filter("told").select(
        listing="listing_new",
        effective=assumed_instants(links.filter("told")["since"], calendar, lag),
    )
    heirs = links.select(listing="listing_new", succeeded="known_at")
    return (
        versions.drop("security_id")
        .join(listed.select("listing", "security_id"), on="listing", maintain_order="left")
        .join(heirs, on="listing", how="left", maintain_order="left")
        .join(told, on="listing", how="left", maintain_order="left")
        .with_columns(known_at=pl.max_horizontal("known_at", "succeeded", "effective"))
        .drop("succeeded", "effective")
    )


def _descriptions(versions: pl.DataFrame, leaving: pl.DataFrame) -> pl.DataFrame:
    """Rows of securities: each arrival, new name and other version, and each departure."""
    first = versions.group_by("security_id").agg(listed_first=pl.col("listed_on").min())
    arrivals = versions.with_columns(delisted_on=pl.lit(None, pl.Date))
    described = (
        pl.concat([arrivals, leaving], how="diagonal")
        .join(first, on="security_id", maintain_order="left")
        .with_columns(listed_on="listed_first")
    )
    return described.select(
        pl.col(name).cast(dtype, strict=False) for name, dtype in SECURITY_SCHEMA.items()
    ).unique(["security_id", "known_at"], keep="last", maintain_order=True)


def _renames(versions: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Actions of the renames that names and bars tell."""
    return (
        links.filter(pl.col("told").not_())
        .select("listing_new")
        .join(
            versions.unique("listing", keep="first", maintain_order=True),
            left_on="listing_new",
            right_on="listing",
        )
        .select(
            "security_id",
            session="arrives",
            kind=pl.lit("rename", ACTION_SCHEMA["kind"]),
            value=pl.lit(None, pl.Float64),
            counterpart="symbol",
            known_at="known_at",
            known_at_basis="known_at_basis",
        )
    )


def _session_of(day: pl.Expr, calendar: SessionCalendar) -> pl.Expr:
    """First session at or after a day."""
    sessions = calendar.frame()["session"]
    return day.map_batches(
        lambda days: sessions.gather(sessions.search_sorted(days, side="left")),
        return_dtype=pl.Date,
    )
