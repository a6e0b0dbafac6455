"""Who was told gone and is there again: listed anew, under another id.

Holders were paid when the end was told, and that stands: the first end of a security that takes
effect is final. If its bars come after all, or the listings take the end back, the symbol goes on
as another security, ``<symbol>@<day of the end>``, from that day on, as any symbol does that is
listed again. The day is the told one and not that of the first bar, so that a bar that comes later
still gives nobody another id; and a symbol that was listed anew stays so, whatever becomes of it.

Only where the lake took in no bar from after the end: those would change their security.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.files.publication import assumed_instants

_ENDS = pl.Schema({"security_id": pl.String(), "session": pl.Date()})
_LAST = pl.Schema({"symbol": pl.String(), "last": pl.Date()})


@dataclass(frozen=True)
class Former:
    """What the lake has taken in of ends.

    Parameters
    ----------
    ends
        ``security_id`` and ``session`` of each delisting and merger, the first of each security.
    last
        By symbol, the last session with a bar.
    ids
        Every security.
    """

    ends: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ENDS))
    last: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_LAST))
    ids: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.String))


def returned(listed: pl.DataFrame, former: Former) -> pl.DataFrame:
    """Find the listings that were told ended and go on.

    Parameters
    ----------
    listed
        A row per listing, with its security.
    former
        What was told.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``listed_on`` and ``ended``, the told day.
    """
    if not former.ends.height:
        return listed.clear().select("symbol", "listed_on", ended="listed_on")
    anew = pl.format("{}@{}", "symbol", "ended").is_in(former.ids.implode())
    unheard = pl.col("last_told").is_null() | (pl.col("last_told") < pl.col("ended"))
    return (
        listed.sort("listing")
        .unique("security_id", keep="last", maintain_order=True)
        .join(former.ends.rename({"session": "ended"}), on="security_id")
        .join(former.last.rename({"last": "last_told"}), on="symbol", how="left")
        .filter(
            pl.col("ended") > pl.col("listed_on"),
            anew | (pl.col("delisted_on").is_null() & unheard),
        )
        .join(listed.select("symbol", ended="listed_on"), on=["symbol", "ended"], how="anti")
        .select("symbol", "listed_on", "ended")
    )


def listed_anew(
    listings: pl.DataFrame,
    back: pl.DataFrame,
    calendar: SessionCalendar,
    lag: timedelta,
    confirm_days: int,
) -> pl.DataFrame:
    """End listings on the told day, and list their symbols from then on.

    Parameters
    ----------
    listings
        Every version of every listing.
    back
        What `returned` found.
    calendar, lag, confirm_days
        When the new listing is known at the earliest: when the end was believed.
    """
    rows = listings.join(back, on=["symbol", "listed_on"], how="left", maintain_order="left")
    ends = pl.col("ended").is_not_null()
    first = rows.with_columns(delisted_on=pl.coalesce("ended", "delisted_on"))
    newest = rows.filter(ends).sort("known_at").unique(["symbol", "listed_on"], keep="last")
    believed = assumed_instants(
        newest["ended"] + timedelta(days=confirm_days), calendar, lag
    ).alias("believed")
    second = newest.with_columns(believed).with_columns(
        listed_on="ended",
        delisted_on=pl.when(pl.col("delisted_on") > pl.col("ended")).then("delisted_on"),
        security_id=pl.lit(None, pl.String),
        known_at=pl.max_horizontal("known_at", "believed"),
    )
    return pl.concat([first.select(listings.columns), second.select(listings.columns)])
