"""Chapter 03's parity: what is scanned from stored features is what is scanned from bars.

Of one branch every table up to the candidates is made over again, in memory, from what came from
outside: states from the beginning of history, the asked sessions as a range of their own. Nothing
that a stage stored is read. Scans of both must have the same content, session by session.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.workshop import Workshop
from quant_platform_tests.small_project import upstream_of

LAW = "scans of stored features are those of features recomputed from bars"
Tables = dict[str, pl.DataFrame]


def check_parity(workshop: Workshop, table: str, sessions: Sequence[date]) -> Tables:
    """Require it of a table and of every derived table that it stands on.

    Parameters
    ----------
    workshop
        A filled one.
    table
        The last table that is compared, such as the candidates.
    sessions
        Sessions to compare, the last ones of the lake.

    Returns
    -------
    dict
        What was recomputed, by table.
    """
    made = _recomputed(workshop, table, sessions)
    for name, rows in made.items():
        contract = workshop.stage(name).contract
        inside = pl.col(contract.partition).is_in(list(sessions))
        own = partition_hashes(rows.filter(inside), contract.key, contract.partition)
        nothing = frame_hash(contract.empty(), contract.key)
        for session in sessions:
            stored = workshop.lake.provenance(name, session).content_hash
            if own.get(session, nothing) != stored:
                raise LawBroken(LAW, name, session, "stored and recomputed rows differ")
    return made


def _recomputed(workshop: Workshop, table: str, sessions: Sequence[date]) -> Tables:
    """Make derived tables up to one over again, from what came from outside."""
    wanted = {stage.table for stage in upstream_of(workshop.stages, [table])}
    made: Tables = {}
    for call in workshop.calls:
        first = call[0]
        if first.table not in wanted or first.contract.external:
            continue
        every = workshop.sessions(first, first.first_day, sessions[-1])
        before = [day for day in every if day < sessions[0]]
        for part in (before, every[len(before) :]):
            rows = _made(workshop, first, part, made) if part else {}
            for name, frame in rows.items():
                made[name] = pl.concat([made[name], frame]) if name in made else frame
    return made


def _made(workshop: Workshop, stage: Stage, sessions: Sequence[date], made: Tables) -> Tables:
    """Make a range of one call from tables in memory, and from the lake's that are from outside."""
    wanted = stage.range_of(list(sessions))
    frames = {name: _read(workshop, w, wanted, made) for name, w in stage.windows.items()}
    told = stage.function(frames, stage.settings, wanted)
    assert isinstance(told, pl.DataFrame)
    return {stage.table: stage.contract.validate(stage.table, told)}


def _read(workshop: Workshop, window: Window, wanted: SessionRange, made: Tables) -> pl.LazyFrame:
    """Rows of a window; of a derived table those in memory."""
    contract = workshop.stage(window.table).contract
    if contract.external:
        return workshop.io.read(window, wanted)
    rows = made.get(window.table, contract.empty())
    return rows.filter(pl.col(contract.partition).is_in(wanted.loaded(window))).lazy()
