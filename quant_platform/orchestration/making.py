"""Making a range of a table: run the function, judge every session, say what could not be made.

1. Sessions that lack a required input cannot be made; those that stand on a blocked one are blocked
   with the cause. If nothing can be made, the step fails before any work.
2. The pure function computes the range from its lazy frames.
3. The contract judges the rows (derived rows that break it fail the step; rows from outside were
   sorted out before), then the rules judge each session.
4. A carried state cannot skip a session: after the first blocked one the rest of the range is
   blocked too, as it would be in single days.
5. The IO manager stores what was made. If some sessions lacked an input, the step fails then, with
   the others stored: a range does no less than its single days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from quant_platform.errors import MissingUpstreamError
from quant_platform.lakehouse.code_version import git_sha
from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.inputs import Readiness, input_hashes, readiness
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Stamp, Verdict
from quant_platform.lakehouse.rules import OUTCOME_SCHEMA, TRAILING_SESSIONS, judge, withdrawal
from quant_platform.lakehouse.store import Judgement
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.hygiene import Ingested
from quant_platform.orchestration.stage import VERDICT, Stage

TOLD_SESSIONS = 20
"""Failed sessions of a run that get an evaluation of their own; all of them are in the table."""


@dataclass(frozen=True)
class Made:
    """A judged range, ready to be stored.

    Parameters
    ----------
    stage
        The stage that made it.
    frame
        Rows of all sessions that could be made.
    judgements
        Verdict, input hash and outcomes of each of them.
    stamp
        What made them.
    missing
        Sessions that could not be made, each with its cause.
    rejected
        For data from outside: the rows that broke the contract.
    """

    stage: Stage
    frame: pl.DataFrame
    judgements: Mapping[date, Judgement]
    stamp: Stamp
    missing: Mapping[date, str]
    rejected: pl.DataFrame | None

    @property
    def blocked(self) -> list[date]:
        """Sessions withdrawn by a blocking rule."""
        return [day for day, judged in self.judgements.items() if judged.verdict == "blocked"]

    def partition_evaluations(self) -> list[dg.AssetCheckEvaluation]:
        """Evaluate the newest failed sessions, and the latest one, on their own."""
        newest = sorted(self.judgements, reverse=True)
        failed = [day for day in newest if self.judgements[day].verdict != "passed"]
        told = [*newest[:1], *(day for day in failed[:TOLD_SESSIONS] if day != newest[0])]
        return [self._evaluation(day) for day in reversed(told)]

    def _evaluation(self, session: date) -> dg.AssetCheckEvaluation:
        """Evaluate one session by its stored outcomes."""
        judged = self.judgements[session]
        rules = pl.DataFrame(
            [{"session": session, **outcome} for outcome in judged.outcomes], schema=OUTCOME_SCHEMA
        )
        severity = dg.AssetCheckSeverity
        return dg.AssetCheckEvaluation(
            asset_key=self.stage.key,
            check_name=VERDICT,
            passed=judged.verdict == "passed",
            severity=severity.ERROR if judged.verdict == "blocked" else severity.WARN,
            description=f"{session}: {judged.verdict}",
            metadata={"rules": dg.MetadataValue.md(_rule_table(rules))},
            partition=session.isoformat(),
        )

    def check_result(self) -> dg.AssetCheckResult:
        """One evaluation for the run: counts per rule, and the worst session of each."""
        outcomes = pl.DataFrame(
            [
                {"session": session, **outcome}
                for session, judged in self.judgements.items()
                for outcome in judged.outcomes
            ],
            schema=OUTCOME_SCHEMA,
        )
        failed = outcomes.filter(~pl.col("passed"))
        return dg.AssetCheckResult(
            check_name=VERDICT,
            passed=not failed.height,
            severity=dg.AssetCheckSeverity.ERROR if self.blocked else dg.AssetCheckSeverity.WARN,
            description=f"{len(self.blocked)} blocked and "
            f"{failed['session'].n_unique()} failing of {len(self.judgements)} sessions",
            metadata={
                "sessions": len(self.judgements),
                "blocked": len(self.blocked),
                "rules": dg.MetadataValue.md(_rule_table(outcomes)),
            },
        )


def make_range(
    stage: Stage, lake: Lake, frames: Mapping[str, pl.LazyFrame], wanted: SessionRange, run_id: str
) -> Made:
    """Run a stage's function over a range and judge the result.

    Parameters
    ----------
    stage
        What to make.
    lake
        Lake that the inputs are in.
    frames
        Lazy inputs, bounded to the stage's windows.
    wanted
        Sessions to make.
    run_id
        Dagster run.

    Raises
    ------
    MissingUpstreamError
        When no session of the range can be made.
    ContractError
        When derived rows break their contract.
    """
    ready = readiness(lake, stage.windows, wanted)
    makeable = [session for session in wanted.sessions if session not in ready.missing]
    if not makeable:
        raise missing_error(stage, ready.missing)
    frame, rejected = _computed(stage, frames, wanted, ready)
    partition = stage.contract.partition
    spoilt = [*ready.missing, *ready.blocked]
    if spoilt:
        frame = frame.filter(~pl.col(partition).is_in(spoilt))
    outcomes = judge(
        stage.contract.rules,
        frame,
        wanted.sessions,
        partition=partition,
        rejected=rejected,
        earlier_rows=_earlier_rows(stage, lake, wanted),
        missing=ready.missing.keys(),
        thresholds=stage.thresholds,
    )
    verdicts, told, stopped = _verdicts(stage, outcomes, makeable, ready)
    if stopped:
        frame = frame.filter(~pl.col(partition).is_in(stopped))
    content: dict[date, str] | None = None
    if any(window.own for window in stage.windows.values()):
        content = dict.fromkeys(makeable, frame_hash(stage.contract.empty(), stage.contract.key))
        content |= partition_hashes(frame, stage.contract.key, partition)
        content |= {day: "blocked" for day, verdict in verdicts.items() if verdict == "blocked"}
    hashes = input_hashes(lake, stage.windows, wanted, content)
    return Made(
        stage,
        frame,
        {
            day: Judgement(verdict, hashes[day], tuple(told.get(day, ())))
            for day, verdict in verdicts.items()
        },
        Stamp(
            run_id=run_id,
            code_version=stage.code_version,
            config_hash=stage.config_hash,
            git_sha=git_sha(Path(__file__).parent),
            written_at=lake.clock().astimezone(UTC).isoformat(),
        ),
        ready.missing,
        rejected,
    )


def missing_error(stage: Stage, missing: Mapping[date, str]) -> MissingUpstreamError:
    """Error of a step that lacks inputs."""
    session, cause = next(iter(missing.items()))
    return MissingUpstreamError(
        f"{stage.table} cannot be made for {len(missing)} sessions from {session}: {cause}",
        expected="every required upstream session at or after history_start",
        mend="materialise it first, for example with 'quant backfill' over a range that begins "
        "with the missing session",
    )


def _computed(
    stage: Stage, frames: Mapping[str, pl.LazyFrame], wanted: SessionRange, ready: Readiness
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows of the range within their contract, and the rejected ones of data from outside."""
    if all(session in ready.missing or session in ready.blocked for session in wanted.sessions):
        return stage.contract.empty(), None
    made = stage.function(frames, stage.settings, wanted)
    if isinstance(made, Ingested):
        return made.rows, made.rejected
    return stage.contract.validate(stage.table, made), None


def _earlier_rows(stage: Stage, lake: Lake, wanted: SessionRange) -> list[int | None]:
    """Row counts of the sessions before the range, oldest first; None where there is none."""
    entries = lake.log(stage.table).latest()
    before = wanted.calendar.window(
        wanted.first, TRAILING_SESSIONS, not_before=stage.history_start
    )[:-1]
    return [entries[session].rows if session in entries else None for session in before]


def _verdicts(
    stage: Stage, outcomes: pl.DataFrame, makeable: list[date], ready: Readiness
) -> tuple[dict[date, Verdict], dict[date, list[dict[str, Any]]], list[date]]:
    """Turn outcomes into verdicts, with blocked inputs and the chain of a carried state."""
    told: dict[date, list[dict[str, Any]]] = {}
    for row in outcomes.to_dicts():
        told.setdefault(row.pop("session"), []).append(row)
    carried = any(window.own for window in stage.windows.values())
    verdicts: dict[date, Verdict] = {}
    stopped: list[date] = []
    broken: date | None = None
    for session in makeable:
        cause = ready.blocked.get(session)
        if cause is None and broken is not None and carried:
            cause = f"{stage.table} of {broken} is blocked"
        if cause is not None:
            told[session] = [withdrawal("upstream", cause)]
            stopped.append(session)
        failed = {row["severity"] for row in told.get(session, ()) if not row["passed"]}
        if "blocking" in failed:
            verdicts[session], broken = "blocked", session
        else:
            verdicts[session] = "warned" if failed else "passed"
    return verdicts, told, stopped


def _rule_table(outcomes: pl.DataFrame) -> str:
    """Markdown table of the rules: how often each failed, and its worst session."""
    lines = ["| rule | severity | failed | threshold | first failure | value |", "|" + "---|" * 6]
    for (rule, severity), rows in outcomes.group_by("rule", "severity", maintain_order=True):
        failed = rows.filter(~pl.col("passed"))
        first = failed.row(0, named=True) if failed.height else {"session": "–", "value": None}
        limit = rows["threshold"][0]
        lines.append(
            f"| {rule} | {severity} | {failed.height} of {rows.height} | "
            f"{'–' if limit is None else f'{limit:g}'} | {first['session']} | "
            f"{'–' if first['value'] is None else format(first['value'], '.4g')} |"
        )
    return "\n".join(lines)
