"""Who is who: one ``security_id`` for each security, through new names and used-up tickers.

1. A symbol that is listed is a security of that name. Listed again after it had left, it is another
   one: ``<symbol>@<day>``. A ``security_id`` that the files tell wins.
2. A symbol that left and appeared at the same time under another one is *renamed*, if the files say
   so (an action ``rename``) or the mapping lets names and bars tell: the same company name, or the
   very bar of the departed symbol on its last session. The nearest in price wins where several
   could be meant. The new symbol then has the old one's id from its first session on, and what is
   known of it is told by then: no id depends on what came later.
3. What left otherwise has *departed*: by the terms of a merger, by a delisting, or never having
   traded. It is told ``confirm_days`` after the last day, because until then it could have been a
   rename; the mark stands as long.

A departure pays what an action of the files says; without one the last traded price, and the value
is null so that the row says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.files.mapping import DepartureRule, Mapping
from quant_platform.sources.files.reading import assumed_instants
from quant_platform.sources.protocol import ACTION_SCHEMA, KNOWN_AT_BASIS, SECURITY_SCHEMA

_PINNED_SESSIONS = 20
_PINNED_RANGE, _FREE_RANGE = 0.03, 0.10
"""A deal price moves by less than this over its last sessions; before, the price moved by more."""


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
    """

    ids: pl.DataFrame
    securities: pl.DataFrame
    actions: pl.DataFrame
    departures: pl.DataFrame
    named_again: int


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
    """

    listings: pl.DataFrame
    spans: pl.DataFrame
    edges: pl.DataFrame
    told: pl.DataFrame


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
    listings, spans, edges, told = (
        *(evidence.listings, evidence.spans),
        *(evidence.edges, evidence.told),
    )
    listed = _listed(listings, spans, mapping, calendar)
    links, named_again = _links(listed, edges, told, mapping.departures)
    listed = _with_ids(listed, links)
    departures = _departures(listed, edges, told, mapping.departures)
    ids = listed.select(
        "symbol",
        # Before its first listing a symbol is its first owner's.
        since=pl.when(pl.col("listed_on") == pl.col("listed_on").min().over("symbol"))
        .then(None)
        .otherwise("listed_on"),
        security_id="security_id",
    ).with_columns(pl.col("since").fill_null(calendar.first_day))
    leaving = _leaving(listed, departures, mapping, calendar, lag)
    securities = _descriptions(listed, leaving)
    actions = pl.concat([_exits(leaving, told), _renames(listed, links, calendar)])
    return Identities(ids.sort("symbol", "since"), securities, actions, departures, named_again)


def _listed(
    listings: pl.DataFrame, spans: pl.DataFrame, mapping: Mapping, calendar: SessionCalendar
) -> pl.DataFrame:
    """Give each listing a number, those that only bars tell of included."""
    missing = spans.join(listings, on="symbol", how="anti")
    if missing.height:
        newest = spans["last"].max()
        gone = pl.col("last") < pl.lit(newest) - timedelta(days=mapping.departures.confirm_days)
        sessions = calendar.frame()["session"]
        after = sessions.gather(sessions.search_sorted(missing["last"], side="right"))
        from_bars = missing.with_columns(after=after).select(
            "symbol",
            listed_on="first",
            delisted_on=pl.when(gone).then("after"),
            known_at="known",
            known_at_basis="basis",
        )
        listings = pl.concat([listings, from_bars], how="diagonal")
    spanned = spans.select("symbol", "first", "last")
    return (
        listings.sort("symbol", "listed_on", "known_at")
        .join(spanned, on="symbol", how="left", maintain_order="left")
        .with_columns(
            name=pl.coalesce("name", pl.col("symbol").str.split(":").list.last()),
            exchange=pl.coalesce("exchange", pl.col("symbol").str.split(":").list.first()),
            asset_class=pl.coalesce("asset_class", pl.lit(mapping.asset_class)),
        )
        .with_row_index("listing")
    )


def _links(
    listed: pl.DataFrame, edges: pl.DataFrame, told: pl.DataFrame, rule: DepartureRule
) -> tuple[pl.DataFrame, int]:
    """Pairs of listings, old and new, that are one security; and how many shared a name."""
    old = listed.filter(pl.col("delisted_on").is_not_null()).select(
        "listing", "symbol", "name", "delisted_on", "last", security="security_id"
    )
    new = listed.select(
        "listing",
        "symbol",
        "listed_on",
        "first",
        name=pl.coalesce("name_before", "name"),
        security="security_id",
    )
    renames = told.filter(pl.col("kind") == "rename").select("symbol", "counterpart", "session")
    told_links = (
        renames.join(old, on="symbol")
        .join(new, left_on="counterpart", right_on="symbol", suffix="_new")
        .filter((pl.col("delisted_on") - pl.col("listed_on")).dt.total_days().abs() <= 31)
        .select("listing", "listing_new", since="session", rank=pl.lit(0.0), told=pl.lit(True))
    )
    if not rule.same_name_is_rename:
        return _one_to_one(told_links), 0
    window = timedelta(days=rule.confirm_days)
    # The last day of the departed is the one before delisted_on.
    near = (
        pl.col("listed_on")
        .is_between(pl.col("delisted_on") - window, pl.col("delisted_on") + window)
        .and_(pl.col("symbol") != pl.col("symbol_new"))
    )
    by_name = old.join(new, on="name", suffix="_new").filter(near)
    named = by_name["symbol"].n_unique()
    last = edges.filter(pl.col("session") == pl.col("last"))
    bar = ("session", "open", "high", "low", "close", "volume")
    same = (
        last.filter(pl.col("volume") > 0)
        .select("symbol", *bar)
        .join(edges.select("symbol", *bar), on=bar, suffix="_new")
        .filter(pl.col("symbol") != pl.col("symbol_new"))
        .select("symbol", "symbol_new")
        .unique()
    )
    by_bar = (
        same.join(old, on="symbol")
        .join(new, left_on="symbol_new", right_on="symbol", suffix="_new")
        .filter(near)
    )
    # Who traded side by side at different prices is not one security.
    by_name = by_name.join(same, on=["symbol", "symbol_new"], how="anti").filter(
        (pl.col("first") > pl.col("last")) | pl.col("first").is_null() | pl.col("last").is_null()
    )
    keep = ["symbol", "symbol_new", "listing", "listing_new", "listed_on"]
    first_close = edges.sort("session").group_by("symbol").agg(opened=pl.col("close").first())
    last_close = last.select("symbol", closed="close")
    candidates = (
        pl.concat(
            [
                by_bar.select(keep).with_columns(rank=0.0),
                by_name.select(keep).with_columns(rank=1.0),
            ]
        )
        .join(last_close, on="symbol", how="left")
        .join(first_close, left_on="symbol_new", right_on="symbol", how="left")
        .with_columns(step=(pl.col("opened") / pl.col("closed")).log().abs())
        # A unit that falls apart into a share and a warrant is no rename; nor is a note.
        .filter((pl.col("rank") == 0) | (pl.col("step") < 0.25))
        .select(
            "listing",
            "listing_new",
            since="listed_on",
            rank=1 + pl.col("rank") + pl.col("step").fill_null(1.0),
            told=pl.lit(False),
        )
    )
    return _one_to_one(pl.concat([told_links, candidates])), named


def _one_to_one(links: pl.DataFrame) -> pl.DataFrame:
    """Best pairs first, each listing once as the old one and once as the new one."""
    taken: list[tuple[int, int]] = []
    old_taken: set[int] = set()
    new_taken: set[int] = set()
    ordered = links.sort("rank", "listing", "listing_new")
    for old, new in ordered.select("listing", "listing_new").iter_rows():
        if old != new and old not in old_taken and new not in new_taken:
            taken.append((old, new))
            old_taken.add(old)
            new_taken.add(new)
    chosen = pl.DataFrame(
        taken, schema={"listing": pl.UInt32, "listing_new": pl.UInt32}, orient="row"
    )
    return chosen.join(
        links.unique(["listing", "listing_new"], keep="first"), on=["listing", "listing_new"]
    ).sort("listing")


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


def _departures(
    listed: pl.DataFrame, edges: pl.DataFrame, told: pl.DataFrame, rule: DepartureRule
) -> pl.DataFrame:
    """Say of each listing that ended what became of it."""
    merged = told.filter(pl.col("kind") == "merger").select("symbol", merger=pl.lit(True)).unique()
    pinned = _pinned(edges) if rule.pinned_is_merger else edges.head(0).select("symbol")
    successors = listed.sort("listing").with_columns(
        successor=pl.col("symbol").shift(-1).over("security_id", order_by="listed_on"),
        follows=pl.col("listing").shift(-1).over("security_id", order_by="listed_on"),
    )
    return (
        successors.filter(pl.col("delisted_on").is_not_null())
        .join(merged, on="symbol", how="left")
        .join(pinned.with_columns(pinned=pl.lit(True)), on="symbol", how="left")
        .select(
            "listing",
            "security_id",
            "symbol",
            "delisted_on",
            "successor",
            became=pl.when(pl.col("follows").is_not_null())
            .then(pl.lit("renamed"))
            .when(pl.col("merger"))
            .then(pl.lit("merged"))
            .when(pl.col("first").is_null())
            .then(pl.lit("never_traded"))
            .when(pl.col("pinned"))
            .then(pl.lit("merged"))
            .otherwise(pl.lit("delisted")),
        )
        .sort("delisted_on", "symbol")
    )


def _pinned(edges: pl.DataFrame) -> pl.DataFrame:
    """Symbols whose price hardly moved at the end, and did before."""
    return (
        edges.filter(pl.col("volume") > 0)
        .sort("symbol", "session")
        .group_by("symbol")
        .agg(
            last=pl.col("close").tail(_PINNED_SESSIONS),
            before=pl.col("close").head(pl.len() - _PINNED_SESSIONS),
        )
        .filter(
            pl.col("last").list.len() == _PINNED_SESSIONS,
            pl.col("last").list.max() < pl.col("last").list.min() * (1 + _PINNED_RANGE),
            pl.col("before").list.max() > pl.col("before").list.min() * (1 + _FREE_RANGE),
        )
        .select("symbol")
    )


def _leaving(
    listed: pl.DataFrame,
    departures: pl.DataFrame,
    mapping: Mapping,
    calendar: SessionCalendar,
    lag: timedelta,
) -> pl.DataFrame:
    """Pick the listings that ended for good, each with the time at which that is told."""
    gone = departures.filter(pl.col("became") != "renamed").select("listing", "became")
    leaving = gone.join(listed, on="listing", maintain_order="left")
    confirmed = leaving["delisted_on"] + timedelta(days=mapping.departures.confirm_days)
    return leaving.with_columns(
        known_at=assumed_instants(confirmed, calendar, lag),
        known_at_basis=pl.lit("assumed", KNOWN_AT_BASIS),
    )


def _descriptions(listed: pl.DataFrame, leaving: pl.DataFrame) -> pl.DataFrame:
    """Rows of securities: each arrival and new name, and each departure."""
    first = listed.group_by("security_id").agg(listed_first=pl.col("listed_on").min())
    arrivals = listed.with_columns(delisted_on=pl.lit(None, pl.Date))
    described = (
        pl.concat([arrivals, leaving], how="diagonal")
        .join(first, on="security_id", maintain_order="left")
        .with_columns(listed_on="listed_first")
    )
    return described.select(
        pl.col(name).cast(dtype, strict=False) for name, dtype in SECURITY_SCHEMA.items()
    ).unique(["security_id", "known_at"], keep="last", maintain_order=True)


def _exits(leaving: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Actions of departures of which the files tell no terms: the value is null."""
    ended = told.filter(pl.col("kind").is_in(["delisting", "merger"]))["symbol"]
    kind = pl.when(pl.col("became") == "merged").then(pl.lit("merger"))
    return leaving.filter(
        pl.col("symbol").is_in(ended.implode()).not_(), pl.col("became") != "never_traded"
    ).select(
        "security_id",
        session="delisted_on",
        kind=kind.otherwise(pl.lit("delisting")).cast(ACTION_SCHEMA["kind"]),
        value=pl.lit(None, pl.Float64),
        counterpart=pl.lit(None, pl.String),
        known_at="known_at",
        known_at_basis="known_at_basis",
    )


def _renames(listed: pl.DataFrame, links: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Actions of the renames that names and bars tell."""
    return (
        links.filter(pl.col("told").not_())
        .join(listed, left_on="listing_new", right_on="listing")
        .select(
            "security_id",
            session=_session_of(pl.col("since"), calendar),
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
