"""Clusters: correlations pair by pair, scipy's and skfolio's trees, and what the cut promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from skfolio.cluster import HierarchicalClustering, LinkageMethod

from quant_platform.selection.clusters import Clusters, clustered, pairwise_correlation
from quant_platform.selection.tree import Matrix
from quant_platform.settings.clusters import ClusterSettings

USUAL = ClusterSettings()
PLAIN = ClusterSettings(windows=(60,), ridge=0.0)
UNRELATED = np.sqrt(0.5)


def market(seed: int, names: int, *, rows: int = 200, lacking: float = 0.0) -> Matrix:
    """Draw returns of securities that follow one of three drivers each, some of them lacking."""
    generator = np.random.default_rng(seed)
    drivers = generator.normal(0, 0.02, (rows, 3))
    own = generator.normal(0, 0.01, (rows, names))
    returns = drivers[:, np.arange(names) % 3] + own
    returns[generator.random((rows, names)) < lacking] = np.nan
    return np.asarray(returns)


def pair_by_pair(window: Matrix, least: int) -> Matrix:
    """Correlations one pair at a time."""
    names = window.shape[1]
    found = np.full((names, names), np.nan)
    for i, j in np.ndindex(names, names):
        pair = window[:, [i, j]]
        pair = pair[~np.isnan(pair).any(axis=1)]
        if len(pair) >= least and (pair.std(axis=0) > 1e-12).all():
            found[i, j] = np.corrcoef(pair.T)[0, 1]
    return found


def parts(found: Clusters) -> set[frozenset[int]]:
    """Who is together, whatever the numbers."""
    return {
        frozenset(np.flatnonzero(found.labels == label).tolist()) for label in set(found.labels)
    }


@pytest.mark.parametrize("lacking", [0.0, 0.2, 0.4])
def test_correlations_are_those_of_each_pairs_own_sessions(lacking: float) -> None:
    window = market(1, 9, rows=60, lacking=lacking)
    window[:, 4] = 0.01
    window[20:, 7] = np.nan
    found, expected = pairwise_correlation(window, 20), pair_by_pair(window, 20)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.isnan(found[4]).all()
    assert not np.isnan(found[~np.eye(9, dtype=bool)]).all()
    assert (found == found.T)[~np.isnan(found)].all()


def test_a_wild_session_that_a_pair_does_not_share_does_not_spoil_its_correlation() -> None:
    window = market(2, 2, rows=60)
    window[5] = [1e4, np.nan]
    np.testing.assert_allclose(
        pairwise_correlation(window, 20)[0, 1], pair_by_pair(window, 20)[0, 1], rtol=0, atol=1e-6
    )


def test_clusters_are_scipys_of_the_averaged_distance() -> None:
    returns = market(3, 30, rows=230, lacking=0.1)
    found = clustered(returns, USUAL)
    each = [pair_by_pair(returns[-rows:], 20) / 1.001 for rows in (60, 120, 200)]
    distances = np.mean([np.sqrt((1 - one) / 2) for one in each], axis=0)
    np.fill_diagonal(distances, 0.0)
    np.testing.assert_allclose(found.distance, distances, rtol=0, atol=1e-12)
    correlations = np.mean(each, axis=0)
    np.fill_diagonal(correlations, 1.0)
    np.testing.assert_allclose(found.correlation, correlations, rtol=0, atol=1e-12)
    tree = linkage(squareform(distances, checks=False), "ward", optimal_ordering=True)
    assert found.order.tolist() == leaves_list(tree).tolist()
    np.testing.assert_allclose(found.tree, tree, rtol=0, atol=1e-12)
    flat = fcluster(tree, 0.4, "distance")
    assert parts(found) == {
        frozenset(np.flatnonzero(flat == one).tolist()) for one in range(1, flat.max() + 1)
    }
    assert 1 < len(parts(found)) < 30


def test_the_tree_is_skfolios() -> None:
    returns = market(4, 24)
    found = clustered(returns, PLAIN)
    distances = np.sqrt((1 - np.corrcoef(returns[-60:].T)) / 2)
    model = HierarchicalClustering(linkage_method=LinkageMethod.WARD).fit(distances)
    np.testing.assert_allclose(found.tree[:, 2], model.linkage_matrix_[:, 2], rtol=0, atol=1e-7)
    drivers = ClusterSettings(windows=(60,), ridge=0.0, max_clusters=model.n_clusters_)
    together = {
        frozenset(np.flatnonzero(model.labels_ == one).tolist()) for one in set(model.labels_)
    }
    assert parts(clustered(returns, drivers)) == together


def test_what_follows_one_driver_is_one_cluster() -> None:
    found = clustered(market(5, 12), ClusterSettings(threshold=0.6))
    assert parts(found) == {frozenset(range(driver, 12, 3)) for driver in range(3)}


def test_clusters_are_numbered_along_the_leaves() -> None:
    found = clustered(market(6, 40, lacking=0.05), USUAL)
    along = found.labels[found.order]
    assert along[0] == 1
    assert set(np.diff(along).tolist()) == {0, 1}
    assert sorted(found.order.tolist()) == list(range(40))


def test_there_are_no_more_clusters_than_allowed() -> None:
    """The cut goes up only as far as it must: parts of the wider cut are unions of the finer."""
    noise = np.random.default_rng(7).normal(0, 0.01, (200, 60))
    fine = clustered(noise, ClusterSettings(max_clusters=1000))
    few = clustered(noise, USUAL)
    assert len(parts(fine)) == 60
    assert len(parts(few)) == 25
    for one in parts(fine):
        assert sum(one <= other for other in parts(few)) == 1


def test_a_pair_without_enough_joint_returns_counts_as_unrelated() -> None:
    returns = market(8, 6)
    returns[:-19, 0] = np.nan
    returns[:, 3] = np.nan
    found = clustered(returns, USUAL)
    for who in (0, 3):
        others = np.arange(6) != who
        np.testing.assert_allclose(found.distance[who, others], UNRELATED)
        assert np.isnan(found.correlation[who, others]).all()
        assert frozenset({who}) in parts(found)
    returns[-20, 0] = 0.01
    assert clustered(returns, USUAL).correlation[0, 1] == pytest.approx(
        pair_by_pair(returns, 20)[0, 1] / 1.001
    )


def test_a_window_that_does_not_know_a_pair_is_not_averaged() -> None:
    """Traded until 110 sessions ago: the longest window alone tells of it."""
    returns = market(9, 4)
    returns[-110:, 2] = np.nan
    found = clustered(returns, USUAL)
    only = pair_by_pair(returns, 20)[2, 0] / 1.001
    assert found.correlation[2, 0] == pytest.approx(only)
    assert found.distance[2, 0] == pytest.approx(np.sqrt((1 - only) / 2))


def test_twins_are_at_the_ridges_distance_and_opposites_at_one() -> None:
    returns = market(10, 3)
    returns[:, 1] = 2 * returns[:, 0]
    returns[:, 2] = -returns[:, 0]
    found = clustered(returns, USUAL)
    assert found.distance[0, 1] == pytest.approx(np.sqrt((1 - 1 / 1.001) / 2), rel=1e-9)
    assert found.distance[0, 2] == pytest.approx(np.sqrt((1 + 1 / 1.001) / 2), rel=1e-9)
    assert parts(found) == {frozenset({0, 1}), frozenset({2})}


@pytest.mark.parametrize("names", [0, 1])
def test_few_names_are_clusters_too(names: int) -> None:
    found = clustered(market(11, names), USUAL)
    assert found.labels.tolist() == [1] * names
    assert found.order.tolist() == list(range(names))
    assert found.tree.shape == (0, 4)


def test_a_short_history_is_all_there_is_of_each_window() -> None:
    returns = market(12, 5, rows=45)
    found = clustered(returns, USUAL)
    np.testing.assert_allclose(
        found.correlation[0, 1:], pair_by_pair(returns, 20)[0, 1:] / 1.001, rtol=0, atol=1e-12
    )


@given(seed=st.integers(0, 10_000), names=st.integers(2, 25), lacking=st.sampled_from([0.0, 0.2]))
@settings(max_examples=25)
def test_who_is_together_does_not_depend_on_the_order_of_the_columns(
    seed: int, names: int, lacking: float
) -> None:
    returns = market(seed, names, lacking=lacking)
    mixed = np.random.default_rng(seed).permutation(names)
    found, again = clustered(returns, USUAL), clustered(returns[:, mixed], USUAL)
    assert {frozenset(mixed[list(one)].tolist()) for one in parts(again)} == parts(found)


@given(seed=st.integers(0, 10_000), names=st.integers(2, 40))
@settings(max_examples=25)
def test_the_bytes_depend_on_the_last_sessions_alone(seed: int, names: int) -> None:
    returns = market(seed, names, rows=260, lacking=0.1)
    found = clustered(np.asfortranarray(returns), USUAL)
    again = clustered(returns[-200:].copy(), USUAL)
    for name in ("labels", "order", "distance", "correlation", "tree"):
        assert getattr(found, name).tobytes() == getattr(again, name).tobytes()
