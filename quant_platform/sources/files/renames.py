"""Which listings are one security under a new name: told by an action, by a name or by a bar.

1. An action ``rename`` of the files tells it, if the new symbol begins about then. Until its
   session the new symbol is itself; the old one ends there, whatever else tells of it.
2. If the mapping allows it, a listing that ended, as the listings files say, is followed by one
   that began at that end or up to ``confirm_days`` later, under the same company name or with the
   very bar of the other's last session. Who is listed while the other still is, is another
   security: that the other one will leave is not known then.
3. Each listing has one successor at most and is one's at most. What came first is taken first, and
   of those of one day the nearest in price, so that no link depends on what came later.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from quant_platform.sources.files.mapping import DepartureRule

_TOLD_DAYS = 31
"""How far the end of the old listing may be from the beginning of the new one of a told rename."""
_STEP = 0.25
"""Log step of the price beyond which the same name is a warrant or a note, no rename."""
_COLUMNS = ("listing", "listing_new", "since", "known_at", "rank", "told")


def told_renames(told: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Find since when symbols have another one, by the actions of the files.

    Parameters
    ----------
    told
        Actions of the files.
    spans
        First and last session with a bar, by symbol.

    Returns
    -------
    polars.DataFrame
        ``symbol`` and ``renamed``, the first such session; only where the new symbol has bars that
        begin about then.
    """
    begins = spans.select(counterpart="symbol", begins="first")
    return (
        told.filter(pl.col("kind") == "rename", pl.col("symbol") != pl.col("counterpart"))
        .join(begins, on="counterpart")
        .filter(_near(pl.col("session"), pl.col("begins")))
        .group_by("symbol")
        .agg(renamed=pl.col("session").min())
    )


def _near(end: pl.Expr, begin: pl.Expr) -> pl.Expr:
    return (end - begin).dt.total_days().abs() <= _TOLD_DAYS


def rename_links(
    listed: pl.DataFrame, edges: pl.DataFrame, told: pl.DataFrame, rule: DepartureRule
) -> tuple[pl.DataFrame, int]:
    """Pairs of listings that are one security.

    Parameters
    ----------
    listed
        A row per listing, with the first session at which it ``arrives``, its ``last`` and
        ``first`` bar, when that one was ``known``, and whether ``only_bars`` tell of it.
    edges
        Bars at the ends of symbols.
    told
        Actions of the files.
    rule
        What names and bars may tell.

    Returns
    -------
    tuple
        ``listing``, ``listing_new``, ``since`` (the day of the new symbol), ``known_at`` (when
        that was known at the earliest), ``told`` (by an action); and how many of those that ended
        shared their name with one that began.
    """
    old = listed.filter(pl.col("delisted_on").is_not_null()).select(
        *("listing", "symbol", "delisted_on", "arrives", "last", "only_bars"),
        name=pl.coalesce("name_at_end", "name"),
    )
    new = listed.select("listing", "symbol", "name", "listed_on", "arrives", "first", "known")
    renames = told.filter(pl.col("kind") == "rename").select(
        "symbol", "counterpart", "session", "known_at"
    )
    told_links = (
        renames.join(old, on="symbol")
        .join(new, left_on="counterpart", right_on="symbol", suffix="_new")
        # Listings of today say of the new symbol when the security was listed under any.
        .filter(_near(pl.col("delisted_on"), pl.max_horizontal("listed_on", "first")))
        .with_columns(since="session", rank=pl.lit(0.0), told=pl.lit(True))
        .select(_COLUMNS)
    )
    if not rule.same_name_is_rename:
        return _one_to_one(told_links), 0
    window = timedelta(days=rule.confirm_days)
    near = (
        pl.col("arrives_new").ge(pl.col("delisted_on"))
        & (pl.col("listed_on") <= pl.col("delisted_on") + window)
        & (pl.col("symbol") != pl.col("symbol_new"))
    )
    # That bars have ended is not known before they have been missing for long.
    old = old.filter(~pl.col("only_bars"))
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
    keep = ["symbol", "symbol_new", "listing", "listing_new", "listed_on", "known"]
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
        .filter((pl.col("rank") == 0) | (pl.col("step") < _STEP))
        .with_columns(
            since="listed_on",
            # The price is part of the evidence.
            known_at="known",
            rank=1 + pl.col("rank") + pl.col("step").fill_null(1.0),
            told=pl.lit(False),
        )
        .select(_COLUMNS)
    )
    return _one_to_one(pl.concat([told_links, candidates])), named


def _one_to_one(links: pl.DataFrame) -> pl.DataFrame:
    """First come, first served: each listing once as the old one and once as the new one."""
    ordered = links.sort(
        *("told", "since", "rank", "listing", "listing_new"),
        descending=[True, False, False, False, False],
    ).unique(["listing", "listing_new"], keep="first", maintain_order=True)
    taken: list[tuple[int, int]] = []
    old_taken: set[int] = set()
    new_taken: set[int] = set()
    for old, new in ordered.select("listing", "listing_new").iter_rows():
        if old != new and old not in old_taken and new not in new_taken:
            taken.append((old, new))
            old_taken.add(old)
            new_taken.add(new)
    chosen = pl.DataFrame(
        taken, schema={"listing": pl.UInt32, "listing_new": pl.UInt32}, orient="row"
    )
    return chosen.join(ordered, on=["listing", "listing_new"]).sort("listing")
