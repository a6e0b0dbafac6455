"""The plan: which sessions of which tables are stale, before anything runs.

A stored partition is *current* when its file is there and its inputs, its code and its settings are
those that made it. Stages are looked at upstream first; a session that reads a stale session of an
input is stale as well, because that input may come out different.

A *record* (the account) is no computation that may be had again: what its sessions say was sent and
filled was sent and filled. They are kept, whatever settings, code and other inputs say now, up to
the first session that does not stand: one that is missing or damaged, from which no later session
could be carried on, or that continues other rows of the record than are stored. From there on it is
planned like every table. Only ``force`` makes again what stands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from quant_platform.lakehouse.inputs import NOTHING, input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.making import carried_hashes
from quant_platform.orchestration.stage import Stage, calls


@dataclass(frozen=True)
class RecordPlan:
    """What a plan does with a record.

    Parameters
    ----------
    job
        Job that makes it.
    kept
        Sessions that are kept although settings, code or inputs have changed since, ascending.
    again
        Stored sessions that are made again all the same, ascending.
    cause
        Why they are, as a sentence; empty if there is none.
    last
        Last stored session.
    """

    job: str
    kept: tuple[date, ...]
    again: tuple[date, ...]
    cause: str
    last: date | None


@dataclass(frozen=True)
class Plan:
    """What a backfill will run, and what it leaves as it was.

    Parameters
    ----------
    chunks
        Runs, in the order in which they must run.
    record
        The record; None where the plan has none, or makes it again by force.
    """

    chunks: list[Chunk]
    record: RecordPlan | None = None


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
    *,
    keep: bool = True,
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
    keep
        Whether the sessions of a record that stand are kept.
    """
    stale: dict[str, set[date]] = dict(upstream or {})
    broken = first_broken(lake, stages, wanted.last) if keep else None
    for together in calls(stages):
        first = together[0]
        active = [session for session in wanted.sessions if session >= first.first_day]
        found = _stale_active(lake, together, first.range_of(active), stale) if active else set()
        if keep and first.record:
            found = {day for day in found if broken is not None and day >= broken[0]}
        for stage in together:
            rows = lake.log(stage.table).latest()
            # What is stored from before a first day that was moved must become empty.
            leftover = {s for s in wanted.sessions if s < first.first_day and s in rows}
            stale[stage.table] = found | {s for s in leftover if rows[s].rows}
    return {stage.table: stale[stage.table] for stage in stages}


def first_broken(lake: Lake, stages: Sequence[Stage], last: date) -> tuple[date, str] | None:
    """Find the first session of a record that does not stand, and say why.

    Parameters
    ----------
    lake
        The lake.
    stages
        Stages of one job; those that are part of its record are looked at.
    last
        Last session to look at.
    """
    found: list[tuple[date, str]] = []
    for together in calls([stage for stage in stages if stage.record]):
        first = together[0]
        sessions = first.calendar.between(first.first_day, last)
        if not sessions:
            continue
        carried = carried_hashes(lake, first, first.range_of(sessions))
        for stage in together:
            missed = missed_sessions(lake, stage, sessions)
            told = (
                (session, _why_broken(lake, stage, session, carried[session]))
                for session in sessions
                if session not in missed
            )
            found += [(s, f"{stage.table} of {s} {why}") for s, why in told if why][:1]
    return min(found, default=None)


def _why_broken(lake: Lake, stage: Stage, session: date, carried: str) -> str:
    """Say why a session of a table of a record does not stand; empty if it does."""
    entry = lake.log(stage.table).latest().get(session)
    if entry is None or entry.input_hash == NOTHING:
        return "is missing"
    if not lake.store(stage.table).intact(entry):
        return "is damaged or gone"
    if entry.verdict == "blocked" and any(
        window.own and window.required and window.table == stage.table
        for window in stage.windows.values()
    ):
        return "is blocked"
    if entry.carried_hash not in ("", carried):
        return "continues other rows than are stored now"
    return ""


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
) -> Plan:
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
        Whether to make current sessions again, and those of a record.
    """
    chunks = []
    record: RecordPlan | None = None
    stale: dict[str, set[date]] = {}
    for job, stages in jobs.items():
        sessions = stages[0].calendar.between(first, last)
        if not sessions:
            continue
        wanted = stages[0].range_of(sessions)
        found = stale_sessions(lake, stages, wanted, stale)
        if any(stage.record for stage in stages) and not force:
            record = _record_plan(lake, job, stages, wanted, stale | found)
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
    return Plan(chunks, record)


def _record_plan(
    lake: Lake,
    job: str,
    stages: Sequence[Stage],
    wanted: SessionRange,
    stale: Mapping[str, set[date]],
) -> RecordPlan:
    """Say what becomes of the record in a range of a job, given what is stale."""
    recorded = [stage for stage in stages if stage.record]
    usual = stale_sessions(lake, recorded, wanted, stale, keep=False)
    kept, again, stored = set[date](), set[date](), set[date]()
    for stage in recorded:
        made = {s for s, e in lake.log(stage.table).latest().items() if e.input_hash != NOTHING}
        stored |= made
        kept |= usual[stage.table] - stale[stage.table]
        again |= stale[stage.table] & made
    broken = first_broken(lake, recorded, wanted.last)
    return RecordPlan(
        job,
        tuple(sorted(kept)),
        tuple(sorted(again)),
        broken[1] if broken is not None else "",
        max(stored, default=None),
    )


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
