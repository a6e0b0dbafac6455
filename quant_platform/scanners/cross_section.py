"""The cross-section: each security of the universe beside the others of its session.

1. Of each security of the universe with a bar, four features are ranked: the trend score, the
   distance from the best anchored average (how far, or signed), the slope of that average, and the
   average true range over the close.
2. The values of a session are winsorised: those beyond a quantile at either end count as it. A
   z-score is the deviation from the mean of all, or of the sector where sectors are neutral and
   have enough securities, in standard deviations. Where all are alike it is 0: nobody stands out.
3. The composite score is the weighted sum of the z-scores; its rank is the share of the ranked
   securities that have at least as large a score, so that equals share the worse place.
4. *Floors* are asked of everybody, whatever the rank; a floor without a value fails. Who passes all
   of them, and has a rank within the best share, is selected.
5. The *absolute rule* is the floors alone. It judges a security that lacks a feature that counts,
   and every security where there is only one score, or all scores are alike; ``rank_basis`` says
   so, and there is neither score nor rank.

Every session is computed from its own rows in the order of its securities, so that a range has the
bytes of its single days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.contracts.cross_section import (
    CROSS_SECTION,
    CROSS_SECTION_MOMENTS,
    RANKED,
)
from quant_platform.lakehouse.gates import Gate
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.scanners.audit import entry, first_failed
from quant_platform.settings.cross_section import CrossSectionSettings

Vector = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

NO_FLOOR = "no_floor"
"""Reason where the absolute rule has nothing to ask."""
PERCENTILES = (5, 25, 50, 75, 95)

_KEY = ["session", "security_id"]
_ALIKE = 1e-9
"""Spread of the scores below which they are alike: sums of equal values leave last bits."""


@dataclass(frozen=True)
class Floor(Gate):
    """A gate that is asked of everybody, whatever the rank, of the column of its name.

    Parameters
    ----------
    limit
        Limit of the value; None where the floor is not asked.
    ceiling
        Whether the limit is the largest size that passes, and not the least value.
    """

    limit: Callable[[CrossSectionSettings], float | None]
    ceiling: bool = False

    def asked(self, limit: float) -> pl.Expr:
        """Return the floor with what it found, as the struct of the contract."""
        value = pl.col(self.name).cast(pl.Float64)
        if self.ceiling:
            return entry(self.name, value.abs() <= limit, value.abs(), limit)
        return entry(self.name, value >= limit, value, limit)


FLOORS = (
    Floor("trend_score", "choice", lambda settings: settings.min_trend_score),
    Floor("adv_shares_20", "choice", lambda settings: settings.min_adv_shares),
    Floor("adv_money_20", "choice", lambda settings: settings.min_adv_money),
    Floor("dist_pct", "choice", lambda settings: settings.max_distance_pct, ceiling=True),
)
"""Every floor, in the order in which they are asked."""
RANK = Gate("composite_rank", "choice")
"""The last question, of those that have a rank."""


def cross_section_gates(settings: CrossSectionSettings) -> list[Gate]:
    """Gates that a cross-section asks, in their order.

    Parameters
    ----------
    settings
        What is asked for.
    """
    return [*(floor for floor, _ in _limits(settings)), RANK]


def cross_section_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``cross_section`` depends on."""
    tables = ("universe", "features_trend", "features_state", "features_avwap")
    return {table: Window(table) for table in (*tables, "features_liquidity")}


def rank_securities(
    frames: Mapping[str, pl.LazyFrame], settings: CrossSectionSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``cross_section`` for a range.

    Parameters
    ----------
    frames
        ``universe`` and the feature tables of the range.
    settings
        Weights, floors and options.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security of the universe that has a bar, by session and security.
    """
    rows = _described(frames, wanted)
    sessions = [_ranked(part, settings) for part in rows.partition_by("session")]
    if not sessions:
        return CROSS_SECTION.empty()
    return _judged(pl.concat(sessions), settings)


def moments_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``cross_section_moments`` depends on."""
    return {"cross_section": Window("cross_section")}


def cross_section_moments(
    frames: Mapping[str, pl.LazyFrame], settings: CrossSectionSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``cross_section_moments`` for a range.

    Parameters
    ----------
    frames
        ``cross_section``: that of the range.
    settings
        What is ranked of a distance, and the winsorised share.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session and feature that some security has.
    """
    inside = pl.col("session").is_between(wanted.first, wanted.last)
    rows = frames["cross_section"].filter(inside).select(*_KEY, *RANKED).sort(_KEY).collect()
    made = []
    for part in rows.partition_by("session"):
        for name, told in _ranked_values(part, settings).items():
            values = told[np.isfinite(told)]
            if not len(values):
                continue
            clipped = winsorised(values, settings.winsorised_share)
            levels = zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
            made.append(
                {
                    "session": part["session"][0],
                    "feature": name,
                    "securities": len(values),
                    "mean": float(clipped.mean()),
                    "deviation": float(clipped.std(ddof=1)) if len(values) > 1 else None,
                    **{f"p{at:02}": float(level) for at, level in levels},
                }
            )
    schema = {name: column.dtype for name, column in CROSS_SECTION_MOMENTS.columns.items()}
    return pl.DataFrame(made, schema=schema).sort("session", "feature")


def winsorised(values: Vector, share: float) -> Vector:
    """Take values beyond a quantile at either end as that quantile.

    Parameters
    ----------
    values
        Values; NaN where there is none.
    share
        Share of them at each end.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    low, high = np.quantile(known, [share, 1 - share])
    return np.asarray(np.clip(values, low, high))


def zscores(values: Vector, groups: Groups, fewest: int) -> Vector:
    """Deviations from the mean in standard deviations; NaN where there is no value.

    Parameters
    ----------
    values
        Values; NaN where there is none.
    groups
        Group of each, -1 for none: it is held against all.
    fewest
        Fewest members of a group that are held against each other.
    """
    known = np.isfinite(values)
    scores = _standard(values, values[known])
    for group in np.unique(groups[(groups >= 0) & known]):
        members = groups == group
        if np.count_nonzero(members & known) >= fewest:
            scores[members] = _standard(values[members], values[members & known])
    return scores


def _standard(values: Vector, beside: Vector) -> Vector:
    """Hold values against others: 0 where those are alike."""
    spread = beside.std(ddof=1) if len(beside) > 1 else 0.0
    mean = beside.mean() if len(beside) else 0.0
    if spread <= _ALIKE * max(abs(mean), 1e-6):
        return np.where(np.isfinite(values), 0.0, np.nan)
    return np.asarray((values - mean) / spread)


def _described(frames: Mapping[str, pl.LazyFrame], wanted: SessionRange) -> pl.DataFrame:
    """Rows of the universe with a bar, and what is ranked and asked of them."""
    inside = pl.col("session").is_between(wanted.first, wanted.last)
    rows = frames["universe"].filter(inside, "included").select(*_KEY, "sector")
    rows = rows.join(frames["features_trend"].select(*_KEY, "trend_score"), on=_KEY)
    for table, columns in (
        ("features_avwap", ("dist_pct", "avwap_slope")),
        ("features_state", ("atr_pct",)),
        ("features_liquidity", ("adv_shares_20", "adv_money_20")),
    ):
        rows = rows.join(frames[table].select(*_KEY, *columns), on=_KEY, how="left")
    return rows.sort(_KEY).collect()


def _ranked_values(rows: pl.DataFrame, settings: CrossSectionSettings) -> dict[str, Vector]:
    """Values that are ranked, by feature; NaN where one is null."""
    values = {
        name: rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy().copy() for name in RANKED
    }
    if not settings.signed_distance:
        values["dist_pct"] = np.abs(values["dist_pct"])
    return values


def _ranked(rows: pl.DataFrame, settings: CrossSectionSettings) -> pl.DataFrame:
    """Z-scores, percentiles, composite score and rank of one session."""
    groups = np.full(rows.height, -1, dtype=np.int64)
    if settings.sector_neutral:
        codes = rows["sector"].rank("dense").cast(pl.Int64).fill_null(-1)
        groups = codes.to_numpy()
    columns: dict[str, pl.Series] = {}
    score = np.zeros(rows.height)
    weights = settings.weights.model_dump()
    for name, values in _ranked_values(rows, settings).items():
        clipped = winsorised(values, settings.winsorised_share)
        deviations = zscores(clipped, groups, settings.sector_securities)
        columns[f"{name}_zscore"] = _nullable(deviations)
        columns[f"{name}_pctile"] = _nullable(_share_at_most(values))
        if weights[name]:
            score = score + weights[name] * deviations
    if np.count_nonzero(np.isfinite(score)) < 2 or np.nanmax(score) - np.nanmin(score) < _ALIKE:
        score = np.full(rows.height, np.nan)
    columns["composite_score"] = pl.Series(score).fill_nan(None)
    columns["composite_rank"] = pl.Series(_share_at_most(-score)).fill_nan(None)
    return rows.with_columns(**columns)


def _share_at_most(values: Vector) -> Vector:
    """Share of the values that are at most as large as each."""
    known = np.sort(values[np.isfinite(values)])
    places = np.searchsorted(known, values, side="right") / max(len(known), 1)
    return np.where(np.isfinite(values), places, np.nan)


def _nullable(values: Vector) -> pl.Series:
    return pl.Series(values).fill_nan(None).cast(pl.Float32)


def _judged(rows: pl.DataFrame, settings: CrossSectionSettings) -> pl.DataFrame:
    """Ask the floors of everybody and the rank of those that have one."""
    asked = [floor.asked(limit) for floor, limit in _limits(settings)]
    place, share = pl.col("composite_rank"), settings.selected_share
    rank = entry(RANK.name, place <= share, place, share)
    relative = place.is_not_null()
    passed = [floor.struct.field("passed") for floor in asked]
    # Without a floor the absolute rule has no evidence, and selects nobody.
    by_floors = pl.all_horizontal(passed) if asked else relative
    failed = first_failed(asked) if asked else pl.lit(NO_FLOOR)
    return (
        rows.with_columns(
            rank_basis=pl.when(relative).then(pl.lit("relative")).otherwise(pl.lit("absolute")),
            passes=pl.when(relative)
            .then(pl.concat_list([*asked, rank]))
            .otherwise(pl.concat_list([*asked, rank]).list.head(len(asked))),
            selected=by_floors & (~relative | (place <= share).fill_null(False)),
            reason=pl.when(relative).then(first_failed([*asked, rank])).otherwise(failed),
        )
        .with_columns(pl.col("rank_basis").cast(CROSS_SECTION.columns["rank_basis"].dtype))
        .select(*CROSS_SECTION.columns)
    )


def _limits(settings: CrossSectionSettings) -> list[tuple[Floor, float]]:
    """Floors that are asked, each with its limit."""
    limits = [(floor, floor.limit(settings)) for floor in FLOORS]
    return [(floor, limit) for floor, limit in limits if limit is not None]
