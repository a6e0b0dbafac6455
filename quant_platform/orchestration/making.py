"""Making a range of a table: run the function, judge every session, say what could not be made.

1. Sessions before the first day of a stage are empty. Of the others, those that lack a required
   input cannot be made, and those that stand on a blocked one are blocked with the cause. If
   nothing can be made, the step fails before any work.
2. The pure function computes the range from its lazy frames; for a book, all of its tables.
3. The contract judges the rows (derived rows that break it fail the step; rows from outside were
   sorted out before), then the rules judge each session.
4. A carried state cannot skip a session: after the first blocked one the rest of the range is
   blocked too, as it would be in single days.
5. The IO manager stores what was made. If some sessions lacked an input, the step fails then, with
   the others stored: a range does no less than its single days.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import Any

import polars as pl

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.code_version import git_sha
from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.inputs import NOTHING, Readiness, input_hashes, readiness
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Stamp, Verdict
from quant_platform.lakehouse.rules import TRAILING_SESSIONS, judge, withdrawal
from quant_platform.lakehouse.store import Judgement
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.made import Made, without_sessions
from quant_platform.orchestration.stage import Stage


def make_range(
    stages: Sequence[Stage],
    lake: Lake,
    frames: Mapping[str, pl.LazyFrame],
    wanted: SessionRange,
    run_id: str,
) -> list[Made]:
    """Run a function over a range and judge the result.

    Parameters
    ----------
    stages
        What to make: one table, or all tables of a book.
    lake
        Lake that the inputs are in.
    frames
        Lazy inputs, bounded to the windows.
    wanted
        Sessions to make.
    run_id
        Dagster run.

    Returns
    -------
    list of Made
        In the order of the stages.

    Raises
    ------
    MissingUpstreamError
        When no session of the range can be made.
    ContractError
        When derived rows break their contract.
    """
    first = stages[0]
    stamps = [_stamp(stage, lake, run_id) for stage in stages]
    idle = {s: Judgement("passed", NOTHING) for s in wanted.sessions if s < first.first_day}
    if len(idle) == len(wanted.sessions):
        return [
            Made(stage, stage.contract.empty(), idle, stamp, {}, None)
            for stage, stamp in zip(stages, stamps, strict=True)
        ]
    active = first.range_of(wanted.sessions[len(idle) :])
    ready = readiness(lake, first.windows, active)
    if len(ready.missing) == len(active.sessions):
        raise missing_error(first, ready.missing)
    begun = time.perf_counter()
    tables, rejected = _computed(stages, frames, active, ready)
    computing = time.perf_counter() - begun
    told = {
        stage.kind: _by_session(
            judge(
                stage.contract.rules,
                tables[stage.kind],
                active.sessions,
                partition=stage.contract.partition,
                rejected=rejected,
                earlier_rows=_earlier_rows(stage, lake, active),
                missing=ready.missing.keys(),
                thresholds=stage.thresholds,
            )
        )
        for stage in stages
    }
    verdicts, stopped = _verdicts(stages, told, active, ready)
    tables = {kind: without_sessions(first, rows, stopped) for kind, rows in tables.items()}
    content = _carried_content(stages, tables, verdicts, active)
    hashes = input_hashes(lake, first.windows, active, content, first.grid)
    carried = carried_hashes(lake, first, active, content)
    made: list[Made] = []
    for stage, stamp in zip(stages, stamps, strict=True):
        outcomes = told[stage.kind]
        sessions = {
            day: Judgement(verdict, hashes[day], tuple(outcomes.get(day, ())), carried.get(day, ""))
            for day, verdict in verdicts[stage.kind].items()
        }
        rows = tables[stage.kind]
        made.append(
            Made(
                stage,
                rows,
                idle | sessions,
                stamp,
                ready.missing,
                rejected,
                computing=0.0 if made else computing,
            )
        )
    return made


def carried_hashes(
    lake: Lake,
    stage: Stage,
    wanted: SessionRange,
    content: Mapping[str, Mapping[date, str]] | None = None,
) -> dict[date, str]:
    """Hash what each session of a record continues: the tables of the record that it reads.

    Parameters
    ----------
    lake
        Lake that holds them.
    stage
        Stage of the session's table; one that is no record continues nothing.
    wanted
        Sessions to hash.
    content
        By table: content of sessions that have just been made; see ``input_hashes``.
    """
    windows = stage.continued
    return input_hashes(lake, windows, wanted, content) if windows else {}


def missing_error(stage: Stage, missing: Mapping[date, str]) -> MissingUpstreamError:
    """Error of a step that lacks inputs."""
    session, cause = next(iter(missing.items()))
    return MissingUpstreamError(
        f"{stage.table} cannot be made for {len(missing)} sessions from {session}: {cause}",
        expected="every required upstream session at or after history_start",
        mend="materialise it first, for example with 'quant backfill' over a range that begins "
        "with the missing session",
    )


def _stamp(stage: Stage, lake: Lake, run_id: str) -> Stamp:
    """Say what makes a table's rows."""
    return Stamp(
        run_id=run_id,
        code_version=stage.code_version,
        config_hash=stage.config_hash,
        git_sha=git_sha(Path(__file__).parent),
        written_at=lake.clock().astimezone(UTC).isoformat(),
    )


def _computed(
    stages: Sequence[Stage],
    frames: Mapping[str, pl.LazyFrame],
    wanted: SessionRange,
    ready: Readiness,
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame | None]:
    """Rows of the range by kind, within their contracts, and the rejected ones from outside."""
    first = stages[0]
    spoilt = {*ready.missing, *ready.blocked}
    if spoilt.issuperset(wanted.sessions):
        return {stage.kind: stage.contract.empty() for stage in stages}, None
    if any(window.own and window.required for window in first.windows.values()):
        # Nothing after the first session that cannot be made can be made either: the function is
        # not asked for what it would have to invent.
        wanted = first.range_of([day for day in wanted.sessions if day not in spoilt])
    made = first.function(frames, first.settings, wanted)
    if isinstance(made, Ingested):
        return {first.kind: without_sessions(first, made.rows, spoilt)}, made.rejected
    by_kind = {first.kind: made} if isinstance(made, pl.DataFrame) else dict(made)
    carried = {_kind(window.table) for window in first.windows.values() if window.own}
    kept = {s.kind: s.contract.validate(s.table, by_kind[s.kind]) for s in stages}
    # What a book made for itself without storing it: see _carried_content.
    kept |= {kind: rows for kind, rows in by_kind.items() if kind in carried - kept.keys()}
    return {kind: without_sessions(first, rows, spoilt) for kind, rows in kept.items()}, None


def _kind(table: str) -> str:
    return table.rpartition("/")[2]


def _verdicts(
    stages: Sequence[Stage],
    told: Mapping[str, dict[date, list[dict[str, Any]]]],
    wanted: SessionRange,
    ready: Readiness,
) -> tuple[dict[str, dict[date, Verdict]], list[date]]:
    """Turn outcomes into verdicts, with blocked inputs and the chain of what is carried.

    Returns
    -------
    verdicts, stopped
        Verdicts by kind of table; the sessions that are blocked by what comes before them, to
        whose outcomes the cause is written.
    """
    carried = {w.table for w in stages[0].windows.values() if w.own and w.required}
    verdicts: dict[str, dict[date, Verdict]] = {stage.kind: {} for stage in stages}
    stopped: list[date] = []
    broken: str | None = None
    for session in wanted.sessions:
        if session in ready.missing:
            continue
        cause = ready.blocked.get(session) or broken
        if cause is not None:
            stopped.append(session)
        for stage in stages:
            outcomes = told[stage.kind]
            if cause is not None:
                outcomes[session] = [withdrawal("upstream", cause)]
            failed = {row["severity"] for row in outcomes.get(session, ()) if not row["passed"]}
            verdict: Verdict = "warned" if failed else "passed"
            if "blocking" in failed:
                verdict = "blocked"
                if stage.table in carried:
                    broken = f"{stage.table} of {session} is blocked"
            verdicts[stage.kind][session] = verdict
    return verdicts, stopped


def _by_session(outcomes: pl.DataFrame) -> dict[date, list[dict[str, Any]]]:
    """Outcomes of the rules as they are stored with each session."""
    told: dict[date, list[dict[str, Any]]] = {}
    for row in outcomes.to_dicts():
        told.setdefault(row.pop("session"), []).append(row)
    return told


def _carried_content(
    stages: Sequence[Stage],
    tables: Mapping[str, pl.DataFrame],
    verdicts: Mapping[str, Mapping[date, Verdict]],
    wanted: SessionRange,
) -> dict[str, dict[date, str]]:
    """Content hashes of what later sessions of the range carry, by table.

    A book carries what it makes, and may carry a table that is made from it afterwards by the same
    functions (orders from a plan): that one's content is known before it is stored. It will be
    blocked where a table of the evening is, one that is not itself carried on: what is made of an
    evening afterwards reads those.
    """
    content: dict[str, dict[date, str]] = {}
    carried = {_kind(window.table) for window in stages[0].windows.values() if window.own}
    withdrawn = {
        day
        for kind, judged in verdicts.items()
        if kind not in carried
        for day, said in judged.items()
        if said == "blocked"
    }
    for window in stages[0].windows.values():
        kind = _kind(window.table)
        if not window.own or kind not in tables:
            continue
        contract = contract_of(window.table)
        hashes = dict.fromkeys(wanted.sessions, frame_hash(contract.empty(), contract.key))
        hashes |= partition_hashes(tables[kind], contract.key, contract.partition)
        if kind in verdicts:
            judged = verdicts[kind]
            hashes = {day: found for day, found in hashes.items() if day in judged}
            hashes |= {day: "blocked" for day, said in judged.items() if said == "blocked"}
        else:
            hashes |= dict.fromkeys(withdrawn, "blocked")
        content[window.table] = hashes
    return content


def _earlier_rows(stage: Stage, lake: Lake, wanted: SessionRange) -> list[int | None]:
    """Row counts of the sessions before the range, oldest first; None where there is none."""
    entries = lake.log(stage.table).latest()
    before = wanted.calendar.window(wanted.first, TRAILING_SESSIONS, not_before=stage.first_day)[
        :-1
    ]
    return [entries[session].rows if session in entries else None for session in before]
