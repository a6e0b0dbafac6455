"""Transition smoothing: a label changes when enough consecutive sessions say so.

Labels are ordered by severity, RISK_ON < NEUTRAL < RISK_OFF < STRESSED. With the raw labels of the
latest sessions, today's last:

1. The worst label that each of the last ``worsen_after`` sessions is at least as bad as is the
   mildest of them. If it is worse than the confirmed label, it is confirmed.
2. The best label that each of the last ``improve_after`` sessions is at most as bad as is the worst
   of them. If it is better than the confirmed label, it is confirmed.
3. Otherwise the confirmed label holds. A raw series that alternates between two labels every
   session therefore never flips: it settles on the milder of two bad ones after two sessions, on
   the worse of two good ones after five, and stays there.
4. Before the first confirmation the label is NEUTRAL and unconfirmed; the same two rules then also
   confirm NEUTRAL itself.

A session without a raw label speaks for nothing and interrupts every count. After ``improve_after``
of them a label better than NEUTRAL has lost its evidence: it falls back to NEUTRAL, unconfirmed. A
worse one holds, for nothing spoke against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from quant_platform.settings.regimes import RegimeLabel, SmoothingSettings

LABELS: tuple[RegimeLabel, ...] = ("RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED")
"""All labels by severity."""

_SEVERITY = {label: severity for severity, label in enumerate(LABELS)}


@dataclass(frozen=True)
class Smoothed:
    """The label in force after a session.

    Parameters
    ----------
    label
        Last confirmed label; NEUTRAL before the first.
    confirmed
        Whether any label was confirmed yet.
    candidate
        Label that the latest sessions speak for but have not confirmed; None for none.
    streak
        Consecutive sessions, today's included, that speak for the candidate.
    """

    label: RegimeLabel = "NEUTRAL"
    confirmed: bool = False
    candidate: RegimeLabel | None = None
    streak: int = 0


def smoothing_memory(settings: SmoothingSettings) -> int:
    """Sessions before today whose raw labels matter; at least the one that holds the label."""
    return max(settings.worsen_after, settings.improve_after, 2) - 1


def smoothed(
    before: Smoothed, raw: Sequence[RegimeLabel | None], settings: SmoothingSettings
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
    """
    severities = [None if label is None else _SEVERITY[label] for label in raw]
    severities = severities[-smoothing_memory(settings) - 1 :]
    held = _SEVERITY[before.label]
    # Unconfirmed, NEUTRAL is as good as any other label that has yet to be confirmed.
    margin = 1 if before.confirmed else 0
    recent = _latest(severities, settings.worsen_after)
    if recent and min(recent) >= held + margin:
        return _waiting(min(recent), severities, confirmed=True)
    recent = _latest(severities, settings.improve_after)
    if recent and max(recent) <= held - margin:
        return _waiting(max(recent), severities, confirmed=True)
    silent = severities[-settings.improve_after :]
    if len(silent) == settings.improve_after and all(severity is None for severity in silent):
        # Risk that nothing speaks for any more is not taken: a gate without evidence is closed.
        return before if held >= _SEVERITY["NEUTRAL"] else Smoothed()
    return _waiting(held, severities, confirmed=before.confirmed)


def _latest(severities: Sequence[int | None], count: int) -> list[int]:
    """Return the last ``count`` severities; none where one of them is lacking."""
    known = [severity for severity in severities[-count:] if severity is not None]
    return known if len(known) == count else []


def _waiting(held: int, severities: Sequence[int | None], *, confirmed: bool) -> Smoothed:
    """Return the label in force together with what the latest sessions speak for."""
    today = severities[-1]
    if today is None or (today == held and confirmed):
        return Smoothed(LABELS[held], confirmed)
    if today < held:
        run = list(takewhile(lambda s: s is not None and s < held, reversed(severities)))
        candidate = max(s for s in run if s is not None)
    else:
        least = held + 1 if today > held else held
        run = list(takewhile(lambda s: s is not None and s >= least, reversed(severities)))
        candidate = min(s for s in run if s is not None)
    return Smoothed(LABELS[held], confirmed, LABELS[candidate], len(run))
