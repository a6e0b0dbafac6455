"""How often each gate was asked and fired: ``reports/gates``, one small row a gate and session.

1. A universe holds every screen that it asked of a security, a cross-section every floor and the
   rank, a scan every rule, a selection every veto that it asked of a candidate on the session that
   decided. They are counted as they stand in the audits.
2. Of the targets of an evening each was asked by every block of the overlay; the row says the first
   that stopped it. The evening itself was asked by every gate of readiness.
3. Days of a sleeve that are no sessions of the report belong to the session after them.

Counts are whole numbers of a session's own rows, so a range is its single days. What a sleeve's
audits take to be read is read here, once a session; the report looks back on these rows alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import polars as pl

from quant_platform.execution.overlay import BLOCKS
from quant_platform.execution.readiness import GATES as EVENING_GATES
from quant_platform.lakehouse.contracts.gates import GATES
from quant_platform.lakehouse.gates import Gate
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.scanners.cross_section import FLOORS, RANK
from quant_platform.scanners.engine import DUTY, RESTING
from quant_platform.scanners.universe import SCREENS
from quant_platform.selection.veto import CUTS, VETOES
from quant_platform.settings import Settings
from quant_platform.settings.base import Identifier, SettingsModel, described

_COUNTS = {"asked": pl.UInt32, "fired": pl.UInt32}
_CONTROLS, _READY = "execution/risk_controls", "execution/execution_ready"


class GatesScope(SettingsModel):
    """What ``reports/gates`` counts, and nothing else."""

    sleeves: dict[Identifier, tuple[str, ...]] = described("Scanners of each sleeve.")
    elsewhere: tuple[str, ...] = described("Sleeves on another calendar than the report's.", ())
    account: bool = described("Whether there is an account.", False)

    @classmethod
    def of(cls, settings: Settings, calendar: str = "XNYS") -> Self:
        """Take the scope out of all settings.

        Parameters
        ----------
        settings
            All settings.
        calendar
            Code of the report's calendar.
        """
        sleeves = settings.sleeves
        return cls(
            sleeves={name: tuple(sleeve.scanners) for name, sleeve in sleeves.items()},
            elsewhere=tuple(n for n, sleeve in sleeves.items() if sleeve.calendar != calendar),
            account=settings.execution is not None,
        )


def gates_windows(scope: GatesScope) -> dict[str, Window]:
    """Sessions of its inputs that ``reports/gates`` depends on; every table is named in full.

    A day of another calendar belongs to the session at or after it, so that a session reads the
    days since the one before. Blocked inputs count as empty: nothing was asked.
    """
    tables = {
        f"{sleeve}/{kind}": int(sleeve in scope.elsewhere)
        for sleeve, scanners in scope.sleeves.items()
        for kind in ("universe", "cross_section", *(f"scan_{n}" for n in scanners), "selection")
    }
    if scope.account:
        tables |= {_CONTROLS: 0, _READY: 0}
    return {
        table.replace("/", "_"): Window(table, lookback, withdraws=False)
        for table, lookback in tables.items()
    }


def gate_counts(
    frames: Mapping[str, pl.LazyFrame], scope: GatesScope, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``reports/gates`` for a range.

    Parameters
    ----------
    frames
        What :func:`gates_windows` asks for, by its names.
    scope
        What is counted.
    wanted
        Sessions of the report's calendar.

    Returns
    -------
    polars.DataFrame
        One row per session and gate that was asked, by session, table and gate.
    """
    parts = [GATES.empty()]
    for name, window in gates_windows(scope).items():
        table, rows = window.table, frames[name]
        if table == _CONTROLS:
            counted = _told(rows, BLOCKS, pl.concat_list("blocked"))
        elif table == _READY:
            counted = _told(rows, EVENING_GATES, pl.col("reasons"))
        elif table.endswith("/selection"):
            decided = rows.filter(pl.col("decided_on") == pl.col("session"))
            counted = _audited(decided, "vetoes", pl.col("fired")).join(
                _duties([*VETOES, *CUTS]), on="gate"
            )
        else:
            counted = _audited(rows, "passes", ~pl.col("passed"))
            if table.endswith("/universe"):
                counted = counted.join(_duties(SCREENS), on="gate")
            elif table.endswith("/cross_section"):
                counted = counted.join(_duties([*FLOORS, RANK]), on="gate")
            else:
                resting = pl.when(pl.col("gate").is_in(RESTING)).then(pl.lit("guard"))
                counted = counted.with_columns(duty=resting.otherwise(pl.lit(DUTY)))
        parts.append(_on_sessions(counted, table, wanted).collect())
    return pl.concat(parts).sort(GATES.key)


def _audited(rows: pl.LazyFrame, column: str, fired: pl.Expr) -> pl.LazyFrame:
    """Count the entries of an audit by day and rule."""
    return (
        rows.select("session", entry=column)
        .explode("entry")
        .select("session", pl.col("entry").struct.unnest())
        .group_by("session", gate="rule")
        .agg(asked=pl.len(), fired=fired.sum())
    )


def _told(rows: pl.LazyFrame, gates: Sequence[Gate], codes: pl.Expr) -> pl.LazyFrame:
    """Count the rows by day, and those that name each gate."""
    counts = {gate.name: codes.list.contains(gate.name).sum() for gate in gates}
    return (
        rows.group_by("session")
        .agg(asked=pl.len(), **counts)
        .unpivot(index=["session", "asked"], variable_name="gate", value_name="fired")
        .join(_duties(gates), on="gate")
    )


def _duties(gates: Iterable[Gate]) -> pl.LazyFrame:
    return pl.LazyFrame([(gate.name, gate.duty) for gate in gates], ["gate", "duty"], orient="row")


def _on_sessions(counted: pl.LazyFrame, table: str, wanted: SessionRange) -> pl.LazyFrame:
    """Sum the days up to each session of the range from the day after the session before."""
    calendar = wanted.calendar
    before = calendar.sessions[max(calendar.ordinal(wanted.first) - 1, 0)]
    sessions = pl.LazyFrame({"of": wanted.sessions}, schema={"of": pl.Date})
    return (
        counted.filter(pl.col("session") > before, pl.col("session") <= wanted.last)
        .sort("session")
        .join_asof(sessions, left_on="session", right_on="of", strategy="forward")
        .group_by("of", "gate", "duty")
        .agg(pl.col("asked", "fired").sum())
        .select(
            pl.col("of").alias("session"),
            pl.lit(table).alias("table"),
            "gate",
            pl.col("duty").cast(GATES.columns["duty"].dtype),
            *(pl.col(name).cast(dtype) for name, dtype in _COUNTS.items()),
        )
    )
