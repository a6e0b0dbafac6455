"""The settings of selection: the block ``selection`` of a sleeve's file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from quant_platform.settings.base import Identifier, SettingsModel, described, refuse
from quant_platform.settings.vetoes import VetoSettings

ScoreMode = Literal["v4", "log_mps_v3_2", "v2_1"]
Direction = Literal["long", "short"]
Component = Literal[
    "momentum",
    "stability",
    "liquidity",
    "antifragility",
    "survival",
    "efficiency",
    "entropy",
    "hurst_clean",
    "adx",
    "recommend_all",
    "recommend_ma",
    "skewness",
    "kurtosis",
    "tail",
    "composite_score",
]
"""What a score is made of; ``composite_score``, of the cross-section, only as a sleeve's signal."""


def _distinct(directions: tuple[Direction, ...]) -> tuple[Direction, ...]:
    if len(set(directions)) != len(directions):
        raise refuse(f"{directions[0]} is listed twice", expected="each direction once")
    return tuple(sorted(directions))


class StressSettings(SettingsModel):
    """What counts as a stress of the sleeve's market."""

    lookback: int = described(
        "Sessions up to the decision that are searched for the benchmark's worst windows.",
        756,
        unit="sessions",
        ge=2,
        le=2520,
    )
    window: int = described("Sessions of a window.", 21, unit="sessions", ge=2, le=252)
    loss: float = described(
        "A window counts from this loss of the benchmark on.",
        0.05,
        unit="fraction",
        gt=0.0,
        lt=1.0,
    )
    most: int = described(
        "How many windows count, the worst first; none overlaps another.",
        5,
        unit="windows",
        ge=2,
        le=50,
    )


class SecurityReference(SettingsModel):
    """A security of some sleeve."""

    sleeve: Identifier = described("Sleeve that has its returns.")
    security_id: str = described("Its stable key in that sleeve.", min_length=1)


class GoldSettings(SettingsModel):
    """Tokens that are said to follow gold, and what gold is."""

    tokens: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = described(
        "Stable keys of the tokens in the sleeve."
    )
    reference: SecurityReference = described(
        "The security that stands for gold: a perpetual on gold in the sleeve, or a fund of "
        "another sleeve, with which a token is compared on the fund's sessions."
    )


class SelectionSettings(SettingsModel):
    """How a rebalance session chooses among the candidates."""

    mode: ScoreMode = described(
        "How a score is made. v4: product of probabilities with recommendations and tails. "
        "log_mps_v3_2: the same without these. v2_1: sum of ranks, the fallback.",
        "v4",
    )
    signal: Component = described(
        "The sleeve's own signal, which dominates the score: it weighs signal_weight, and momentum "
        "momentum_weight unless it is the signal.",
        "momentum",
    )
    signal_weight: float = described("Weight of the signal.", 3.0, ge=0.0, le=100.0)
    momentum_weight: float = described(
        "Weight of momentum beside another signal.", 0.5, ge=0.0, le=100.0
    )
    directions: Annotated[
        tuple[Direction, ...], Field(strict=False, min_length=1), AfterValidator(_distinct)
    ] = described(
        "Directions in which the sleeve trades. With both, each candidate is judged in that of its "
        "momentum.",
        ("long",),
    )
    strategy: Identifier = described(
        "Strategy of the sleeve's scanners, for its fit to the regime (`fit` of regimes.yaml).",
        "trend",
    )
    strategies: dict[Identifier, Identifier] = described(
        "By scanner: its strategy, where that is another.", {}
    )
    lookback_sessions: int = described(
        "Sessions of returns that momentum and volatility are taken from. A candidate that lacks "
        "one of them is vetoed.",
        60,
        unit="sessions",
        ge=2,
        le=252,
    )
    liquid_money: float = described(
        "Money traded a session from which a candidate counts as wholly liquid.",
        500e6,
        unit="money",
        gt=0.0,
    )
    min_momentum: float = described(
        "A candidate whose return over the look-back, in the direction of the trade, is below this "
        "is vetoed.",
        -0.1,
        unit="fraction",
        ge=-1.0,
        le=1.0,
    )
    top_n_per_cluster: int = described(
        "How many of a cluster win, in each direction, best score first.",
        3,
        unit="securities",
        ge=1,
        le=1000,
    )
    dynamic_selection: bool = described(
        "Whether a cluster of names that move together gets fewer: max(1, round(N (1 - mean "
        "correlation) + 0.5)).",
        True,
    )
    winners_max: int = described(
        "Most winners of a session, best score first.", 25, unit="securities", ge=1, le=1000
    )
    winners_floor: int = described(
        "With fewer winners than this the vetoes are relaxed step by step, and who wins by that "
        "says so; 0 never relaxes.",
        15,
        unit="securities",
        ge=0,
        le=1000,
    )
    stress: StressSettings = described(
        "Which windows of the benchmark must have been survived.", StressSettings()
    )
    gold: GoldSettings | None = described("Tokens that must follow gold; none without it.", None)
    vetoes: VetoSettings = described(
        "What keeps a candidate out whatever its score.", VetoSettings()
    )

    @model_validator(mode="after")
    def _floor_fits(self) -> Self:
        if self.winners_floor > self.winners_max:
            raise refuse(
                f"winners_floor {self.winners_floor} is more than winners_max {self.winners_max}",
                expected="at most winners_max",
                mend="lower winners_floor or raise winners_max",
            )
        return self
