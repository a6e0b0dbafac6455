"""Actions that a total-return close tells by its steps.

With f the adjusted close over the close, a dividend d on the close P before makes f step by
1 - d/P: a factor that is multiplicative in P, which is turned into cash here. It is known with the
bar that shows it.

1. Steps are taken over one version of each session, the one that the file has now: its close and
   its adjusted close together. Sessions without an adjusted close are stepped over.
2. A column that is written to so many decimals is off by half of the last one. Two of them make a
   step that looks like a dividend and is none: what is smaller than that is rounding.
3. What the files tell of a session is taken at its word: a step is what is left of it beside a told
   split, and nothing beside a told payment, which says the same with other digits.
4. The amount is as uncertain as the step, times the close before. Computed anew from a column that
   was restated it is what was told, if it lies as near as that.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quant_platform.sources.files.mapping import Mapping

KEY = ("security_id", "session", "kind")
_SPLIT_STEP = 0.25
_TOLD_RATIO = 1e-3
"""A told ratio is written with so few digits that less than this beside it is no dividend."""
_DIVIDING = ("split", "stock_dividend")
_PAYING = ("dividend", "special_dividend", "spin_off")
_DECIMALS = range(5)
_AS_WRITTEN = 1e-3
_SLACK = 1.001


def implied_actions(bars: pl.LazyFrame, mapping: Mapping, told: pl.DataFrame) -> pl.DataFrame:
    """Read dividends, and splits if the close is raw, from a total-return close.

    Parameters
    ----------
    bars
        All segments, with ``adjusted``.
    mapping
        Smallest step, and whether the close is raw.
    told
        Actions of the files, with their symbols.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``session``, ``kind``, ``value``, ``counterpart``, ``known_at``,
        ``known_at_basis`` and ``noise``: by how much two readings of the value may differ.
    """
    rows = _present(bars)
    previous = {name: pl.col(name).shift(1).over("symbol") for name in ("factor", "adjusted")}
    off = pl.col("rounding") * (1 / pl.col("adjusted") + 1 / previous["adjusted"]) * _SLACK
    steps = (
        rows.join(roundings(rows), on="symbol", maintain_order="left")
        .with_columns(factor=pl.col("adjusted") * pl.col("unit") / pl.col("close"))
        .with_columns(
            step=previous["factor"] / pl.col("factor"),
            before=pl.col("close").shift(1).over("symbol"),
            least=pl.max_horizontal(off, pl.lit(mapping.adjusted_tolerance)),
        )
        .filter((pl.col("step") - 1).abs() > pl.col("least"))
        .collect()
    )
    is_split = pl.lit(mapping.splits_in_adjusted) & ((pl.col("step") - 1).abs() > _SPLIT_STEP)
    steps = _beside(steps, told).filter(is_split | pl.col("paid").is_null()).drop("paid")
    value = pl.when(is_split).then(1 / pl.col("step"))
    noise = pl.when(is_split).then(pl.col("least") / pl.col("step"))
    return steps.select(
        "symbol",
        "session",
        kind=pl.when(is_split).then(pl.lit("split")).otherwise(pl.lit("dividend")),
        value=value.otherwise((1 - pl.col("step")) * pl.col("before")),
        counterpart=pl.lit(None, pl.String),
        known_at="known_at",
        known_at_basis="known_at_basis",
        noise=2 * noise.otherwise(pl.col("least") * pl.col("before")),
    )


def _beside(steps: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Take out of the steps what the files tell of their sessions; ``paid`` is the told cash."""
    kind, at = pl.col("kind"), ["symbol", "session"]
    newest = told.sort("known_at").unique([*at, "kind"], keep="last", maintain_order=True)
    ratios = newest.filter(kind.is_in(_DIVIDING)).group_by(at).agg(ratio=pl.col("value").product())
    cash = newest.filter(kind.is_in(_PAYING)).group_by(at).agg(paid=pl.col("value").sum())
    # A close that is split-adjusted has no step where a split is told.
    raw = (pl.col("step") * pl.col("ratio")).log().abs() < pl.col("step").log().abs()
    return (
        steps.join(ratios, on=at, how="left", maintain_order="left")
        .join(cash, on=at, how="left", maintain_order="left")
        .with_columns(
            step=pl.when(raw).then(pl.col("step") * pl.col("ratio")).otherwise("step"),
            least=pl.when(raw).then(pl.max_horizontal("least", _TOLD_RATIO)).otherwise("least"),
        )
        .with_columns(step=pl.col("step") / (1 - (pl.col("paid") / pl.col("before")).fill_null(0)))
        .filter((pl.col("step") - 1).abs() > pl.col("least"))
        .drop("ratio")
    )


def roundings(
    bars: pl.LazyFrame, column: str = "adjusted", by: Sequence[str] = ("symbol",)
) -> pl.LazyFrame:
    """By symbol: by how much its prices may be off, as they are written.

    Parameters
    ----------
    bars
        Rows with the columns of ``by`` and ``column``.
    column
        The prices.
    by
        What tells one symbol from another.

    Returns
    -------
    polars.LazyFrame
        ``by`` and ``rounding``: half of the last decimal; 0 where there are more of them than a
        price has.
    """
    scaled = {places: pl.col(column) * 10**places for places in _DECIMALS}
    whole = [(value - value.round()).abs().max() < _AS_WRITTEN for value in scaled.values()]
    halves = [pl.when(whole[n]).then(pl.lit(0.5 / 10**n)) for n in _DECIMALS]
    return bars.group_by(by).agg(rounding=pl.coalesce(*halves, pl.lit(0.0)))


def settled(implied: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Take the value that was told where the one computed anew is the same but for its noise.

    Parameters
    ----------
    implied
        Rows with the columns of actions and ``noise``; null for what a file tells itself, which is
        taken at its word.
    told
        Actions of the import before.

    Returns
    -------
    polars.DataFrame
        The rows, without ``noise``.
    """
    newest = told.sort("known_at").unique(KEY, keep="last").select(*KEY, then="value")
    same = (pl.col("value") - pl.col("then")).abs() <= pl.col("noise")
    return (
        implied.join(newest, on=KEY, how="left", maintain_order="left")
        .with_columns(value=pl.when(same).then("then").otherwise("value"))
        .drop("noise", "then")
    )


def _present(bars: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the version of each session that the files have now, if it has an adjusted close."""
    return (
        bars.select(
            *("symbol", "session", "close", "adjusted", "known_at", "known_at_basis"),
            # Closes are as they were printed, adjusted ones as the file has them.
            unit=pl.col("unit").fill_null(1.0),
        )
        .filter(pl.col("close") > 0, pl.col("adjusted") > 0)
        .sort("symbol", "session", "known_at")
        .unique(["symbol", "session"], keep="last", maintain_order=True)
    )
