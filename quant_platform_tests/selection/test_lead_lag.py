"""Lead and lag: definitions by hand, what noise looks like, and the planted pairs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm, rankdata, spearmanr

from quant_platform.lakehouse.contracts.clusters import CLUSTERS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars
from quant_platform.market.reference import published_actions, published_securities
from quant_platform.selection.cluster_table import cluster_candidates, cluster_windows
from quant_platform.selection.lead_lag import FEWEST, leads, own_ranks
from quant_platform.selection.tree import Matrix
from quant_platform.settings.clusters import ClusterSettings, LeadLagSettings
from quant_platform.sources import SimulatedSleeve
from quant_platform.sources.simulated.planted import Planted
from quant_platform.sources.simulated.truth import planted_effects
from quant_platform_tests.scanners.chain import Tables, handed
from quant_platform_tests.sources.markets import DIRTY, NYSE

USUAL = LeadLagSettings()
SHORT = LeadLagSettings(lookback=300, min_joint=100)
FIRST, LAST = date(2020, 6, 1), date(2023, 6, 30)
WANTED = SessionRange(NYSE, tuple(NYSE.between(FIRST, LAST)), FIRST)
MARKETS = (4, 3)
"""Seeds of embedded markets with several pairs among 120 stocks."""


def noise(seed: int, names: int, rows: int = 300) -> Matrix:
    """Draw returns with fat tails that share a market and nothing else."""
    generator = np.random.default_rng(seed)
    market = generator.normal(0, 0.01, (rows, 1))
    own = generator.standard_t(3, (rows, names)) * 0.01
    return np.asarray(market * generator.uniform(0.5, 1.5, names) + own)


def led(seed: int, lag: int, strength: float = 0.6) -> Matrix:
    """Draw noise in which column 3 repeats column 7 after some sessions."""
    returns = noise(seed, 14)
    returns[lag:, 3] += strength * returns[:-lag, 7]
    return returns


@pytest.mark.parametrize("lag", [1, 3, 5])
@pytest.mark.parametrize("strength", [0.8, -0.8])
def test_a_follower_is_found_with_its_leader_lag_and_direction(lag: int, strength: float) -> None:
    found = leads(led(lag, lag, strength), SHORT)
    assert np.flatnonzero(found.follows).tolist() == [3]
    assert (found.leader[3], found.lag[3]) == (7, lag)
    assert np.sign(found.correlation[3]) == np.sign(strength)


def test_what_leads_by_more_than_the_longest_lag_is_not_looked_for() -> None:
    assert not leads(led(1, 6), SHORT).follows.any()
    assert leads(led(1, 6), SHORT.model_copy(update={"max_lag": 6})).follows.any()


def test_own_returns_are_ranked_after_what_is_shared_is_taken_out() -> None:
    returns = noise(2, 12)
    returns[np.random.default_rng(2).random(returns.shape) < 0.1] = np.nan
    returns[:, 5] = 0.0
    ranks = own_ranks(returns)
    shared = np.nanmean(returns, axis=1)
    for column in range(12):
        there = ~np.isnan(returns[:, column])
        own, market = returns[there, column], shared[there]
        beta = np.polyfit(market, own, 1)[0]
        expected = rankdata(np.round(own - own.mean() - beta * (market - market.mean()), 14))
        np.testing.assert_array_equal(ranks[there, column], expected)
        assert np.isnan(ranks[~there, column]).all()


def test_the_correlation_is_spearmans_and_the_band_bonferronis() -> None:
    returns = led(3, 2)
    found, ranks = leads(returns, SHORT), own_ranks(returns)
    for follower in range(14):
        leader, lag = found.leader[follower], found.lag[follower]
        early, late = ranks[:-lag, leader], ranks[lag:, follower]
        assert found.correlation[follower] == pytest.approx(np.corrcoef(early, late)[0, 1])
        # Ranks of all sessions, not of the joint ones: a few sessions make no difference.
        spearman = spearmanr(early, late).statistic
        assert found.correlation[follower] == pytest.approx(spearman, abs=0.01)
        trials = 14 * 13 * 5
        band = norm.isf(0.05 / 2 / trials) / np.sqrt(300 - lag - 1)
        assert found.band[follower] == pytest.approx(band)
    assert (found.leader != np.arange(14)).all()


def test_the_strongest_leader_is_the_one_farthest_out_in_its_band() -> None:
    """Not the largest correlation: one of fewer sessions has a wider band."""
    returns = led(4, 1, 1.0)
    returns[: 300 - 130, 5] = np.nan
    returns[1:, 3] += 1.2 * np.nan_to_num(returns[:-1, 5])
    found = leads(returns, SHORT)
    ranks = own_ranks(returns)
    far = {}
    for leader in set(range(14)) - {3}:
        for lag in range(1, 6):
            pair = np.column_stack([ranks[:-lag, leader], ranks[lag:, 3]])
            pair = pair[~np.isnan(pair).any(axis=1)]
            far[leader, lag] = abs(np.corrcoef(pair.T)[0, 1]) * np.sqrt(len(pair) - 1)
    assert (found.leader[3], found.lag[3]) == max(far, key=lambda key: far[key])


def test_noise_with_fat_tails_has_no_more_false_alarms_than_promised() -> None:
    """Forty sessions of twenty securities: at 5 % each, more than seven would be one in 200."""
    alarms = sum(leads(noise(100 + seed, 20), SHORT).follows.any() for seed in range(40))
    assert alarms <= 6
    loose = SHORT.model_copy(update={"false_alarms": 0.9})
    assert any(leads(noise(100 + seed, 20), loose).follows.any() for seed in range(40))


def test_few_securities_and_few_returns_tell_nothing() -> None:
    returns = led(5, 1)
    for part in (returns[:, : FEWEST - 1], returns[-100:]):
        found = leads(part, SHORT)
        assert (found.leader == -1).all()
        assert (found.lag == 0).all()
        assert np.isnan(found.correlation).all()
        assert not found.follows.any()
    returns[:, 3] = np.nan
    assert leads(returns, SHORT).leader[3] == -1
    assert (np.delete(leads(returns, SHORT).leader, 3) >= 0).all()


def test_only_the_look_back_decides() -> None:
    returns = noise(6, 12, rows=400)
    before = returns.copy()
    before[:100] *= -3
    found, again = leads(np.asfortranarray(returns), SHORT), leads(before[100:], SHORT)
    for name in ("leader", "lag", "correlation", "band"):
        assert getattr(found, name).tobytes() == getattr(again, name).tobytes()


# -- the embedded market -----------------------------------------------------------------------


@lru_cache
def stocks(seed: int, planted: Planted) -> tuple[Tables, pl.DataFrame]:
    """Three years of 120 stocks through the real stages, and the pairs that were planted."""
    sleeves = (SimulatedSleeve("instruments", ("stock",), 120),)
    source = replace(DIRTY, seed=seed, planted=planted, sleeves=sleeves)
    wanted = WANTED
    bars = published_bars(source, "instruments", wanted).rows
    today = (pl.col("session") == wanted.last) & (pl.col("knowledge_session") == wanted.last)
    tables = {
        "bars": bars,
        "actions": published_actions(source, "instruments", wanted).rows,
        "securities": published_securities(source, "instruments", wanted).rows,
        "candidates": bars.filter(today).unique("security_id"),
    }
    pairs = planted_effects(source, "instruments").filter(pl.col("effect") == "lead_lag")
    return tables, pairs.select("leader", "follower")


def found_in(seed: int, planted: Planted) -> tuple[pl.DataFrame, set[tuple[str, str, int]]]:
    """Clusters of all stocks with a bar on the last session, and the pairs planted among them."""
    tables, pairs = stocks(seed, planted)
    settings, wanted = ClusterSettings(), WANTED.at_last
    frames = handed(tables, cluster_windows(settings), wanted)
    made = cluster_candidates(frames, settings, wanted, {wanted.last})
    made = CLUSTERS.validate("x/clusters", made)
    there = set(made["security_id"])
    return made, {(a, b, 1) for a, b in pairs.iter_rows() if {a, b} <= there}


@pytest.mark.parametrize("seed", MARKETS)
def test_the_planted_pairs_are_found_and_nothing_else(seed: int) -> None:
    made, pairs = found_in(seed, Planted())
    follow = made.filter("follows")
    told = set(follow.select("leader", "security_id", "leader_lag").iter_rows())
    assert told
    assert told <= pairs
    assert (follow["leader_correlation"] > follow["leader_band"]).all()
    # Of most that stay inside of the band the strongest leader is the planted one as well.
    strongest = set(made.select("leader", "security_id", "leader_lag").iter_rows())
    assert 2 * len(pairs & strongest) > len(pairs) > len(told)


@pytest.mark.parametrize("seed", MARKETS)
def test_where_nothing_is_planted_nobody_follows(seed: int) -> None:
    made, pairs = found_in(seed, Planted.none())
    assert pairs
    assert made["leader"].null_count() < made.height
    assert not made["follows"].any()
