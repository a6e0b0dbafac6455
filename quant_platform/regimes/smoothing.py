"""Transition smoothing: a label changes when enough consecutive sessions say so.

The labels of a ladder are ordered by severity, RISK_ON < NEUTRAL < RISK_OFF < STRESSED for example.
With the raw labels of the latest sessions, today's last:

1. The worst label that each of the last ``worsen_after`` sessions is at least as bad as is the
   mildest of them. If it is worse than the confirmed label, it is confirmed.
2. The best label that each of the last ``improve_after`` sessions is at most as bad as is the worst
   of them. If it is better than the confirmed label, it is confirmed.
3. Otherwise the confirmed label holds. A raw series that alternates between two labels every
   session therefore never flips: it settles on the milder of two bad ones after two sessions, on
   the worse of two good ones after five, and stays there.
4. Before the first confirmation the label is the ladder's neutral one and unconfirmed; the same two
   rules then also confirm the neutral one itself.

A session without a raw label speaks for nothing and interrupts every count. After ``improve_after``
of them a label better than the neutral one has lost its evidence: it falls back to the neutral one,
unconfirmed. A worse one holds, for nothing spoke against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from quant_platform.settings.regimes import SmoothingSettings


@dataclass(frozen=True)
class Ladder:
    """Labels of one kind, by severity.

    Parameters
    ----------
    labels
        The mildest first.
    neutral
        The label in force before any was confirmed.
    """

    labels: tuple[str, ...]
    neutral: str

    @cached_property
    def severity(self) -> dict[str, int]:
        """Place of each label, the mildest at 0."""
        return {label: place for place, label in enumerate(self.labels)}

    @property
    def unconfirmed(self) -> Smoothed:
        """What is in force before the first confirmation."""
        return Smoothed(self.neutral)


@dataclass(frozen=True)
class Smoothed:
    """The label in force after a session.

    Parameters
    ----------
    label
        Last confirmed label; the neutral one before the first.
    confirmed
        Whether any label was confirmed yet.
    candidate
        Label that the latest sessions speak for but have not confirmed; None for none.
    streak
        Consecutive sessions, today's included, that speak for the candidate.
    """

    label: str
    confirmed: bool = False
    candidate: str | None = None
    streak: int = 0


REGIMES = Ladder(("RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED"), "NEUTRAL")
"""Labels of the models E1 and E2."""
QUADRANTS = Ladder(("EXPANSION", "NORMAL", "INFLATIONARY", "STAGNATION", "CRISIS"), "NORMAL")
"""Growth under stress is milder than none without it: the former still pays for the risk."""
MARKET_STATES = Ladder(("bull_low_vol", "sideways", "bear_high_vol"), "sideways")
VOLATILITY_STATES = Ladder(("QUIET", "NORMAL", "TURBULENT", "CRISIS"), "NORMAL")


def smoothing_memory(settings: SmoothingSettings) -> int:
    """Sessions before today whose raw labels matter; at least the one that holds the label."""
    return max(settings.worsen_after, settings.improve_after, 2) - 1


def smoothed(
    before: Smoothed,
    raw: Sequence[str | None],
    settings: SmoothingSettings,
    ladder: Ladder = REGIMES,
) -> Smoothed:
    """Return the label in force after a session.

    Parameters
    ----------
    before
        Label in force after the session before.
    raw
        Raw labels of the latest sessions, oldest first, today's last; more than
        `smoothing_memory` + 1 of them change nothing.
    settings
        How many sessions confirm.
    ladder
        The labels.
    """
    severity = ladder.severity
    severities = [None if label is None else severity[label] for label in raw]
    severities = severities[-smoothing_memory(settings) - 1 :]
    held = severity[before.label]
    # Unconfirmed, the neutral label is as good as any other that has yet to be confirmed.
    margin = 1 if before.confirmed else 0
    recent = _latest(severities, settings.worsen_after)
    if recent and min(recent) >= held + margin:
        return _waiting(ladder, min(recent), severities, confirmed=True)
    recent = _latest(severities, settings.improve_after)
    if recent and max(recent) <= held - margin:
        return _waiting(ladder, max(recent), severities, confirmed=True)
    silent = severities[-settings.improve_after :]
    if len(silent) == settings.improve_after and all(said is None for said in silent):
        # Risk that nothing speaks for any more is not taken: a gate without evidence is closed.
        return before if held >= severity[ladder.neutral] else ladder.unconfirmed
    return _waiting(ladder, held, severities, confirmed=before.confirmed)


def _latest(severities: Sequence[int | None], count: int) -> list[int]:
    """Return the last ``count`` severities; none where one of them is lacking."""
    known = [severity for severity in severities[-count:] if severity is not None]
    return known if len(known) == count else []


def _waiting(
    ladder: Ladder, held: int, severities: Sequence[int | None], *, confirmed: bool
) -> Smoothed:
    """Return the label in force together with what the latest sessions speak for."""
    labels, today = ladder.labels, severities[-1]
    if today is None or (today == held and confirmed):
        return Smoothed(labels[held], confirmed)
    if today < held:
        run = list(takewhile(lambda s: s is not None and s < held, reversed(severities)))
        candidate = max(s for s in run if s is not None)
    else:
        least = held + 1 if today > held else held
        run = list(takewhile(lambda s: s is not None and s >= least, reversed(severities)))
        candidate = min(s for s in run if s is not None)
    return Smoothed(labels[held], confirmed, labels[candidate], len(run))
