"""Law 5, documented contracts and definitions: whoever reads a table or the graph is told."""

from __future__ import annotations

import re

import dagster as dg
import polars as pl

from quant_platform.lakehouse.contracts import Contract
from quant_platform.orchestration.graph import Graph, platform_calendar
from quant_platform.orchestration.lint import lint_definitions
from quant_platform.orchestration.partitions import daily_partitions
from quant_platform.orchestration.stage import VERDICT
from quant_platform_tests.laws.broken import LawBroken

CONTRACTS = "documented contracts"
DEFINITIONS = "documented definitions"

SHORTEST = 20
"""Characters of a description below which nothing can have been said."""
_UNITS = re.compile(
    r"\b(price|percent|fraction|share|ratio|shares|coins|units|money|bps|currency|"
    r"points|standard deviations|score|"
    r"sessions per year|0\.\.100)\b",
    re.IGNORECASE,
)
_WARM_UP = re.compile(r"\b[Nn]ull before \d+ (bars|sessions)\b")
_BOUNDS = ("min", "max", "min_exclusive", "max_exclusive")


def check_contract(table: str, contract: Contract) -> None:
    """Require that every column of a contract says what it is, in which unit, of which sign.

    Parameters
    ----------
    table
        Table that has the contract.
    contract
        The contract.
    """
    for name, column in contract.columns.items():
        described = (column.description or "").strip()
        if len(described) < SHORTEST:
            found = f"column {name} is described by {described!r}"
            raise LawBroken(CONTRACTS, table, None, found)
        bounded = any(getattr(column, bound, None) is not None for bound in _BOUNDS)
        if column.dtype.is_float() and not _UNITS.search(described):
            raise LawBroken(CONTRACTS, table, None, f"column {name} states no unit")
        if column.dtype.is_float() and not bounded and "signed" not in described:
            found = f"column {name} has no bound and does not say that it is signed"
            raise LawBroken(CONTRACTS, table, None, found)
        if column.dtype.is_float() and column.nullable and "null" not in described.lower():
            found = f"column {name} is nullable and does not say when it is null"
            raise LawBroken(CONTRACTS, table, None, found)
        warm_up = (column.metadata or {}).get("warm_up", 0)
        if not isinstance(warm_up, int) or (_WARM_UP.search(described) and not warm_up):
            found = f"column {name} is null at first, and its warm_up does not say how long"
            raise LawBroken(CONTRACTS, table, None, found)
        if column.primary_key and column.nullable:
            raise LawBroken(CONTRACTS, table, None, f"key column {name} may be null")
    if contract.partition not in contract.columns or not contract.key:
        raise LawBroken(CONTRACTS, table, None, "it has no key or no partition column")
    if len(contract.grain) < SHORTEST:
        raise LawBroken(CONTRACTS, table, None, f"its grain is {contract.grain!r}")


def check_knowledge_time(table: str, contract: Contract) -> None:
    """Require that data from outside says when it was known, and on what basis."""
    known_at = contract.columns.get("known_at")
    if known_at is None or known_at.nullable or "known_at" not in contract.key:
        raise LawBroken(CONTRACTS, table, None, "it is external and known_at is not in its key")
    if known_at.dtype != pl.Datetime("us", "UTC"):
        raise LawBroken(CONTRACTS, table, None, f"known_at is {known_at.dtype}")
    if "known_at_basis" not in contract.columns:
        raise LawBroken(CONTRACTS, table, None, "it does not say whether known_at was observed")


def check_definitions(graph: Graph) -> None:
    """Require a clean lint, a stage behind every asset, and the contract on every asset."""
    definitions = graph.definitions()
    now = graph.clock()
    platform = graph.settings.platform
    shared = [
        daily_partitions(platform_calendar(graph.settings, code, now), platform.history_start)
        for code in platform.calendars
    ]
    for finding in lint_definitions(definitions, shared_partitions=shared):
        raise LawBroken(DEFINITIONS, finding.asset, None, f"{finding.rule}: {finding.sentence}")
    assets = definitions.resolve_asset_graph()
    stages = {stage.key: stage for stage in graph.stages}
    for key in assets.get_all_asset_keys() ^ set(stages):
        raise LawBroken(
            DEFINITIONS, key.to_user_string(), None, "an asset without a stage, or the reverse"
        )
    jobs = {stage.table: name for name, known in graph.jobs.items() for stage in known}
    for key, stage in stages.items():
        node = assets.get(key)
        if len(node.description or "") < SHORTEST or not node.owners or not node.kinds:
            raise LawBroken(DEFINITIONS, stage.table, None, "it lacks description, owners or kinds")
        if not (node.code_version or "").startswith(stage.code_version):
            raise LawBroken(DEFINITIONS, stage.table, None, "its code version is not its stage's")
        if dg.AssetCheckKey(key, VERDICT) not in node.check_keys:
            raise LawBroken(DEFINITIONS, stage.table, None, f"it has no check '{VERDICT}'")
        columns = node.metadata["dagster/column_schema"].columns
        if [column.name for column in columns] != list(stage.contract.columns):
            raise LawBroken(DEFINITIONS, stage.table, None, "its column schema is not its contract")
        if stage.table not in jobs:
            raise LawBroken(DEFINITIONS, stage.table, None, "no job makes it")
