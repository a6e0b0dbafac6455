"""Vetoes: what keeps a candidate out whatever its score.

Each veto is asked of every candidate and reported with its value and threshold. It fires when the
value is above the threshold, and when there is no value: a gate without evidence is closed.

- ``annual_volatility``: fraction per year, over the same sessions as the score.
- ``delisted``: the value is 1 where the security left on the session itself.
- ``no_bar``: the value is the age of the security's mark in calendar days. It is asked only of who
  was selected before and is no candidate, because no scanner sees a security without a bar.
- ``top_n``: the value is the rank. It is asked last, and only of those that nothing else stopped,
  for there is no rank without them.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quant_platform.settings.selection import SelectionSettings


def vetoes(settings: SelectionSettings) -> list[pl.Expr]:
    """Every veto in the order in which it is asked, as the structs of the contract.

    They read ``delisted`` (Boolean) and ``annual_volatility`` of a candidate.
    """
    return [
        _veto("annual_volatility", pl.col("annual_volatility"), settings.max_annual_volatility),
        _veto("delisted", pl.col("delisted").cast(pl.Float64), 0.0),
    ]


def no_bar() -> pl.Expr:
    """Return the question why who was selected is no candidate any more, as the same struct.

    It reads ``session`` and ``mark_session`` of a security.
    """
    age = (pl.col("session") - pl.col("mark_session")).dt.total_days()
    return _veto("no_bar", age.cast(pl.Float64), 0.0)


def cut(settings: SelectionSettings) -> pl.Expr:
    """Return the last question, as the same struct: whether ``rank`` is beyond ``top_n``."""
    return _veto("top_n", pl.col("rank").cast(pl.Float64), settings.top_n)


def first_fired(asked: Sequence[pl.Expr]) -> pl.Expr:
    """Name of the first veto that fired; null when none did."""
    return pl.coalesce(
        pl.when(veto.struct.field("fired")).then(veto.struct.field("rule")) for veto in asked
    )


def _veto(rule: str, value: pl.Expr, threshold: float) -> pl.Expr:
    return pl.struct(
        rule=pl.lit(rule),
        fired=(value > threshold).fill_null(True),
        value=value,
        threshold=pl.lit(threshold, pl.Float64),
    )
