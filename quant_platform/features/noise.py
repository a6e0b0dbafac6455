"""What noise looks like: places of the predictability statistics among independent normals.

The table is made once, by ``python -m quant_platform.features.noise``, from a seed, and is stored
with it as data beside this module. A row says of one value of a statistic, of series of one length,
which share of noise lies below it and which at or below it. A value's place is the mean of the two,
a middle rank: of a discrete statistic it counts half of the equals. Between stored values the place
goes straight from one to the next.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from quant_platform.features.predictability import STATISTICS, Sample, Statistic, Vector

SEED = 20240229
SERIES = 200_000
"""Series of noise behind the stored table; the error of a share is below 0.0012."""
POINTS = 1_001
"""Values that are kept of a continuous statistic."""
FILE = Path(__file__).with_name("noise.parquet")
_PORTION = 2_000
_DIGITS = 10
"""Digits to which values are held against stored ones: equal patterns add up in another order."""
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True)
class Noise:
    """Places of one statistic among noise.

    Parameters
    ----------
    value
        Stored values, ascending.
    below, upto
        Share of noise below each, and at or below it.
    mean
        Mean of the finite values of noise.
    """

    value: Vector
    below: Vector
    upto: Vector
    mean: float

    def place(self, found: Vector) -> Vector:
        """Middle rank of values among noise, 0..1; NaN of NaN.

        Parameters
        ----------
        found
            Values of the statistic; infinite ones have a place as well.
        """
        known = np.minimum(self.value, _LARGEST)
        asked = np.minimum(np.round(found, _DIGITS), _LARGEST)
        middle = (self.below + self.upto) / 2
        return np.where(
            np.isnan(found), np.nan, np.interp(asked, known, middle, left=0.0, right=1.0)
        )


def noise_table(
    statistics: Mapping[str, Statistic] = STATISTICS, *, seed: int = SEED, series: int = SERIES
) -> pl.DataFrame:
    """Simulate noise and tabulate the statistics of it.

    Parameters
    ----------
    statistics
        What to tabulate.
    seed
        Seed of the noise; each statistic has its own stream of it.
    series
        How many series.

    Returns
    -------
    polars.DataFrame
        ``statistic``, ``length``, ``value``, ``below``, ``upto``, ``mean``, ``series``, ``seed``.
    """
    tables = []
    for name, statistic in statistics.items():
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        sizes = [min(_PORTION, series - start) for start in range(0, series, _PORTION)]
        values = np.concatenate(
            [
                statistic.kernel(Sample(random.standard_normal((statistic.length, size))))
                for size in sizes
            ]
        )
        values = np.sort(np.round(values, _DIGITS))
        mean = float(values[np.isfinite(values)].mean())
        kept, first = np.unique(values, return_index=True)
        upto = np.append(first[1:], series) / series
        below = first / series
        if not statistic.discrete and len(kept) > POINTS:
            chosen = np.unique(np.linspace(0, len(kept) - 1, POINTS).astype(int))
            kept, below, upto = kept[chosen], below[chosen], upto[chosen]
        tables.append(
            pl.DataFrame({"value": kept, "below": below, "upto": upto}).select(
                pl.lit(name).alias("statistic"),
                pl.lit(statistic.length, pl.UInt32).alias("length"),
                "value",
                "below",
                "upto",
                pl.lit(mean).alias("mean"),
                pl.lit(series, pl.UInt32).alias("series"),
                pl.lit(seed, pl.UInt32).alias("seed"),
            )
        )
    return pl.concat(tables)


def noise_of(table: pl.DataFrame) -> dict[str, Noise]:
    """Statistics of a table, by name.

    Parameters
    ----------
    table
        As `noise_table` makes it.
    """
    found = {}
    for (name,), rows in table.partition_by("statistic", as_dict=True).items():
        value, below, upto = (rows[column].to_numpy() for column in ("value", "below", "upto"))
        found[str(name)] = Noise(value, below, upto, rows["mean"][0])
    return found


@cache
def stored_noise() -> dict[str, Noise]:
    """Statistics of the stored table."""
    return noise_of(pl.read_parquet(FILE))


def hurst(slope: Vector, noise: Noise) -> Vector:
    """Hurst exponent: the slope of rescaled ranges, less what noise has above one half.

    Parameters
    ----------
    slope
        Slopes of series.
    noise
        The slope's places among noise of the same length.
    """
    return slope - noise.mean + 0.5


if __name__ == "__main__":
    noise_table().write_parquet(FILE, compression="zstd")
