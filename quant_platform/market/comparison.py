"""Comparison: a sleeve's bars beside those of a second source, as both were known at a cutoff.

1. Two bars belong together by symbol and session. A security has one symbol on a session, while its
   key is the business of each source: two imports may tell renames differently.
2. A bar is looked at in every session in which something of it became known: its first version, a
   correction, the second source's bar that came later. What counts of each source is its last
   version known by that cutoff.
3. They *mismatch* if one of open, high, low and close of the second source differs from ours by
   more than a fraction of ours. Volumes are not compared: vendors count other venues, and the
   volumes of two honest ones differ by any factor.
4. If the second source has none, ours is *uncompared*: a bar that nobody has looked at is no bar
   that was confirmed. So is one that came later than ``mismatch_sessions`` after its session, for
   the sessions around it are not read any more; and of a second source's bar that comes later
   than that no more is said than was.

What only the second source has is not told: that ours lacks a bar is what ``gap`` says.
"""

from __future__ import annotations

import polars as pl

from quant_platform.settings.hygiene import HygieneSettings

PRICES = ("open", "high", "low", "close")
_VERSION = ("symbol", "ordinal", "known", "known_at")


def compared(
    ours: pl.DataFrame, theirs: pl.DataFrame, settings: HygieneSettings, first: int
) -> pl.DataFrame:
    """Compare the bars of which something became known in a range of sessions.

    Parameters
    ----------
    ours, theirs
        Every version of the bars of the range and of ``mismatch_sessions`` before it: ``symbol``,
        ``known_at``, prices, and as ordinals the session (``ordinal``) and the knowledge session
        (``known``); of ours ``security_id`` as well.
    settings
        What is too different, and what too late.
    first
        Ordinal of the first session of the range.

    Returns
    -------
    polars.DataFrame
        ``security_id``, ``known``, ``ago`` (sessions from the bar's to ``known``), ``difference``
        (largest of the four prices, fraction of ours; null where there is nothing to compare with).
    """
    own = ["security_id", *PRICES]
    other = [f"other_{name}" for name in PRICES]
    renamed = dict(zip(PRICES, other, strict=True))
    # Numbers in the place of symbols, and fills of a sorted table in the place of groups: a market
    # of a year has a million pairs.
    versions = (
        pl.concat(
            [
                ours.select(*_VERSION, *own, own_known="known"),
                theirs.select(*_VERSION, *PRICES, other_known="known").rename(renamed),
            ],
            how="diagonal",
        )
        .with_columns(code=pl.col("symbol").cast(pl.Categorical).to_physical())
        .sort("code", "ordinal", "known_at", maintain_order=True)
        .with_row_index("row")
    )
    pair = [pl.col(name) for name in ("code", "ordinal")]
    begins = pl.any_horizontal(name != name.shift(1) for name in pair).fill_null(value=True)
    ends = pl.any_horizontal(name != name.shift(-1) for name in (*pair, pl.col("known"))).fill_null(
        value=True
    )
    begin = pl.when(begins).then("row").forward_fill()

    def last_told(columns: list[str], known: str) -> list[pl.Expr]:
        """Carry the last version of one source to the rows of the same pair."""
        told = pl.when(pl.col(known).is_not_null()).then("row").forward_fill()
        return [
            pl.when(told >= begin).then(pl.col(name).forward_fill()).alias(name)
            for name in (*columns, known)
        ]

    states = versions.with_columns(
        *last_told(own, "own_known"), *last_told(other, "other_known"), last=ends
    ).filter("last", pl.col("known") >= first, pl.col("own_known").is_not_null())
    in_time = pl.col("known") - pl.col("ordinal") <= settings.mismatch_sessions
    new = pl.col("own_known") == pl.col("known")
    difference = pl.max_horizontal((pl.col(b) / pl.col(a) - 1).abs() for a, b in renamed.items())
    return states.filter(in_time | new).select(
        "security_id",
        "known",
        ago=pl.col("known") - pl.col("ordinal"),
        difference=pl.when(in_time).then(difference),
    )


def comparison_flags(
    ours: pl.DataFrame, theirs: pl.DataFrame, settings: HygieneSettings, first: int
) -> list[pl.DataFrame]:
    """Return the rows that ``quality`` has of a comparison; see `compared`.

    Returns
    -------
    list of polars.DataFrame
        ``ordinal``, ``security_id``, ``flag``, ``ago``, ``value``.
    """
    looked_at = compared(ours, theirs, settings, first)
    found = {
        "mismatch": (pl.col("difference") > settings.mismatch_tolerance, pl.col("difference")),
        "uncompared": (pl.col("difference").is_null(), pl.col("ago")),
    }
    return [
        looked_at.filter(which).select(
            "security_id", "ago", ordinal="known", flag=pl.lit(flag), value=value
        )
        for flag, (which, value) in found.items()
    ]
