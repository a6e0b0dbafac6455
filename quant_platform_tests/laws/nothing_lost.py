"""Law 3, nothing is lost: replaced partitions can be read, and every row has a place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quant_platform.lakehouse.content import frame_hash
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings.sleeve import SECOND_KIND
from quant_platform.sources.registry import SERIES_BRANCH
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.workshop import Recipe, Workshop

VERSIONS = "earlier versions are kept"
ROWS = "rows are conserved"

SLOW = frozenset({"securities", "actions", "earnings", "membership", "fund_facts"})
"""Kinds of data whose first session of history holds what was known before it as well."""

Seen = dict[tuple[str, date], list[str]]


def contents(workshop: Workshop, seen: Seen | None = None) -> Seen:
    """Add the present contents of every partition to those seen before."""
    known: Seen = {key: list(hashes) for key, hashes in (seen or {}).items()}
    for table in workshop.tables:
        for session, entry in workshop.lake.entries(table).items():
            known.setdefault((table, session), []).append(entry.content_hash)
    return known


def remade(workshop: Workshop, recipes: Sequence[Recipe], first: date, last: date) -> Seen:
    """Make a range again under each recipe in the same lake; return every content it had."""
    seen = contents(workshop)
    for recipe in recipes:
        other = Workshop.open(workshop.folder, recipe)
        other.make_all(first, last)
        seen = contents(other, seen)
    return seen


def check_versions_kept(lake: Lake, seen: Seen) -> None:
    """Require that every content that a partition ever had can still be read.

    Parameters
    ----------
    lake
        The lake.
    seen
        Content hashes that were current at some time, oldest first.
    """
    for (table, session), hashes in seen.items():
        versions = {v.entry.content_hash: v for v in lake.versions(table, session)}
        current = [v.entry.content_hash for v in versions.values() if v.current]
        if current != hashes[-1:]:
            raise LawBroken(VERSIONS, table, session, "the newest content is not the current one")
        key = lake.layout(table).contract.key
        for content in set(hashes):
            if content not in versions:
                raise LawBroken(VERSIONS, table, session, f"its content {content[:12]} is gone")
            if len(set(hashes)) > 1:
                path = versions[content].path
                empty = lake.layout(table).contract.empty()
                rows = empty if path is None else pl.read_parquet(path, hive_partitioning=False)
                if frame_hash(rows, key) != content:
                    found = f"the file of its content {content[:12]} holds something else"
                    raise LawBroken(VERSIONS, table, session, found)


def check_rows_conserved(workshop: Workshop, first: date, last: date) -> None:
    """Require that what a source delivered is what is stored plus what is in quarantine.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled over the range.
    first, last
        Days that bound the range.
    """
    sleeves = workshop.recipe.sleeves
    sources = {sleeve.sleeve.name: sleeve.source for sleeve in sleeves}
    seconds = {sleeve.sleeve.name: sleeve.second for sleeve in sleeves if sleeve.second}
    sources[SERIES_BRANCH] = workshop.recipe.series
    for stage in workshop.stages:
        if not stage.contract.external:
            continue
        branch, kind = stage.table.split("/", maxsplit=1)
        source = sources[branch]
        if kind == SECOND_KIND:
            source, kind = seconds[branch], "bars"
        if kind not in source.kinds:
            found = f"its source '{source.name}' delivers no '{kind}' to compare with"
            raise LawBroken(ROWS, stage.table, None, found)
        sessions = workshop.sessions(stage, first, last)
        asked, begin = sessions, stage.calendar.between(stage.history_start, last)[0]
        if kind in SLOW and sessions[0] == begin:
            asked = [day for day in stage.calendar.sessions if day <= sessions[-1]]
        delivered = getattr(source, kind)(stage.calendar, branch, asked)
        known = stage.calendar.knowledge_sessions(delivered["known_at"]).clip(lower_bound=begin)
        stored = _rows(workshop.lake, stage.table, sessions)
        rejected = _rows(workshop.lake, f"quarantine/{stage.table}", sessions)
        counts = [
            _count(known, sessions),
            *(_count(rows["knowledge_session"], sessions) for rows in (stored, rejected)),
        ]
        for session, there, kept, aside in zip(sessions, *counts, strict=True):
            if there != kept + aside:
                found = f"{there} rows were delivered, {kept} are stored, {aside} in quarantine"
                raise LawBroken(ROWS, stage.table, session, found)
        named = [name for name in delivered.columns if name in stored.columns]
        strange = stored.join(delivered, on=named, how="anti", nulls_equal=True)
        if strange.height:
            session = strange["knowledge_session"][0]
            raise LawBroken(ROWS, stage.table, session, "it holds rows that were not delivered")


def _count(partition: pl.Series, sessions: Sequence[date]) -> list[int]:
    """Rows of each session."""
    counted = dict(partition.alias("session").value_counts().iter_rows())
    return [counted.get(session, 0) for session in sessions]


def _rows(lake: Lake, table: str, sessions: Sequence[date]) -> pl.DataFrame:
    """Rows of partitions, withdrawn or not."""
    entries = lake.log(table).latest()
    store = lake.store(table)
    found = [entries[day] for day in sessions if day in entries]
    files = [store.file_of(entry) for entry in found if entry.filed]
    if not files:
        return lake.layout(table).contract.empty()
    return pl.read_parquet(files, hive_partitioning=False)
