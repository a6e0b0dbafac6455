"""What a quality report says, and what it says of closes that a vendor restates.

A total-return close is read by its steps (`quant_platform.sources.files.total_return`). Where it is
absent, or written too coarsely, steps are lacking or inexact, and that is said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from quant_platform.sources.files import Manifest
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


def of_gone(manifest: Manifest, before: Manifest | None) -> Iterator[Finding]:
    """Tell of files of bars that were imported and are not there any more.

    Parameters
    ----------
    manifest, before
        This import and the one before it, if there was one.
    """
    there = {entry.file for entry in manifest.bars}
    gone = [entry for entry in before.bars if entry.file not in there] if before else []
    if gone:
        yield Finding(
            "refused",
            "files that were imported are gone",
            len(gone),
            f"such as {gone[0].file} with {gone[0].rows} rows: put it back",
        )


def of_lost(lost: pl.DataFrame) -> Iterator[Finding]:
    """Tell of files that have no longer the bars that they had.

    Parameters
    ----------
    lost
        ``file``, ``lost``, ``gained`` and ``earlier``.
    """
    cut = lost.filter(pl.col("lost") > pl.col("gained")).sort("lost", descending=True)
    if cut.height:
        name, rows, gained, _ = cut.row(0)
        yield Finding(
            "refused",
            "files have lost bars",
            cut.height,
            f"{name} has no longer {rows} that it had, and {gained} others: fetch it again, or if "
            "it is to begin later, say since in the mapping file",
        )
    some = lost.filter(pl.col("lost").is_between(1, pl.col("gained")))
    told: tuple[tuple[Weight, str, int, pl.DataFrame], ...] = (
        ("warning", "bars that files have no longer", int(some["lost"].sum()), some),
        (
            "note",
            "bars from before their file begins now",
            int(lost["earlier"].sum()),
            lost.filter(pl.col("earlier") > 0),
        ),
    )
    for weight, what, rows, files in told:
        if rows:
            yield Finding(
                weight,
                what,
                rows,
                f"in {files.height} files, such as {files['file'][0]}: what the lake has taken in "
                "stays told",
            )


def of_rescaled(rescaled: pl.DataFrame) -> Iterator[Finding]:
    """Tell of symbols whose told history the files have in other units now.

    Parameters
    ----------
    rescaled
        ``file``, ``symbol``, ``factor``, ``sessions`` and ``why`` that is no split.
    """
    if rescaled.height:
        _, symbol, factor, sessions, why = rescaled.row(0)
        yield Finding(
            "refused",
            "closes that the lake has taken in were restated",
            rescaled.height,
            f"{symbol} is {factor:.6g} times what it was on {sessions} sessions, and {why}: if it "
            "was split, tell that with its ex day in actions, and name their file in the mapping; "
            "else deliver closes as they were printed",
        )


def of_withdrawn(withdrawn: pl.DataFrame) -> Iterator[Finding]:
    """Tell of actions that were told and that the files do not tell any more.

    Parameters
    ----------
    withdrawn
        ``security_id``, ``session``, ``kind`` and ``becomes``.
    """
    gone = "actions that were told and are not in the files any more"
    consequences: tuple[tuple[str, Weight, str, str], ...] = (
        (
            "end",
            "refused",
            "securities that were told gone and are there again",
            "its holders were paid, and bars from after that were taken in under its id: say in "
            "listings that it left, and in a second row that it was listed again",
        ),
        ("lost", "refused", gone, "so many at once are lost by the file: fetch it again"),
        ("undone", "warning", gone, "taken back, by a version that pays and divides nothing"),
        ("stays", "warning", gone, "it stays told, as the files tell nothing as old or as new"),
    )
    for becomes, weight, what, consequence in consequences:
        some = withdrawn.filter(becomes=becomes)
        if some.height:
            security, session, kind, _ = some.row(0)
            yield Finding(
                weight,
                what,
                some.height,
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
