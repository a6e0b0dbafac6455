"""The embedded market has the stylised facts of real ones; the page explains what differs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quant_platform.validation.stylised_facts import hill, leverage
from quant_platform_tests.known_answers.embedded_market import (
    BEGIN,
    END,
    PAGE,
    PICTURES,
    SIZE,
    real_facts,
    simulated_facts,
)

EXPLAINED: dict[str, set[str]] = {
    "instruments": {"market_tail", "market_clustering"},
    "etfs": {"autocorrelation", "clustering_late", "volatility"},
    "crypto": {"autocorrelation"},
}
"""Facts outside the real range that docs/design/embedded-market.md gives the reason of."""

sleeves = pytest.mark.parametrize("sleeve", list(SIZE))


def value(facts: pl.DataFrame, fact: str, column: str = "median") -> float:
    return float(facts.filter(pl.col("fact") == fact)[column].item())


@sleeves
def test_the_median_security_is_within_the_real_range(sleeve: str) -> None:
    embedded, real = simulated_facts(sleeve), real_facts(sleeve)
    outside = set()
    for fact, low, median, high, _ in real.iter_rows():
        # A single number has no quartiles: a third around it, or what chance makes of none.
        slack = max(abs(median) / 3, 0.03) if low == high else 0.0
        mine = value(embedded, fact)
        if not low - slack <= mine <= high + slack:
            outside.add(fact)
    assert outside == EXPLAINED[sleeve]


@sleeves
def test_what_every_market_has(sleeve: str) -> None:
    facts = simulated_facts(sleeve)
    assert 2.0 < value(facts, "tail_index") < 5.5
    assert value(facts, "kurtosis", "low") > 0.5
    assert abs(value(facts, "autocorrelation")) < 0.06
    assert value(facts, "clustering") > value(facts, "clustering_late") > 0.0
    assert value(facts, "volume_volatility") > 0.2
    assert 0.1 < value(facts, "correlation") < 0.7


@pytest.mark.parametrize("sleeve", ["instruments", "etfs"])
def test_a_fall_makes_the_market_wild(sleeve: str) -> None:
    assert value(simulated_facts(sleeve), "market_leverage") < -0.05


def test_known_tails_and_leverage() -> None:
    random = np.random.default_rng(3)
    assert hill(random.pareto(3.0, 20_000) + 1) == pytest.approx(3.0, rel=0.1)
    assert hill(random.standard_normal(20_000)) > 4.5
    moves = random.standard_normal(4_000)
    assert abs(leverage(moves)) < 0.05
    # A fall of the day before doubles today.
    felt = moves.copy()
    felt[1:] *= np.where(moves[:-1] < 0, 2.0, 1.0)
    assert leverage(felt) < -0.05


def test_the_page_is_whole() -> None:
    text = PAGE.read_text("utf-8")
    facts = text.partition(BEGIN)[2].partition(END)[0]
    assert all(f"### `{sleeve}`" in facts for sleeve in SIZE)
    shown = {name for name in text.split() if name.endswith(".svg)")}
    drawn = list(PICTURES.glob("*.svg"))
    assert len(drawn) == len(shown) == 4
    assert all(picture.stat().st_size < 100_000 for picture in drawn)
