"""The table of clusters behind the real producers: its rows, its laws, and what it knew."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy.cluster.hierarchy import cophenet, fcluster, linkage
from scipy.spatial.distance import squareform

from quant_platform.calendars import rebalance_grid
from quant_platform.lakehouse.contracts.clusters import CLUSTERS
from quant_platform.selection.cluster_table import cluster_candidates, cluster_windows
from quant_platform.settings.clusters import ClusterSettings
from quant_platform_tests.scanners.chain import (
    CALENDARS,
    HISTORY,
    LAST,
    SCANNERS,
    Tables,
    handed,
    market,
    scanned,
    span,
)
from quant_platform_tests.sources.markets import NYSE

GRID = frozenset(rebalance_grid(NYSE, date(2015, 1, 2), 21))
SETTINGS = ClusterSettings()
ONE_WINDOW = ClusterSettings(windows=(60,), ridge=0.0)
sleeves = pytest.mark.parametrize("sleeve", SCANNERS)


@lru_cache(maxsize=3)
def before_clusters(sleeve: str) -> Tables:
    """Run a sleeve up to its candidates, over all its history."""
    tables = market(sleeve)
    found = scanned(tables, span(CALENDARS[sleeve], HISTORY, LAST), SCANNERS[sleeve])
    return {**tables, **found}


def clusters_of(
    sleeve: str,
    tables: Tables | None = None,
    settings: ClusterSettings = SETTINGS,
    *,
    cuts: Sequence[date] = (),
    first: date = HISTORY,
    last: date = LAST,
    grid: Collection[date] = GRID,
) -> pl.DataFrame:
    """Cluster over a part of history, in one run or in several that begin at the cuts."""
    calendar, parts = CALENDARS[sleeve], [CLUSTERS.empty()]
    for begin, after in pairwise([first, *cuts, last + timedelta(days=1)]):
        wanted = span(calendar, begin, after - timedelta(days=1))
        handed_over = handed(tables or before_clusters(sleeve), cluster_windows(settings), wanted)
        made = cluster_candidates(handed_over, settings, wanted, grid)
        parts.append(CLUSTERS.validate("x/clusters", made))
    return pl.concat(parts)


@lru_cache(maxsize=3)
def whole(sleeve: str) -> pl.DataFrame:
    return clusters_of(sleeve)


def sessions_of(made: pl.DataFrame) -> list[pl.DataFrame]:
    return made.sort("session", "position").partition_by("session", maintain_order=True)


@sleeves
def test_rows_are_the_candidates_of_the_rebalance_sessions(sleeve: str) -> None:
    key = ["session", "security_id"]
    expected = before_clusters(sleeve)["candidates"].filter(pl.col("session").is_in(GRID))
    assert expected.height > 100
    assert whole(sleeve).select(key).equals(expected.select(key).sort(key))


@sleeves
def test_clusters_are_neighbours_along_the_leaves_and_their_sizes_are_told(sleeve: str) -> None:
    for made in sessions_of(whole(sleeve)):
        assert made["position"].to_list() == list(range(1, made.height + 1))
        steps = made["cluster"].cast(pl.Int64).diff().drop_nulls()
        assert set(steps) <= {0, 1}
        assert made["cluster"][0] == 1
        assert made["cluster"].max() <= SETTINGS.max_clusters
        counted = made.group_by("cluster").len()
        told = made.unique("cluster").select("cluster", len="size")
        assert told.sort("cluster").equals(counted.sort("cluster").cast(told.schema))


@sleeves
def test_cohesion_is_the_mean_correlation_of_the_clusters_pairs(sleeve: str) -> None:
    seen = set()
    for made in sessions_of(whole(sleeve)):
        matrix = np.array(made["correlations"].to_list(), dtype=float)
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diag(matrix), 1.0)
        for cluster in made["cluster"].unique():
            own = np.flatnonzero(made["cluster"] == cluster)
            pairs = matrix[np.ix_(own, own)][np.triu_indices(len(own), 1)]
            pairs = pairs[~np.isnan(pairs)]
            for told, flag in made[own].select("cohesion", "homogeneous").iter_rows():
                assert (told is None) == (flag is None) == (not len(pairs))
                if told is not None:
                    assert told == pytest.approx(pairs.mean(), abs=1e-6)
                    assert flag == (told >= 0.7)
                seen.add(flag)
    assert {None, True} <= seen


def test_a_loose_cluster_is_told_as_such() -> None:
    loose = clusters_of("instruments", settings=ClusterSettings(max_clusters=4))
    assert set(loose["homogeneous"]) >= {False}
    assert (loose.filter(pl.col("homogeneous").not_())["cohesion"] < 0.7).all()


def test_the_table_holds_the_whole_tree() -> None:
    """From correlations to scipy's tree, and from the stored joints to the same heights."""
    for made in sessions_of(clusters_of("etfs", settings=ONE_WINDOW))[-3:]:
        matrix = np.array(made["correlations"].to_list(), dtype=float)
        distance = np.sqrt((1 - np.nan_to_num(np.clip(matrix, -1, 1))) / 2)
        np.fill_diagonal(distance, 0.0)
        tree = linkage(squareform(distance, checks=False), "ward", optimal_ordering=True)
        heights = squareform(cophenet(tree))
        joined = made["joined_at"].to_list()
        for i in range(made.height):
            for j in range(i):
                assert max(joined[j + 1 : i + 1]) == pytest.approx(heights[i, j], abs=1e-4)
        flat = fcluster(tree, SETTINGS.threshold, "distance")
        same = flat[:, None] == flat
        own = made["cluster"].to_numpy()
        np.testing.assert_array_equal(same, own[:, None] == own)


def test_a_leveraged_candidate_names_the_plain_candidate_that_it_is() -> None:
    made = whole("etfs")
    twins = made.filter(pl.col("twin_of").is_not_null())
    assert twins.height > 5
    assert (twins["leverage"] != 1).all()
    plain = made.select("session", "identity", twin_of="security_id", plain="leverage")
    paired = twins.join(plain, on=["session", "identity", "twin_of"])
    assert paired.height == twins.height
    assert (paired["plain"] == 1).all()
    # Without its plain fund among the candidates a leveraged one stands for itself.
    alone = made.filter(pl.col("leverage") != 1, pl.col("twin_of").is_null())
    others = made.filter(pl.col("leverage") == 1).select("session", "identity")
    assert alone.join(others, on=["session", "identity"]).is_empty()


@sleeves
def test_a_range_has_the_bytes_of_its_parts(sleeve: str) -> None:
    on_grid = sorted(day for day in CALENDARS[sleeve].between(HISTORY, LAST) if day in GRID)
    between = on_grid[5] + timedelta(days=2)
    cuts = [on_grid[4], between, on_grid[9], on_grid[10]]
    assert clusters_of(sleeve, cuts=cuts).equals(whole(sleeve))


@sleeves
def test_one_session_alone_has_the_bytes_of_the_range(sleeve: str) -> None:
    day = whole(sleeve)["session"].max()
    made = clusters_of(sleeve, first=day, last=day)
    assert made.equals(whole(sleeve).filter(pl.col("session") == day))


@sleeves
def test_nothing_known_later_changes_a_session(sleeve: str) -> None:
    tables = before_clusters(sleeve)
    day = sorted(whole(sleeve)["session"].unique())[6]
    known = pl.col("knowledge_session") <= day
    cut = {
        name: rows.filter(
            known if "knowledge_session" in rows.columns else pl.col("session") <= day
        )
        for name, rows in tables.items()
    }
    spoilt = {
        **tables,
        "bars": tables["bars"].with_columns(
            close=pl.when(known).then("close").otherwise(pl.col("close") * 7)
        ),
        "securities": pl.concat(
            [
                tables["securities"],
                tables["securities"]
                .filter(known)
                .with_columns(
                    knowledge_session=pl.lit(LAST),
                    underlying=pl.lit("everything"),
                    leverage=pl.lit(3.0),
                ),
            ]
        ),
    }
    expected = whole(sleeve).filter(pl.col("session") <= day)
    for other in (cut, spoilt):
        assert clusters_of(sleeve, other, last=day).equals(expected)
    later = clusters_of(sleeve, spoilt).filter(pl.col("session") > day)
    assert not later.equals(whole(sleeve).filter(pl.col("session") > day))


def test_a_session_without_a_bar_is_one_without_a_return() -> None:
    """A bar taken out of the middle costs two returns, and no return spans the gap."""
    tables = before_clusters("etfs")
    day = whole("etfs")["session"].max()
    before = whole("etfs").filter(pl.col("session") == day)
    name = before.filter(pl.col("returns") == 200)["security_id"][0]
    gone = CALENDARS["etfs"].offset(day, -30)
    thinned = tables["bars"].filter((pl.col("security_id") != name) | (pl.col("session") != gone))
    made = clusters_of("etfs", {**tables, "bars": thinned}, first=day, last=day)
    counts = dict(made.select("security_id", "returns").iter_rows())
    expected = dict(before.select("security_id", "returns").iter_rows())
    assert counts == {**expected, name: 198}


def test_who_has_no_returns_is_a_cluster_of_its_own() -> None:
    tables = before_clusters("etfs")
    day = whole("etfs")["session"].max()
    name = whole("etfs").filter(pl.col("session") == day)["security_id"][0]
    without = tables["bars"].filter(pl.col("security_id") != name)
    made = clusters_of("etfs", {**tables, "bars": without}, first=day, last=day)
    (row,) = made.filter(pl.col("security_id") == name).to_dicts()
    assert (row["size"], row["returns"], row["leader"], row["follows"]) == (1, 0, None, False)
    assert [value for value in row["correlations"] if value is not None] == [1.0]


def test_no_candidate_is_no_row() -> None:
    tables = before_clusters("etfs")
    nobody = {**tables, "candidates": tables["candidates"].clear()}
    assert clusters_of("etfs", nobody).equals(CLUSTERS.empty())
    assert clusters_of("etfs", grid=()).equals(CLUSTERS.empty())


def test_windows_reach_as_far_as_the_farthest_look_back() -> None:
    assert cluster_windows(SETTINGS)["bars"].lookback == 756
    longer = ClusterSettings(windows=(60, 900))
    assert cluster_windows(longer)["bars"].lookback == 900
