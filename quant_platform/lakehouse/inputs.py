"""What a range of a table stands on: which sessions can be made, and what identifies their inputs.

Both follow from the declared windows and the provenance logs of the inputs. A session whose window
holds a session that was never materialised cannot be made; one whose window holds a blocked session
is blocked; any other is made, and its *input hash* names every partition that a run of it alone
would read, and the interval of knowledge that belongs to the session. The last is what makes a
stored partition current or stale; the interval moves when a closure is declared, and the session
after it must be asked for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window

NOTHING = "nothing"
"""Input hash of a session before the first day of its table: it is empty, whatever there is."""

_ABSENT = "absent"
_BLOCKED = "blocked"
_MISSING = "{table} has no {session}"
_WITHDRAWN = "{table} of {session} is blocked"


@dataclass(frozen=True)
class Readiness:
    """Which sessions of a range cannot be made.

    Parameters
    ----------
    missing
        Session → what is missing, as a sentence.
    blocked
        Session → what blocks it, as a sentence.
    """

    missing: Mapping[date, str]
    blocked: Mapping[date, str]


def readiness(lake: Lake, windows: Mapping[str, Window], wanted: SessionRange) -> Readiness:
    """Find the sessions of a range that lack an input or stand on a blocked one.

    Parameters
    ----------
    lake
        Lake that holds the inputs.
    windows
        Windows on the inputs, by argument name.
    wanted
        Range to make.
    """
    missing: dict[date, str] = {}
    blocked: dict[date, str] = {}
    # Other tables before the table itself, and the first cause stands: the causes of a range are
    # those of its single days.
    for window in sorted(windows.values(), key=lambda window: window.own):
        if not window.required:
            continue
        entries = lake.log(window.table).latest()
        loaded = wanted.loaded(window)
        present = set(lake.present(window.table, loaded))
        absent = set(loaded) - present
        withdrawn = {day for day in present if entries[day].verdict == _BLOCKED}
        missing = _spread(window, wanted, absent, _MISSING, missing)
        if window.withdraws:
            blocked = _spread(window, wanted, withdrawn, _WITHDRAWN, blocked)
    return Readiness(missing, blocked)


def _spread(
    window: Window,
    wanted: SessionRange,
    bad: Collection[date],
    sentence: str,
    causes: Mapping[date, str],
) -> dict[date, str]:
    """Add to the causes the output sessions that depend on bad sessions of one input."""
    culprits = {
        session: culprit
        for session, (culprit, _) in wanted.spoilt(window, dict.fromkeys(bad, "")).items()
    }
    first = min({*culprits, *causes}, default=None)
    if window.own and first is not None:
        # A carried state cannot skip a session: each after the first stands on the one before it.
        days = wanted.sessions[wanted.sessions.index(first) :]
        culprits = {first: culprits.get(first, first)} | {d: before for before, d in pairwise(days)}
    told = {
        session: sentence.format(table=window.table, session=culprit)
        for session, culprit in culprits.items()
    }
    return dict(sorted((told | dict(causes)).items()))


def input_hashes(
    lake: Lake,
    windows: Mapping[str, Window],
    wanted: SessionRange,
    own_content: Mapping[str, Mapping[date, str]] | None = None,
    grid: Collection[date] = (),
) -> dict[date, str]:
    """Hash, for each session of a range, the inputs that a run of it alone would read.

    Parameters
    ----------
    lake
        Lake that holds the inputs.
    windows
        Windows on the inputs, by argument name.
    wanted
        Range of the output.
    own_content
        By table that is carried from session to session: content hash, or ``blocked``, of the
        sessions of the range that have just been made. Stored ones are taken from the log
        otherwise.
    grid
        Sessions on which the table decides: a closure that is declared later moves them.
    """
    digests = {
        session: hashlib.sha256(_knowledge_interval(wanted.calendar, session).encode())
        for session in wanted.sessions
    }
    for session in digests.keys() & set(grid):
        digests[session].update(b"decides\n")
    for name, window in sorted(windows.items()):
        bounds = {session: wanted.bounds(window, session) for session in wanted.sessions}
        first = min(begin for begin, _ in bounds.values())
        days = wanted.axis(window).sessions[first : bounds[wanted.last][1] + 1]
        tokens = _tokens(lake, window, days, (own_content or {}).get(window.table, {}))
        whole = window.lookback >= ALL_HISTORY
        history, reached = hashlib.sha256(), 0
        for session, digest in digests.items():
            begin = bounds[session][0] - first
            end = max(bounds[session][1] - first, -1)
            digest.update(f"{name}:{window.table}\n".encode())
            if whole:
                # Every session reads from the beginning: one running hash serves them all.
                history.update("".join(tokens[reached : end + 1]).encode())
                reached = max(reached, end + 1)
                digest.update(history.digest())
            else:
                digest.update("".join(tokens[begin : end + 1]).encode())
    return {session: digest.hexdigest() for session, digest in digests.items()}


def _tokens(
    lake: Lake, window: Window, days: Sequence[date], fresh: Mapping[date, str]
) -> list[str]:
    """Say of each session of an input what it holds."""
    entries = lake.log(window.table).latest()
    tokens = []
    for session in days:
        content = fresh.get(session)
        if content is None:
            entry = entries.get(session)
            content = _ABSENT if entry is None else entry.content_hash
            if entry is not None and entry.verdict == _BLOCKED:
                content = _BLOCKED
        tokens.append(f"{session.isoformat()}={content}\n")
    return tokens


def _knowledge_interval(calendar: SessionCalendar, session: date) -> str:
    """Say what belongs to a session: known after the cutoff before it and up to its own."""
    position = calendar.ordinal(session)
    after = calendar.cutoff(calendar.sessions[position - 1]).isoformat() if position else "ever"
    return f"known after {after} up to {calendar.cutoff(session).isoformat()}\n"
