"""The settings of vetoes: the block ``selection.vetoes`` of a sleeve's file, and its presets.

A preset says in which unit predictability is judged, and where the limits lie. ``calibrated``
judges the place of a statistic among noise of the same length. The ``literal`` ones judge the
statistic itself, as older specifications wrote it: permutation entropy of 120 values of noise
averages 0.88, so that a limit of 0.95 hardly stops anybody, and an efficiency below 0.10 is what
most noise has. They are kept to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from quant_platform.settings.base import SettingsModel, described

VetoPreset = Literal["calibrated", "literal_tradfi", "literal_crypto", "literal_crypto_short_cycle"]
ImpactModel = Literal["sqrt_vol", "annual"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True)
class Predictability:
    """What a preset judges predictability by.

    Parameters
    ----------
    places
        Whether limits are places among noise; they are values of the statistics otherwise.
    entropy
        Entropy above which nothing but noise is left.
    efficiency
        Efficiency below which a price goes nowhere.
    hurst
        Distance of the Hurst exponent from that of a random walk below which it is one.
    toxic
        Hurst exponent above which a loss lasts.
    impact
        How trading costs are reckoned in the ECI.
    """

    places: bool
    entropy: float
    efficiency: float
    hurst: float
    toxic: float
    impact: ImpactModel


def _literal(entropy: float) -> Predictability:
    """Limits of the older specifications: they differ in the entropy alone."""
    # The zone 0.48 to 0.52 reaches 0.02 to either side of the random walk.
    return Predictability(False, entropy, 0.10, 0.02, 0.55, "annual")


PRESETS: dict[VetoPreset, Predictability] = {
    "calibrated": Predictability(True, 0.90, 0.10, 0.10, 0.90, "sqrt_vol"),
    "literal_tradfi": _literal(0.950),
    "literal_crypto": _literal(0.999),
    "literal_crypto_short_cycle": _literal(0.995),
}
"""Chapter 04 of the specification. It has no calibrated limit of toxic persistence: a Hurst
exponent above that of nine tenths of noise is one, the counterpart of the others."""


class VetoSettings(SettingsModel):
    """What keeps a candidate out whatever its score."""

    preset: VetoPreset = described(
        "calibrated judges predictability by its place among noise, and trading costs by the one "
        "impact function; the others are the limits of older specifications, to compare with.",
        "calibrated",
    )
    predictability: bool = described(
        "Whether entropy, efficiency, Hurst exponent and toxic persistence are asked.", True
    )
    entropy: Share | None = described(
        "Limit of the entropy, in the unit of the preset; without it that of the preset.", None
    )
    efficiency: Share | None = described("Limit of the efficiency, likewise: less is vetoed.", None)
    hurst: Share | None = described(
        "Limit of the Hurst exponent's distance from the random walk, likewise: less is vetoed. "
        "The sleeve's benchmark is exempt.",
        None,
    )
    toxic: Share | None = described(
        "Limit of the Hurst exponent of a candidate that loses, likewise: more is vetoed.", None
    )
    survival: Share = described(
        "Share of the stress windows that must have been survived; not asked of who saw fewer than "
        "two.",
        0.1,
    )
    kurtosis: float = described("Largest excess kurtosis of a year's returns.", 20.0, ge=-2.0)
    annual_volatility: float = described(
        "A candidate above this annualised volatility is vetoed; so is one without a figure.",
        2.5,
        unit="fraction per year",
        ge=0.0,
        le=100.0,
    )
    roc_above: float = described("Largest rise over 9 sessions.", 100.0, unit="percent", ge=-100.0)
    roc_below: float = described(
        "Deepest fall over 9 sessions.", -80.0, unit="percent", ge=-100.0, le=0.0
    )
    idle_sessions: int | None = described(
        "Most bars without volume among the last 20; more are stale, and so is who has no 20 yet. "
        "null does not ask, for a history that is shorter.",
        5,
        unit="bars",
        ge=0,
        le=20,
    )
    eci_order: float = described(
        "Order whose impact is reckoned at each rebalance of a year.", 1e6, unit="money", gt=0.0
    )
    eci_hurdle: float = described(
        "What the annualised momentum must leave after that impact.",
        0.02,
        unit="fraction per year",
        ge=-100.0,
        le=100.0,
    )
    gold_correlation: float = described(
        "Least correlation of a gold-pegged token with gold.", 0.90, ge=-1.0, le=1.0
    )
    blackout_before: int = described(
        "Sessions before an announcement of results from which nothing is bought.",
        3,
        unit="sessions",
        ge=0,
        le=63,
    )
    blackout_after: int = described(
        "Sessions after it until which nothing is.", 1, unit="sessions", ge=0, le=63
    )

    @property
    def limits(self) -> Predictability:
        """Limits of predictability: those of the preset, less what is said here."""
        told = {name: getattr(self, name) for name in ("entropy", "efficiency", "hurst", "toxic")}
        changed = {name: limit for name, limit in told.items() if limit is not None}
        return replace(PRESETS[self.preset], **changed)
