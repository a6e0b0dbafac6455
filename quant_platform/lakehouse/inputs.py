"""What a range of a table stands on: which sessions can be made, and what identifies their inputs.

Both follow from the declared windows and the provenance logs of the inputs. A session whose window
holds a session that was never materialised cannot be made; one whose window holds a blocked session
is blocked; any other is made, and its *input hash* names every partition that a run of it alone
would read. The last is what makes a stored partition current or stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange, Window

_ABSENT = "absent"
_BLOCKED = "blocked"


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
    for window in windows.values():
        entries = lake.log(window.table).latest()
        loaded = wanted.loaded(window)
        present = set(lake.present(window.table, loaded))
        absent = {
            session: f"{window.table} has no {session}"
            for session in loaded
            if session not in present
        }
        withdrawn = {
            session: f"{window.table} of {session} is blocked"
            for session in present
            if entries[session].verdict == _BLOCKED
        }
        if window.required:
            missing |= _spread(window, wanted, absent)
        blocked |= _spread(window, wanted, withdrawn)
    return Readiness(missing, blocked)


def _spread(window: Window, wanted: SessionRange, bad: Mapping[date, str]) -> dict[date, str]:
    """Carry bad input sessions to the output sessions that depend on them."""
    spoilt = {session: cause for session, (_, cause) in wanted.spoilt(window, bad).items()}
    if window.own and spoilt:
        # A carried state cannot skip a session: everything after the first stands on it.
        first, cause = next(iter(spoilt.items()))
        spoilt = {session: cause for session in wanted.sessions if session >= first}
    return spoilt


def input_hashes(
    lake: Lake,
    windows: Mapping[str, Window],
    wanted: SessionRange,
    own_content: Mapping[date, str] | None = None,
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
        For a table that depends on itself: content hash, or ``blocked``, of the sessions of the
        range that have just been made. Stored ones are taken from the log otherwise.
    """
    digests = {session: hashlib.sha256() for session in wanted.sessions}
    for name, window in sorted(windows.items()):
        first = wanted.bounds(window, wanted.first)[0]
        last = wanted.calendar.ordinal(wanted.last)
        entries = lake.log(window.table).latest()
        fresh = own_content if window.own and own_content is not None else {}
        tokens = []
        for session in wanted.calendar.sessions[first : last + 1]:
            content = fresh.get(session)
            if content is None:
                entry = entries.get(session)
                content = _ABSENT if entry is None else entry.content_hash
                if entry is not None and entry.verdict == _BLOCKED:
                    content = _BLOCKED
            tokens.append(f"{session.isoformat()}={content}")
        for session, digest in digests.items():
            begin, end = wanted.bounds(window, session)
            digest.update(f"{name}:{window.table}\n".encode())
            digest.update("\n".join(tokens[begin - first : end - first + 1]).encode())
    return {session: digest.hexdigest() for session, digest in digests.items()}
