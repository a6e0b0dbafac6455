"""How listings end: what became of each, when that is told, and the exits of their holders.

A listing that ended was renamed, if another one of its security follows; merged, if a merger of the
files or a price that hardly moved any more tells it; delisted otherwise, or never traded. An end is
told ``confirm_days`` after the last day, because until then it could have been a rename, and not at
all if the listings take it back before that.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.sources.files.mapping import DepartureRule, Mapping
from quant_platform.sources.files.publication import assumed_instants
from quant_platform.sources.protocol import ACTION_SCHEMA, KNOWN_AT_BASIS

_PINNED_SESSIONS = 20
_PINNED_RANGE, _FREE_RANGE = 0.03, 0.10
"""A deal price moves by less than this over its last sessions; before, the price moved by more."""


def departures_of(
    listed: pl.DataFrame, edges: pl.DataFrame, told: pl.DataFrame, rule: DepartureRule
) -> pl.DataFrame:
    """Say of each listing that ended what became of it."""
    ended = ends_told(told, listed)
    merged = (
        ended.filter(pl.col("kind") == "merger").select("listing", merger=pl.lit(True)).unique()
    )
    pinned = _pinned(edges) if rule.pinned_is_merger else edges.head(0).select("symbol")
    # A listing may say since when its firm is listed, under whatever symbol.
    begins = pl.max_horizontal("listed_on", "first")
    successors = listed.sort("listing").with_columns(
        successor=pl.col("symbol").shift(-1).over("security_id", order_by=begins),
        follows=pl.col("listing").shift(-1).over("security_id", order_by=begins),
    )
    return (
        successors.filter(pl.col("delisted_on").is_not_null())
        .join(merged, on="listing", how="left")
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


def ends_told(told: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Find the listing of each delisting and merger of the files: the owner of its symbol then."""
    owners = listed.select(
        "symbol",
        "listing",
        day=pl.when(pl.col("listed_on") == pl.col("listed_on").min().over("symbol"))
        .then(pl.lit(date.min))
        .otherwise("listed_on"),
    ).sort("day")
    return (
        told.filter(pl.col("kind").is_in(["delisting", "merger"]))
        .sort("session")
        # Who is listed on the very day of an end is the next owner.
        .join_asof(
            owners,
            left_on="session",
            right_on="day",
            by="symbol",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .filter(pl.col("listing").is_not_null())
        .select("listing", "kind")
        .unique()
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


def leaving(
    versions: pl.DataFrame,
    departures: pl.DataFrame,
    mapping: Mapping,
    calendar: SessionCalendar,
    lag: timedelta,
) -> pl.DataFrame:
    """Pick the versions that tell an end for good, each with the time at which that is believed.

    An end that a later version takes back before it is believed is never told.
    """
    renamed = departures.filter(pl.col("became") == "renamed")
    ending = versions.with_columns(
        superseded=pl.col("known_at").shift(-1).over("listing", order_by="known_at")
    ).filter(pl.col("delisted_on").is_not_null())
    ending = ending.join(renamed, on="listing", how="anti", maintain_order="left")
    confirmed = ending["delisted_on"] + timedelta(days=mapping.departures.confirm_days)
    return ending.with_columns(
        name=pl.coalesce("name_at_end", "name"),
        known_at=pl.max_horizontal("known_at", assumed_instants(confirmed, calendar, lag)),
        known_at_basis=pl.lit("assumed", KNOWN_AT_BASIS),
    ).filter((pl.col("known_at") < pl.col("superseded")) | pl.col("superseded").is_null())


def exits(left: pl.DataFrame, departures: pl.DataFrame, ended: pl.DataFrame) -> pl.DataFrame:
    """Actions of departures of which the files tell no terms: the value is null."""
    kind = pl.when(pl.col("became") == "merged").then(pl.lit("merger"))
    return (
        left.join(
            departures.select("listing", "delisted_on", "became"),
            on=["listing", "delisted_on"],
            maintain_order="left",
        )
        .filter(pl.col("became") != "never_traded")
        .join(ended, on="listing", how="anti", maintain_order="left")
        .unique("listing", keep="first", maintain_order=True)
        .select(
            "security_id",
            session="delisted_on",
            kind=kind.otherwise(pl.lit("delisting")).cast(ACTION_SCHEMA["kind"]),
            value=pl.lit(None, pl.Float64),
            counterpart=pl.lit(None, pl.String),
            known_at="known_at",
            known_at_basis="known_at_basis",
        )
    )
