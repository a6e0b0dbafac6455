"""The plan: which sessions of which tables are stale, before anything runs.

A stored partition is *current* when its file is there and its inputs, its code and its settings are
those that made it. Stages are looked at upstream first; a session that reads a stale session of an
input is stale as well, because that input may come out different.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from quant_platform.lakehouse.inputs import input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.stage import Stage, calls


@dataclass(frozen=True)
class Chunk:
    """Sessions of one job that one run will make.

    Parameters
    ----------
    job
        Name of the job.
    stages
        Stages with at least one stale session, upstream first.
    sessions
        All sessions from the first stale one to the last.
    stale
        How many partitions of these are stale.
    """

    job: str
    stages: tuple[Stage, ...]
    sessions: tuple[date, ...]
    stale: int

    @property
    def partitions(self) -> int:
        """Partitions that the run will make."""
        return len(self.stages) * len(self.sessions)


def stale_sessions(
    lake: Lake,
    stages: Sequence[Stage],
    wanted: SessionRange,
    upstream: Mapping[str, set[date]] | None = None,
) -> dict[str, set[date]]:
    """Find the stale sessions of each stage in a range.

    Parameters
    ----------
    lake
        The lake.
    stages
        Stages of one calendar, upstream first.
    wanted
        Range to look at.
    upstream
        Stale sessions of other tables that these read.
    """
    stale: dict[str, set[date]] = dict(upstream or {})
    for together in calls(stages):
        first = together[0]
        active = [session for session in wanted.sessions if session >= first.first_day]
        found = _stale_active(lake, together, first.range_of(active), stale) if active else set()
        for stage in together:
            rows = lake.log(stage.table).latest()
            # What is stored from before a first day that was moved must become empty.
            leftover = {s for s in wanted.sessions if s < first.first_day and s in rows}
            stale[stage.table] = found | {s for s in leftover if rows[s].rows}
    return {stage.table: stale[stage.table] for stage in stages}


def _stale_active(
    lake: Lake, together: Sequence[Stage], wanted: SessionRange, stale: Mapping[str, set[date]]
) -> set[date]:
    """Sessions of one call that must be made, from its first day on."""
    first = together[0]
    hashes = input_hashes(lake, first.windows, wanted, grid=first.grid)
    found = set[date]().union(*(_outdated(lake, stage, wanted, hashes) for stage in together))
    # Other tables before the table itself, whose chain begins at the first stale session.
    for window in sorted(first.windows.values(), key=lambda window: window.own):
        found |= wanted.readers(window, found if window.own else stale.get(window.table, ()))
        if window.own and found:
            found = {session for session in wanted.sessions if session >= min(found)}
    return found - missed_sessions(lake, first, wanted.sessions)


def _outdated(
    lake: Lake, stage: Stage, wanted: SessionRange, hashes: Mapping[date, str]
) -> set[date]:
    """Sessions of a table that are absent, damaged, or made by something else than would now be."""
    entries = lake.log(stage.table).latest()
    store = lake.store(stage.table)
    code, config = stage.code_version, stage.config_hash
    return {
        session
        for session in wanted.sessions
        if session not in entries
        or not entries[session].made_by(hashes[session], code, config)
        or not store.intact(entries[session])
    }


def missed_sessions(lake: Lake, stage: Stage, sessions: Sequence[date]) -> set[date]:
    """Sessions of a table of acts at whose time nothing was done.

    The chain went on without them: what they are made from has the session after them as well, and
    from a later run. A run that made both was interrupted before it came to the acts, and they are
    made by the next.

    Parameters
    ----------
    lake
        The lake.
    stage
        Stage of the table; nothing else than acts can be missed.
    sessions
        Sessions to look at, ascending.
    """
    if not stage.acts:
        return set()
    done = lake.log(stage.table).latest()
    missed = set[date]()
    for window in stage.windows.values():
        made = lake.log(window.table).latest()
        for session in sessions:
            after = made.get(stage.calendar.offset(session, 1))
            if session in done or session not in made or after is None:
                continue
            if after.stamp.run_id != made[session].stamp.run_id:
                missed.add(session)
    return missed


def plan_chunks(
    lake: Lake,
    jobs: Mapping[str, Sequence[Stage]],
    first: date,
    last: date,
    *,
    chunk: int,
    force: bool = False,
) -> list[Chunk]:
    """Cut the stale part of a range into runs, in the order in which they must run.

    Parameters
    ----------
    lake
        The lake.
    jobs
        Stages by job.
    first, last
        Range; neither need be a session.
    chunk
        Sessions of one run at the most.
    force
        Whether to make current sessions again.
    """
    chunks = []
    stale: dict[str, set[date]] = {}
    for job, stages in jobs.items():
        sessions = stages[0].calendar.between(first, last)
        if not sessions:
            continue
        found = stale_sessions(lake, stages, stages[0].range_of(sessions), stale)
        if force:
            for stage in stages:
                found[stage.table] |= {day for day in sessions if day >= stage.first_day}
        stale |= found
        for part in _parts(sessions, chunk, _cuts(lake, stages, sessions, force=force)):
            touched = sorted({day for day in part if any(day in s for s in found.values())})
            if touched:
                needed = [s for s in stages if not found[s.table].isdisjoint(part)]
                chunks.append(
                    Chunk(
                        job,
                        tuple(needed),
                        tuple(day for day in part if touched[0] <= day <= touched[-1]),
                        sum(len(found[s.table].intersection(part)) for s in needed),
                    )
                )
    return chunks


def _cuts(
    lake: Lake, stages: Sequence[Stage], sessions: Sequence[date], *, force: bool
) -> set[date]:
    """Days at which a new run begins: all sessions of a run are made of all of its tables.

    A table that begins later is not made before its first day. Acts that were missed are not made
    up, and the session after them must find them absent: theirs is a run of its own.
    """
    cuts = {stage.first_day for stage in stages}
    for stage in stages if not force else ():
        for session in missed_sessions(lake, stage, sessions):
            cuts |= {session, stage.calendar.offset(session, 1)}
    return cuts


def _parts(sessions: Sequence[date], chunk: int, beginnings: Collection[date]) -> list[list[date]]:
    """Cut a range into runs."""
    parts: list[list[date]] = []
    for session in sessions:
        begins = bool(parts) and any(parts[-1][-1] < day <= session for day in beginnings)
        if not parts or begins or len(parts[-1]) == chunk:
            parts.append([])
        parts[-1].append(session)
    return parts
