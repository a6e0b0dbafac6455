"""Quality: the flags of each session's data, by what was known at its cutoff.

- ``gap``: a security has a mark and no bar on the session. Nothing is filled forwards.
- ``stale``: for n sessions, this one included, no bar of it was known that traded or moved. It is
  out of the universe (`scanners.universe`) until one is.
- ``outlier``: its total return is further from the median of its own than k robust deviations
  (1.4826 times the median absolute distance from the median of then), over the sessions before, and
  no split and no payment of the session explains it.
- ``late``: a bar of an earlier session became known.
- ``mismatch``, ``uncompared``: the sleeve has ``second_bars``, and the bar is another one there, or
  there is none to compare it with (`quant_platform.market.comparison`). A sleeve without them has
  neither flag: that nothing is compared is said where the table is shown, not in each row.

Medians do not depend on an order and windows are counted in sessions, so that a range has the bytes
of its single days.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quant_platform.lakehouse.contracts.quality import QUALITY
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.market.comparison import comparison_flags
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.sleeve import SECOND_KIND

_NORMAL = 1.4826
"""Standard deviations of a normal variable in its median absolute deviation."""
_FEWEST = 20
"""Returns below which nothing is said of an outlier."""
_KEY = ("session", "security_id")


def quality_windows(settings: HygieneSettings, *, second: bool = False) -> dict[str, Window]:
    """Sessions of its inputs that ``quality`` depends on.

    The deviation of a return is taken from the median of its own time, which looks back as far.

    Parameters
    ----------
    settings
        How far back it looks.
    second
        Whether there are bars of a second source. A session of them that is blocked counts as
        empty: what was to confirm the bars must not stop what stands on them.
    """
    back, reach = settings.stale_sessions - 1, settings.mismatch_sessions
    windows = {
        "bars": Window("bars", max(back, reach) if second else back),
        "returns": Window("returns", 2 * settings.outlier_sessions),
    }
    if second:
        windows[SECOND_KIND] = Window(SECOND_KIND, reach, withdraws=False)
    return windows


def session_quality(
    frames: Mapping[str, pl.LazyFrame], settings: HygieneSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``quality`` for a range.

    Parameters
    ----------
    frames
        ``bars`` and ``returns`` of the range and of the sessions before it, and ``second_bars``
        where the sleeve has them.
    settings
        How long is stale, how far is out, and how different is another bar.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session, security, flag and session of the bar, in that order.
    """
    ordinals = wanted.calendar.frame().select("session", "ordinal")
    bars = _versions(frames["bars"], ordinals)
    returns = (
        frames["returns"]
        .select(*_KEY, "mark_session", "total", "split", "cash", "delisted")
        .collect()
        .join(ordinals, on="session")
        .join(ordinals.rename({"session": "mark_session", "ordinal": "marked"}), on="mark_session")
    )
    first = wanted.calendar.ordinal(wanted.first)
    present = returns.filter(pl.col("ordinal") >= first, ~pl.col("delisted"))
    late = pl.col("known") - pl.col("ordinal")
    flagged = [
        present.filter(pl.col("marked") < pl.col("ordinal")).select(
            "ordinal", "security_id", flag=pl.lit("gap"), value=pl.col("ordinal") - pl.col("marked")
        ),
        present.join(
            active_ages(bars, settings.stale_sessions), on=["security_id", "ordinal"], how="anti"
        ).select(
            "ordinal", "security_id", flag=pl.lit("stale"), value=pl.lit(settings.stale_sessions)
        ),
        _outliers(returns, settings).filter(pl.col("ordinal") >= first),
        bars.filter(late > 0, pl.col("known") >= first)
        .unique(["security_id", "ordinal", "known"])
        .select("security_id", ordinal="known", flag=pl.lit("late"), ago=late, value=late),
    ]
    if SECOND_KIND in frames:
        theirs = _versions(frames[SECOND_KIND], ordinals)
        flagged += comparison_flags(bars, theirs, settings, first)
    types = QUALITY.columns
    return (
        pl.concat(
            (part.with_columns(pl.col("value").cast(pl.Float64)) for part in flagged),
            how="diagonal_relaxed",
        )
        .join(ordinals, on="ordinal")
        .with_columns(
            pl.col("flag").cast(types["flag"].dtype),
            sessions_ago=pl.col("ago").fill_null(0).cast(types["sessions_ago"].dtype),
        )
        .select(*types)
        .sort("session", "security_id", "flag", "sessions_ago")
    )


def _versions(bars: pl.LazyFrame, ordinals: pl.DataFrame) -> pl.DataFrame:
    """Return published bars with the ordinals of their sessions and of their knowledge sessions."""
    return (
        bars.select(
            *("security_id", "symbol", "session", "knowledge_session", "known_at"),
            *("open", "high", "low", "close", "volume"),
        )
        .collect()
        .join(ordinals, on="session")
        .join(
            ordinals.rename({"session": "knowledge_session", "ordinal": "known"}),
            on="knowledge_session",
        )
    )


def active_ages(bars: pl.DataFrame, stale_sessions: int) -> pl.DataFrame:
    """Return how many sessions ago a security last traded or moved, as known at each session.

    Parameters
    ----------
    bars
        ``security_id``, ``high``, ``low``, ``volume``, and as ordinals the session (``ordinal``)
        and the knowledge session (``known``).
    stale_sessions
        Ages from this on have no row.

    Returns
    -------
    polars.DataFrame
        ``security_id``, ``ordinal``, ``age``; 0 is the session itself.
    """
    moved = bars.filter((pl.col("volume") > 0) | (pl.col("high") > pl.col("low")))
    seen = [
        moved.select("security_id", "known", ordinal=pl.col("ordinal") + age, age=pl.lit(age))
        for age in range(stale_sessions)
    ]
    return (
        pl.concat(seen)
        .filter(pl.col("known") <= pl.col("ordinal"))
        .group_by("security_id", "ordinal")
        .agg(pl.col("age").min())
    )


def _outliers(returns: pl.DataFrame, settings: HygieneSettings) -> pl.DataFrame:
    """Pick the returns that are far from the security's own, and have no action."""
    window = f"{settings.outlier_sessions}i"
    ordered = returns.sort("security_id", "ordinal")

    def before(column: str) -> pl.Expr:
        rolled = pl.col(column).rolling_median_by(
            "ordinal", window_size=window, min_samples=_FEWEST, closed="left"
        )
        return rolled.over("security_id")

    distances = ordered.with_columns(middle=before("total")).with_columns(
        distance=(pl.col("total") - pl.col("middle")).abs()
    )
    deviations = (pl.col("total") - pl.col("middle")) / (_NORMAL * pl.col("usual"))
    return (
        distances.with_columns(usual=before("distance"))
        .filter(
            pl.col("usual") > 0,
            pl.col("split") == 1,
            pl.col("cash") == 0,
            deviations.abs() > settings.outlier_deviations,
        )
        .select("ordinal", "security_id", flag=pl.lit("outlier"), value=deviations)
    )
