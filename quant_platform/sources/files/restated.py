"""Histories that a vendor restates: a split told by all closes before it, and not by an action.

The lake keeps closes as they were printed. A vendor with split-adjusted closes divides every close
before a split by its ratio, and multiplies the volume: no bar of it was wrong, and taken as
corrections they would move every mark. So

1. *recognise*: a symbol whose told closes are all the same number of times what they were, up to
   some session. It is a split if the number is the inverse of a simple ratio and the volumes moved
   the other way, so that the same money changed hands; a change of currency leaves volumes alone.
   Or if the actions of the files tell a split of that ratio.
2. its ex session is the one that the actions tell, else the first session after those that moved,
   if there is but one that it can be: the next told one, or the only new one;
3. *print*: from then on, rows of that file from before the ex session are put back into the units
   in which they were printed, import after import; what then is as it was told, but for the
   rounding of the restated price, is as it was told.

What is not that, such as closes restated for a dividend, is for the report to refuse.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import polars as pl

from quant_platform.sources.files.total_return import roundings

RESTATED = pl.Schema(
    {
        "file": pl.String(),
        "symbol": pl.String(),
        "session": pl.Date(),
        "ratio": pl.Float64(),
        "volumes": pl.Boolean(),
    }
)
"""A split by which a file has restated a symbol: its ex session, new units per old one, and whether
the volumes were restated too."""

RESCALED = pl.Schema(
    {
        "file": pl.String(),
        "symbol": pl.String(),
        "factor": pl.Float64(),
        "sessions": pl.UInt32(),
        "why": pl.String(),
    }
)
"""Symbols whose told history the files have in other units, and why that is no split."""

_KEY = ("file", "symbol")
_BAR = ("file", "symbol", "session")
_PRICES = ("open", "high", "low", "close")
_FEWEST_RESCALED = 5
_RESCALED_SHARE = 0.9
_UNEVEN = 0.01
_SAME_RATIO = 1e-3
_LARGEST_TERM = 20
"""Ratios of splits are those of two whole numbers, of which the smaller one is no larger."""
_EQUAL = 1e-6


def as_printed(rows: pl.DataFrame, told: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Put restated rows back into the units in which they were printed.

    Parameters
    ----------
    rows
        Rows of files.
    told
        What the same files told before.
    splits
        Rows of `RESTATED`.

    Returns
    -------
    polars.DataFrame
        The rows with ``unit``: how many times the price in the file the printed one is.
    """
    if not splits.height:
        return rows.with_columns(unit=pl.lit(1.0))
    shares = pl.when("volumes").then("ratio").otherwise(1.0)
    steps = (
        splits.sort("session", descending=True)
        .select(
            *_BAR,
            unit=pl.col("ratio").cum_prod().over(_KEY),
            shares=shares.cum_prod().over(_KEY),
        )
        .sort("session")
    )
    numbered = rows.with_row_index("row")
    # The first split after the row: exact matches are of the ex session, which is on new terms.
    moved = (
        numbered.join(splits, on=_KEY, how="semi")
        .sort("session")
        .join_asof(
            steps,
            on="session",
            by=list(_KEY),
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .filter(pl.col("unit").is_not_null())
    )
    printed = _as_told(moved, told)
    columns = [*_PRICES, "volume", "unit"]
    return (
        numbered.join(printed.select("row", *columns), on="row", how="left", suffix="_printed")
        .sort("row")
        .with_columns(
            unit=pl.col("unit").fill_null(1.0),
            **{n: pl.coalesce(f"{n}_printed", n) for n in columns if n != "unit"},
        )
        .select(*rows.columns, "unit")
    )


def _as_told(moved: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Print restated rows; those that are what was told but for rounding are as it was told."""
    halves = roundings(moved.lazy(), "close", _KEY).collect().rename({"rounding": "half"})
    before = told.join(moved, on=_BAR, how="semi")
    half_told = roundings(before.lazy(), "close", _KEY).collect().rename({"rounding": "half_told"})
    newest = before.sort("known_at").unique(_BAR, keep="last").select(*_BAR, *_PRICES, "volume")
    printed = (
        moved.with_columns(
            pl.col(_PRICES) * pl.col("unit"), volume=pl.col("volume") / pl.col("shares")
        )
        .join(halves, on=_KEY, how="left")
        .join(half_told, on=_KEY, how="left")
        .join(newest, on=_BAR, how="left", suffix="_told")
    )
    off = pl.col("half") * pl.col("unit") + pl.col("half_told")
    alike = pl.all_horizontal(
        (pl.col(name) - pl.col(f"{name}_told")).abs()
        <= pl.max_horizontal(off, pl.col(f"{name}_told") * _EQUAL) * (1 + _EQUAL) + _EQUAL**2
        for name in _PRICES
    ) & (
        (pl.col("volume") - pl.col("volume_told")).abs()
        <= 1 / pl.col("shares") + 1 + pl.col("volume_told") * _EQUAL
    )
    return printed.with_columns(
        pl.when(alike).then(f"{name}_told").otherwise(name).alias(name)
        for name in (*_PRICES, "volume")
    )


def still_restated(rows: pl.DataFrame, told: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Keep the splits of files that are still restated; one that prints its closes again is not."""
    if not splits.height:
        return splits
    before = told.sort("known_at").unique(_BAR, keep="last").select(*_BAR, then="close")
    raw = rows.join(splits, on=_KEY, how="semi")
    units = as_printed(raw, told.clear(), splits)
    fits = (
        raw.with_columns(unit=units["unit"])
        .filter(pl.col("unit") != 1)
        .join(before, on=_BAR)
        .with_columns(step=(pl.col("close") / pl.col("then")).log())
        .group_by(_KEY)
        .agg(
            as_is=pl.col("step").abs().median(),
            put_back=(pl.col("step") + pl.col("unit").log()).abs().median(),
        )
    )
    printed = fits.filter(pl.col("as_is") < pl.col("put_back"))
    return splits.join(printed, on=_KEY, how="anti")


def rescaled(rows: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Find symbols whose told history a file has now in other units.

    Parameters
    ----------
    rows, told
        What files say of sessions that the lake has taken in, and what they told.

    Returns
    -------
    polars.DataFrame
        ``file``, ``symbol``, ``factor``, ``sessions`` (how many are so many times what they were),
        ``moved`` (the last of them), ``next_told`` and ``volume`` (the factor of the volumes).
    """
    newest = told.sort("known_at").unique(_BAR, keep="last")
    both = (
        rows.sort("known_at")
        .unique(_BAR, keep="last")
        .select(*_BAR, now="close", traded="volume")
        .join(newest.select(*_BAR, "close", "volume"), on=_BAR)
        .filter(pl.col("close") > 0, pl.col("now") > 0)
        .with_columns(factor=pl.col("now") / pl.col("close"))
    )
    moved = pl.col("now") != pl.col("close")
    last = pl.col("session").filter(moved).max()
    factor = pl.col("factor").filter(moved)
    spread = factor.quantile(0.9) / factor.quantile(0.1) - 1
    traded = moved & (pl.col("volume") > 0) & (pl.col("traded") > 0)
    return (
        both.group_by(_KEY)
        .agg(
            factor=factor.median(),
            spread=spread,
            sessions=moved.sum(),
            until=(pl.col("session") <= last).sum(),
            moved=last,
            next_told=pl.col("session").filter(pl.col("session") > last).min(),
            volume=(pl.col("traded") / pl.col("volume")).filter(traded).median(),
        )
        .filter(
            pl.col("sessions") >= _FEWEST_RESCALED,
            pl.col("sessions") >= _RESCALED_SHARE * pl.col("until"),
            pl.col("spread") < _UNEVEN,
            (pl.col("factor") - 1).abs() > pl.col("spread"),
        )
        .sort(_KEY)
    )


def recognise(
    found: pl.DataFrame, rows: pl.DataFrame, actions: pl.DataFrame, known: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tell which of what `rescaled` found are splits.

    Parameters
    ----------
    found
        Its rows.
    rows
        All rows of the files now.
    actions
        Actions of the files.
    known
        Splits that were recognised before.

    Returns
    -------
    tuple
        Rows of `RESTATED`, and rows of `RESCALED`: what is none, and why.
    """
    splits, others = [], []
    for line in found.iter_rows(named=True):
        key = (line["file"], line["symbol"])
        own = rows.filter(file=key[0], symbol=key[1])
        later = own.filter(pl.col("session") > line["moved"])["session"].unique().sort()
        ex = [line["next_told"]] if line["next_told"] is not None else later.to_list()
        if line["next_told"] is not None:
            later = later.filter(later <= line["next_told"])
        told = _told_split(actions, key[1], later, 1 / line["factor"])
        ratio, days = told if told is not None else (_ratio(line["factor"]), ex)
        volumes = line["volume"] is not None and abs(line["volume"] * line["factor"] - 1) < _UNEVEN
        why = None
        if told is None and (ratio is None or not volumes):
            why = "the volumes were not restated with them"
            why = "that is no ratio of a split" if ratio is None else why
        elif len(days) != 1:
            why = f"a split before them could be of any of {len(days)} sessions"
        elif known.filter(file=key[0], symbol=key[1], session=days[0]).height:
            why = f"the split of {days[0]} has been told, with another ratio"
        if why is None:
            splits.append((*key, days[0], ratio, volumes))
        else:
            others.append((*key, line["factor"], line["sessions"], why))
    return (
        pl.DataFrame(splits, schema=RESTATED, orient="row"),
        pl.DataFrame(others, schema=RESCALED, orient="row"),
    )


def _told_split(
    actions: pl.DataFrame, symbol: str, sessions: pl.Series, ratio: float
) -> tuple[float, list[date]] | None:
    """Find a split that the actions of the files tell of one of some sessions."""
    found = actions.filter(
        pl.col("kind").is_in(["split", "stock_dividend"]),
        pl.col("session").is_in(sessions.implode()),
        (pl.col("value") / ratio - 1).abs() < _SAME_RATIO,
        symbol=symbol,
    )
    if not found.height:
        return None
    return float(found["value"][-1]), found["session"].unique().to_list()


def _ratio(factor: float) -> float | None:
    """Ratio of a split that makes closes so many times what they were."""
    ratio = 1 / factor
    if ratio >= 1:
        near = Fraction(ratio).limit_denominator(_LARGEST_TERM)
    else:
        near = 1 / Fraction(factor).limit_denominator(_LARGEST_TERM)
    return float(near) if near != 1 and abs(float(near) / ratio - 1) < _SAME_RATIO else None
