"""Vetoes: what keeps a candidate out whatever its score.

Each veto is asked of every candidate that it concerns, and reported with its value and threshold.
It fires when the value is on the wrong side of the threshold, and when there is no value: a gate
without evidence is closed. What cannot be asked of somebody at all is not among its vetoes:
survival of who saw too few stresses, gold of what is no gold token, announcements where nobody
tells them.

*Final* vetoes guard data and safety. No stage of the relaxation goes past them:

- ``delisted``: the value is 1 where the security left on the session itself.
- ``annual_volatility``: fraction per year, over the same sessions as momentum.
- ``roc_above``, ``roc_below``: return of the price over 9 sessions, percent.
- ``stale``: bars without volume among the last 20.
- ``metadata``: how many of tick and lot nobody told, where the source tells them of anybody.
- ``gold_fidelity``: correlation of a gold token with gold.
- ``earnings_blackout``: announcements of results near the session, as known at its cutoff.

The others may be relaxed:

- ``survival``: share of the benchmark's stresses that were survived.
- ``entropy``, ``efficiency``, ``hurst``, ``toxic``: predictability, by its place among noise or by
  itself, as the preset says. ``hurst`` is not asked of the sleeve's benchmark. The value of
  ``toxic`` is the Hurst exponent of who loses, in the direction of the trade, and 0 of who gains.
- ``kurtosis``: of a year's returns, in excess of the normal distribution.
- ``momentum``: compounded return of the look-back in the direction of the trade.
- ``eci``: annualised momentum less the impact of an order at each rebalance of a year, both ways.

Cuts are asked last, of those that nothing stopped: ``identity`` (place among those that are the
same thing in another wrapping), ``top_n_per_cluster`` (place in the cluster), ``winners_max``
(place among the winners).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from quant_platform.lakehouse.gates import Gate
from quant_platform.settings.selection import SelectionSettings
from quant_platform.settings.vetoes import Predictability

RANDOM_WALK = 0.5
"""Hurst exponent of a random walk."""

STALE = "stale"
"""Veto of idle bars; it is left out where ``idle_sessions`` is null."""

ENTROPY_OFF = 1.0
"""Entropy from which no limit is one: it cannot be larger."""

Limit = Callable[[SelectionSettings, Predictability], float]
Value = Callable[[Predictability], pl.Expr]


@dataclass(frozen=True)
class Veto(Gate):
    """A gate that is asked of each candidate.

    Parameters
    ----------
    value
        What is asked of a candidate.
    threshold
        Last value that does not fire.
    below
        Whether it fires below the threshold, and not above it.
    concerns
        Column that says of whom it is asked; everybody without one.
    final
        Whether no stage of the relaxation goes past it.
    predictability
        Whether it is one of the vetoes of predictability.
    """

    value: Value
    threshold: Limit
    below: bool = False
    concerns: str = ""
    final: bool = False
    predictability: bool = False

    def fired(self, settings: SelectionSettings, limits: Predictability) -> pl.Expr:
        """Whether it stops a candidate; false of those that it does not concern."""
        value = self.value(limits).cast(pl.Float64)
        threshold = self.threshold(settings, limits)
        beyond = value < threshold if self.below else value > threshold
        fires = beyond.fill_null(True)
        return pl.col(self.concerns) & fires if self.concerns else fires

    def asked(self, settings: SelectionSettings, limits: Predictability) -> pl.Expr:
        """Return the veto as the struct of the contract; null of those that it does not concern."""
        told = pl.struct(
            rule=pl.lit(self.name),
            fired=self.fired(settings, limits),
            value=self.value(limits).cast(pl.Float64),
            threshold=pl.lit(self.threshold(settings, limits), pl.Float64),
        )
        return pl.when(pl.col(self.concerns)).then(told) if self.concerns else told


def _column(name: str) -> Value:
    return lambda _: pl.col(name)


def _placed(name: str) -> Value:
    return lambda limits: pl.col(f"{name}_place" if limits.places else name)


def _hurst_distance(limits: Predictability) -> pl.Expr:
    """Distance from the random walk: share of noise that is nearer, or that of the exponents."""
    if limits.places:
        return (2 * pl.col("hurst_place").cast(pl.Float64) - 1).abs()
    return (pl.col("hurst").cast(pl.Float64) - RANDOM_WALK).abs()


def _of_who_loses(limits: Predictability) -> pl.Expr:
    return (
        pl.when(pl.col("momentum") < 0)
        .then(_placed("hurst")(limits))
        .when(pl.col("momentum").is_not_null())
        .then(0.0)
    )


VETOES = (
    Veto("delisted", "guard", _column("delisted"), lambda *_: 0.0, final=True),
    Veto(
        "annual_volatility",
        "guard",
        _column("annual_volatility"),
        lambda s, _: s.vetoes.annual_volatility,
        final=True,
    ),
    Veto(
        "roc_above", "guard", _column("rate_of_change"), lambda s, _: s.vetoes.roc_above, final=True
    ),
    Veto(
        "roc_below",
        "guard",
        _column("rate_of_change"),
        lambda s, _: s.vetoes.roc_below,
        below=True,
        final=True,
    ),
    Veto(
        STALE,
        "guard",
        _column("zero_volume_20"),
        lambda s, _: float(s.vetoes.idle_sessions or 0),
        final=True,
    ),
    Veto(
        "metadata",
        "guard",
        _column("untold"),
        lambda *_: 0.0,
        concerns="metadata_told",
        final=True,
    ),
    Veto(
        "gold_fidelity",
        "guard",
        _column("gold_correlation"),
        lambda s, _: s.vetoes.gold_correlation,
        below=True,
        concerns="gold_pegged",
        final=True,
    ),
    Veto(
        "earnings_blackout",
        "choice",
        _column("announcements"),
        lambda *_: 0.0,
        concerns="announcements_told",
        final=True,
    ),
    Veto(
        "survival",
        "choice",
        _column("survival"),
        lambda s, _: s.vetoes.survival,
        below=True,
        concerns="tested",
    ),
    Veto(
        "entropy",
        "choice",
        _placed("permutation_entropy"),
        lambda _, p: p.entropy,
        predictability=True,
    ),
    Veto(
        "efficiency",
        "choice",
        _placed("efficiency"),
        lambda _, p: p.efficiency,
        below=True,
        predictability=True,
    ),
    Veto(
        "hurst",
        "choice",
        _hurst_distance,
        lambda _, p: p.hurst,
        below=True,
        concerns="no_benchmark",
        predictability=True,
    ),
    Veto("toxic", "choice", _of_who_loses, lambda _, p: p.toxic, predictability=True),
    Veto("kurtosis", "guard", _column("kurtosis"), lambda s, _: s.vetoes.kurtosis),
    Veto("momentum", "choice", _column("momentum"), lambda s, _: s.min_momentum, below=True),
    Veto("eci", "choice", _column("eci_left"), lambda s, _: s.vetoes.eci_hurdle, below=True),
)
"""Every veto, in the order in which they are asked."""

NO_BAR = Gate("no_bar", "guard")
"""Why who was selected is no candidate any more: no gate, for it is asked only of whom it stops."""
IDENTITY = Gate("identity", "guard")
CLUSTER = Gate("top_n_per_cluster", "choice")
WINNERS = Gate("winners_max", "guard")
CUTS = (IDENTITY, CLUSTER, WINNERS)
"""The last questions, of those that no veto stopped."""


def asked_of(settings: SelectionSettings) -> list[Veto]:
    """Vetoes that the settings ask, in their order.

    Parameters
    ----------
    settings
        Whether predictability is asked.
    """
    own = settings.vetoes.predictability
    idle = settings.vetoes.idle_sessions is not None
    return [
        veto for veto in VETOES if (own or not veto.predictability) and (idle or veto.name != STALE)
    ]


def relaxed(limits: Predictability) -> Predictability:
    """Limits of the second stage of the relaxation.

    Places go half of the way to where they stop nobody: from q to (1 + q) / 2 above, from q to
    q / 2 below. Of the literal ones the entropy is multiplied by 1.2 and the efficiency by 0.8;
    from 0.833 on that turns the entropy's off.

    Parameters
    ----------
    limits
        Those of the first stage.
    """
    if limits.places:
        return replace(
            limits,
            entropy=(1 + limits.entropy) / 2,
            toxic=(1 + limits.toxic) / 2,
            efficiency=limits.efficiency / 2,
            hurst=limits.hurst / 2,
        )
    return replace(limits, entropy=limits.entropy * 1.2, efficiency=limits.efficiency * 0.8)


def any_fired(
    vetoes: Sequence[Veto], settings: SelectionSettings, limits: Predictability
) -> pl.Expr:
    """Whether one of some vetoes stops a candidate.

    Parameters
    ----------
    vetoes
        The vetoes.
    settings, limits
        Their thresholds. An entropy that cannot be reached stops nobody.
    """
    fired = [
        veto.fired(settings, limits)
        for veto in vetoes
        if not (veto.name == "entropy" and limits.entropy >= ENTROPY_OFF)
    ]
    return pl.any_horizontal(fired) if fired else pl.lit(value=False)


def first_fired(asked: Sequence[pl.Expr]) -> pl.Expr:
    """Name of the first gate that fired; null when none did."""
    return pl.coalesce(
        pl.when(veto.struct.field("fired")).then(veto.struct.field("rule")) for veto in asked
    )
