"""What is hidden in the embedded market can be found, and in the null market there is nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.sources import Planted, SimulatedSleeve
from quant_platform.sources.simulated.truth import planted_effects
from quant_platform_tests.sources.markets import CLEAN, FIRST, LAST, NYSE, content


def test_a_null_market_differs_in_what_is_planted_alone() -> None:
    null = replace(CLEAN, planted=Planted.none())
    days = NYSE.between(FIRST, LAST)
    assert content(null.bars(NYSE, "etfs", days)) == content(CLEAN.bars(NYSE, "etfs", days))
    mine, other = (s.bars(NYSE, "instruments", days) for s in (CLEAN, null))
    assert mine["close"].to_list() != other["close"].to_list()


def idiosyncratic(planted: Planted) -> npt.NDArray[np.float64]:
    """Daily moves of many stocks against their average, securities by sessions."""
    sleeve = SimulatedSleeve("instruments", ("stock",), 160)
    source = replace(CLEAN, sleeves=(sleeve,), planted=planted)
    bars = source.bars(NYSE, "instruments", NYSE.between(date(2016, 1, 4), date(2018, 12, 31)))
    actions = source.actions(NYSE, "instruments", NYSE.sessions)
    busy = actions.filter(pl.col("kind").is_in(["split", "stock_dividend", "spin_off"]))
    calm = bars.join(busy, on="security_id", how="anti")
    wide = calm.with_columns(
        move=pl.col("close").log().diff().over("security_id", order_by="session")
    ).pivot("session", index="security_id", values="move", sort_columns=False)
    wide = wide.sort("security_id").drop("security_id")
    sessions = sorted(wide.columns)[1:]
    moves = wide.select(sessions).drop_nulls().to_numpy()
    return moves - moves.mean(axis=0)


def reversal(moves: npt.NDArray[np.float64]) -> float:
    return float(np.mean(np.sign(moves[:, 1:]) * np.sign(moves[:, :-1])))


def test_what_is_planted_is_there_and_in_the_null_market_is_not() -> None:
    strong, none = (idiosyncratic(p) for p in (Planted(reversal=3.0), Planted.none()))
    assert reversal(strong) < -0.05
    assert abs(reversal(none)) < 0.02
    # Drifts last: what rose in two years rose in the third.
    for moves, low, high in ((idiosyncratic(Planted(momentum=5.0)), 0.25, 1.0), (none, -0.2, 0.2)):
        third = moves.shape[1] // 3
        past, future = moves[:, : 2 * third].sum(axis=1), moves[:, 2 * third :].sum(axis=1)
        assert low < np.corrcoef(past, future)[0, 1] < high


def test_a_follower_repeats_its_leader() -> None:
    def follows(planted: Planted) -> float:
        """Correlation of followers with what their leaders did the day before, on average."""
        sleeve = SimulatedSleeve("instruments", ("stock",), 160)
        source = replace(CLEAN, sleeves=(sleeve,), planted=planted)
        days = NYSE.between(date(2016, 1, 4), date(2017, 12, 29))
        bars = source.bars(NYSE, "instruments", days)
        wide = bars.pivot("security_id", index="session", values="close").sort("session")
        found = []
        for row in (
            planted_effects(source, "instruments").drop_nulls("leader").iter_rows(named=True)
        ):
            if {row["leader"], row["follower"]} <= set(wide.columns):
                pair = wide.select(row["leader"], row["follower"]).drop_nulls().to_numpy()
                moves = np.diff(np.log(pair), axis=0)
                kept = np.abs(moves).max(axis=1) < 0.1
                lagged = kept[1:] & kept[:-1]
                found.append(np.corrcoef(moves[:-1, 0][lagged], moves[1:, 1][lagged])[0, 1])
        assert len(found) > 5
        return float(np.mean(found))

    # Of ten pairs over two years: chance alone makes a correlation of some hundredths.
    planted, none = follows(Planted()), follows(Planted.none())
    assert abs(none) < 0.07
    assert planted > 0.08
    assert planted - none > 0.1


def test_what_can_be_learnt_shows_in_a_product_and_in_neither_factor() -> None:
    """The sign of the gap times that of the volume's surprise, of the day before."""

    def tells(planted: Planted) -> list[float]:
        """Correlation of own moves with both signs of the day before, and with their product."""
        sleeve = SimulatedSleeve("instruments", ("stock",), 160)
        source = replace(CLEAN, sleeves=(sleeve,), planted=planted)
        days = NYSE.between(date(2016, 1, 4), date(2018, 12, 31))
        before = pl.col("close").shift(1).over("security_id", order_by="session")
        usual = pl.col("volume").log().rolling_mean(20).over("security_id", order_by="session")
        signs = [
            (pl.col(name) - pl.col(name).mean().over("session")).sign().alias(name)
            for name in ("gap", "surprise")
        ]
        moved = (
            source.bars(NYSE, "instruments", days)
            .with_columns(
                move=(pl.col("close") / before).log(),
                gap=(pl.col("open") / before).log(),
                surprise=pl.col("volume").log() - usual,
            )
            .filter(pl.col("move").abs() < 0.1)
            .with_columns(pl.col("move") - pl.col("move").mean().over("session"), *signs)
            .with_columns(product=pl.col("gap") * pl.col("surprise"))
        )
        hints = ["gap", "surprise", "product"]
        felt = moved.with_columns(
            pl.col(hints).shift(1).over("security_id", order_by="session")
        ).drop_nulls()
        return [float(np.corrcoef(felt["move"], felt[hint])[0, 1]) for hint in hints]

    only = replace(Planted.none(), learnable=3.0)
    gap, surprise, product = tells(only)
    assert product > 0.04
    assert max(abs(gap), abs(surprise)) < 0.02
    assert max(map(abs, tells(Planted.none()))) < 0.02
