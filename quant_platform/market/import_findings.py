"""What a quality report says, and what it says of closes that a vendor restates.

A total-return close is read by its steps (`quant_platform.sources.files.total_return`). Where it is
absent, or written too coarsely, steps are lacking or inexact, and that is said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from quant_platform.sources.files.total_return import roundings

Weight = Literal["refused", "warning", "note"]

_COARSE = 1e-4
"""Step, of the price, that rounding makes: a dividend as small as this can not be told from it."""


@dataclass(frozen=True)
class Finding:
    """One thing that the report says.

    Parameters
    ----------
    weight
        How much it matters.
    what
        What was found, in a few words.
    count
        How many rows, sessions or securities.
    detail
        Which ones, or what becomes of them.
    """

    weight: Weight
    what: str
    count: int
    detail: str


def of_rescaled(rescaled: pl.DataFrame) -> Iterator[Finding]:
    """Tell of symbols whose told history the files have in other units now.

    Parameters
    ----------
    rescaled
        ``symbol``, ``factor``, ``sessions``.
    """
    if rescaled.height:
        symbol, factor, sessions = rescaled.row(0)
        yield Finding(
            "refused",
            "closes that the lake has taken in were restated",
            rescaled.height,
            f"{symbol} is {factor:.6g} times what it was on {sessions} sessions, as a vendor does "
            "for a split or a dividend: deliver closes as they were printed, and tell the split in "
            "actions",
        )


def of_withdrawn(withdrawn: pl.DataFrame) -> Iterator[Finding]:
    """Tell of actions that were told and that the files do not tell any more.

    Parameters
    ----------
    withdrawn
        ``security_id``, ``session``, ``kind`` and ``covered``.
    """
    left = withdrawn.filter(pl.col("kind").is_in(["delisting", "merger"]))
    if left.height:
        security, session, *_ = left.row(0)
        yield Finding(
            "refused",
            "securities that were told gone and are there again",
            left.height,
            f"{security} left on {session}, and its holders were paid: say in listings that it "
            "left then, and in a second row that it was listed again with its first bar after that",
        )
    others = withdrawn.filter(pl.col("kind").is_in(["delisting", "merger"]).not_())
    weights: tuple[tuple[bool, Weight, str], ...] = (
        (
            True,
            "refused",
            "tell it on in actions, with value 0 where nothing was paid and 1 where nothing was "
            "divided, so that it is taken back",
        ),
        (False, "warning", "it stays told, because the files tell nothing as old or as new"),
    )
    for covered, weight, consequence in weights:
        gone = others.filter(pl.col("covered") == covered)
        if gone.height:
            security, session, kind, _ = gone.row(0)
            yield Finding(
                weight,
                "actions that were told and are not in the files any more",
                gone.height,
                f"such as {security} {kind} of {session}: {consequence}",
            )


def of_adjusted(delivered: pl.DataFrame) -> Iterator[Finding]:
    """Tell what a total-return close can not tell.

    Parameters
    ----------
    delivered
        Bars as delivered.
    """
    if "adjusted" not in delivered.columns:
        return
    newest = delivered.sort("known_at").unique(["symbol", "session"], keep="last")
    told = newest.filter(pl.col("adjusted").is_not_null())
    some = newest.join(told, on="symbol", how="semi")
    lacking = some["adjusted"].null_count()
    if lacking:
        yield Finding(
            "warning",
            "bars without the adjusted close",
            lacking,
            "a dividend of such a session is told with the next one that has it",
        )
    moved = told.filter(pl.col("adjusted") != pl.col("close"))
    coarse = (
        roundings(told.lazy())
        .collect()
        .join(moved.group_by("symbol").agg(pl.col("adjusted").median()), on="symbol")
        .with_columns(step=2 * pl.col("rounding") / pl.col("adjusted"))
        .filter(pl.col("step") > _COARSE)
        .sort("step", descending=True)
    )
    if coarse.height:
        symbol, rounding, _, step = coarse.row(0)
        yield Finding(
            "warning",
            "adjusted closes that are rounded too coarsely",
            coarse.height,
            f"dividends below {100 * step:.2g} % of the price are taken for rounding, and amounts "
            f"are right to that; most in {symbol}, written to {2 * rounding:g}",
        )
