"""A judged range: what a stage made of it, and how the UI is told.

The rules judged every session (`making`); here their outcomes become one evaluation of the run and
one of each session that is worth a look.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

import dagster as dg
import polars as pl

from quant_platform.lakehouse.provenance import Stamp
from quant_platform.lakehouse.rules import OUTCOME_SCHEMA
from quant_platform.lakehouse.store import Judgement
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
    shown
        What the UI shows at the last session.
    computing
        Seconds that the function and the pictures took; a book's function counts once, at first.
    """

    stage: Stage
    frame: pl.DataFrame
    judgements: Mapping[date, Judgement]
    stamp: Stamp
    missing: Mapping[date, str]
    rejected: pl.DataFrame | None
    shown: Mapping[str, dg.MetadataValue] = field(default_factory=dict)
    computing: float = 0.0

    @property
    def blocked(self) -> list[date]:
        """Sessions withdrawn by a blocking rule."""
        return [day for day, judged in self.judgements.items() if judged.verdict == "blocked"]

    @property
    def readable(self) -> pl.DataFrame:
        """Rows that readers will get: those of sessions that are not blocked."""
        return without_sessions(self.stage, self.frame, self.blocked)

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
            asset_key=self.stage.key,
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


def without_sessions(stage: Stage, rows: pl.DataFrame, sessions: Collection[date]) -> pl.DataFrame:
    """Rows of all other sessions."""
    if not sessions:
        return rows
    return rows.filter(~pl.col(stage.contract.partition).is_in(list(sessions)))


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
