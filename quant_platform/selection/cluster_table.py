"""``clusters``: the candidates of a rebalance session, each in its cluster.

1. On a rebalance session all candidates are taken, with their closes as they were known then, in
   the units of that session; on other sessions there are no rows. A return is that from one
   session's close to the next one's: on a session without a bar, and on the one after it, there is
   none.
2. The candidates are clustered (`clusters`), in the order of their ``security_id``; the cohesion
   of a cluster is the mean correlation of its pairs.
3. Each gets its economic identity (`identity`) and the plainer candidate that is the same thing, if
   there is one.
4. Each gets the candidate that moves before it (`lead_lag`).

Clusters are made here once, and whoever selects reads them. A session of bars that is blocked is
one without returns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import numpy as np
import polars as pl

from quant_platform.features.panel import Panel
from quant_platform.lakehouse.contracts.clusters import CLUSTERS
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.selection.clusters import Clusters, clustered, cohesions
from quant_platform.selection.evidence import known_closes
from quant_platform.selection.identity import economic_identity, plainer_twin
from quant_platform.selection.lead_lag import leads
from quant_platform.selection.tree import Matrix, joints
from quant_platform.settings.clusters import ClusterSettings

_PUBLISHED = ("security_id", "session", "knowledge_session", "known_at", "close")


def cluster_windows(settings: ClusterSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``clusters`` depends on.

    As many returns as are looked back at lie between one close more.
    """
    return {
        "candidates": Window("candidates"),
        "bars": Window("bars", _lookback(settings), withdraws=False),
        "actions": Window("actions", ALL_HISTORY),
        "securities": Window("securities", ALL_HISTORY),
    }


def cluster_candidates(
    frames: Mapping[str, pl.LazyFrame],
    settings: ClusterSettings,
    wanted: SessionRange,
    grid: Collection[date],
) -> pl.DataFrame:
    """Compute ``clusters`` for a range.

    Parameters
    ----------
    frames
        What `cluster_windows` asks for, by its names.
    settings
        Windows, cut, and how leaders are found.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions, of any calendar; those outside the range do not matter.

    Returns
    -------
    polars.DataFrame
        One row per candidate on a rebalance session, by session and security.
    """
    deciding = [session for session in wanted.sessions if session in grid]
    candidates = (
        frames["candidates"]
        .filter(pl.col("session").is_in(deciding))
        .select("session", "security_id", "symbol")
        .sort("session", "security_id")
        .collect()
    )
    if not candidates.height:
        return CLUSTERS.empty()
    own = pl.col("security_id").is_in(candidates["security_id"].unique().implode())
    bars = frames["bars"].filter(own).select(_PUBLISHED).collect()
    splits = splits_in_effect(frames["actions"].filter(own).collect())
    loaded = wanted.loaded(cluster_windows(settings)["bars"])
    panel = Panel.of(bars, wanted, loaded, ["close"], splits)
    described = frames["securities"].collect()
    parts = []
    for (session,), rows in candidates.group_by("session", maintain_order=True):
        row, before = loaded.index(session), _lookback(settings)
        closes = known_closes(panel, row, rows["security_id"], before)
        returns = closes[1:] / closes[:-1] - 1
        known = economic_identity(described, session)
        told = rows.join(known, on="security_id", how="left", maintain_order="left").with_columns(
            # Who nobody has described yet is itself.
            identity=pl.coalesce("identity", "security_id"),
            leverage=pl.col("leverage").fill_null(1.0),
        )
        parts.append(_rows(told, returns, settings))
    return pl.concat(parts)


def _lookback(settings: ClusterSettings) -> int:
    """Most returns that are looked back at."""
    return max(settings.windows[-1], settings.lead_lag.lookback)


def _rows(told: pl.DataFrame, returns: Matrix, settings: ClusterSettings) -> pl.DataFrame:
    """Rows of one session."""
    names = told["security_id"]
    found = clustered(returns, settings)
    mean = pl.Series(cohesions(found)).fill_nan(None)
    first = leads(returns, settings.lead_lag)
    compared = pl.Series(first.leader >= 0)
    leader = names.gather(np.maximum(first.leader, 0))
    window = returns[-settings.windows[-1] :]
    made = {
        "cluster": pl.Series(found.labels),
        "size": pl.Series(np.bincount(found.labels)[found.labels]),
        "cohesion": mean,
        "homogeneous": mean >= settings.homogeneous_from,
        "leader": leader.zip_with(compared, pl.Series([None], dtype=pl.String)),
        "leader_lag": pl.Series(first.lag).replace(0, None),
        "leader_correlation": pl.Series(first.correlation).fill_nan(None),
        "leader_band": pl.Series(first.band).fill_nan(None),
        "follows": pl.Series(first.follows),
        "returns": pl.Series((~np.isnan(window)).sum(axis=0)),
        **_places(found),
    }
    columns = CLUSTERS.columns
    return (
        told.with_columns(**made)
        .with_columns(twin_of=plainer_twin())
        .select(pl.col(name).cast(column.dtype) for name, column in columns.items())
    )


def _places(found: Clusters) -> dict[str, pl.Series]:
    """Places of the securities along the leaves, and what draws the tree and its correlations."""
    count = len(found.order)
    place = np.empty(count, dtype=np.int64)
    place[found.order] = np.arange(count)
    heights = joints(found.tree) if count > 1 else np.full(count, np.nan)
    along = pl.Series(found.correlation[:, found.order].ravel(), dtype=pl.Float32).fill_nan(None)
    return {
        "position": pl.Series(place + 1),
        "joined_at": pl.Series(heights[place]).fill_nan(None),
        "correlations": along.reshape((count, count)).arr.to_list(),
    }
