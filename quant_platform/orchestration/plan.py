"""The plan: which sessions of which tables are stale, before anything runs.

A stored partition is *current* when its file is there and its inputs, its code and its settings are
those that made it. Stages are looked at upstream first; a session that reads a stale session of an
input is stale as well, because that input may come out different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from quant_platform.lakehouse.inputs import input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.stage import Stage


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
    lake: Lake, stages: Sequence[Stage], wanted: SessionRange
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
    """
    stale: dict[str, set[date]] = {}
    for stage in stages:
        entries = lake.log(stage.table).latest()
        store = lake.store(stage.table)
        hashes = input_hashes(lake, stage.windows, wanted)
        code, config = stage.code_version, stage.config_hash
        found = {
            session
            for session in wanted.sessions
            if session not in entries
            or not entries[session].made_by(hashes[session], code, config)
            or not store.intact(entries[session])
        }
        # Other tables before the table itself, whose chain begins at the first stale session.
        for window in sorted(stage.windows.values(), key=lambda window: window.own):
            upstream = found if window.own else stale.get(window.table, set())
            found |= wanted.readers(window, upstream)
            if window.own and found:
                first = min(found)
                found = {session for session in wanted.sessions if session >= first}
        stale[stage.table] = found
    return stale


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
    for job, stages in jobs.items():
        sessions = stages[0].calendar.between(first, last)
        if not sessions:
            continue
        stale = (
            {stage.table: set(sessions) for stage in stages}
            if force
            else stale_sessions(lake, stages, stages[0].range_of(sessions))
        )
        for start in range(0, len(sessions), chunk):
            part = sessions[start : start + chunk]
            touched = sorted({day for day in part if any(day in s for s in stale.values())})
            if touched:
                needed = [s for s in stages if not stale[s.table].isdisjoint(part)]
                chunks.append(
                    Chunk(
                        job,
                        tuple(needed),
                        tuple(day for day in part if touched[0] <= day <= touched[-1]),
                        sum(len(stale[s.table].intersection(part)) for s in needed),
                    )
                )
    return chunks
