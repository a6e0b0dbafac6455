"""The definitions lint: what an asset graph must not contain, checked before anything runs.

Dagster accepts many graphs that look ahead, silently read nothing, or cannot be traced. The lint
walks the resolved graph once and reports every breach; a test holds the shipped definitions to
zero. A *point-in-time* asset is one that has partitions: what it computes for a session may use
nothing later.

What belongs here: rules on any `dagster.Definitions`. What does not: rules on the content of
tables (contracts), and the register of known assets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import (
    AllPartitionMapping,
    BackfillPolicy,
    Definitions,
    IdentityPartitionMapping,
    LastPartitionMapping,
    MetadataValue,
    PartitionMapping,
    PartitionsDefinition,
    TimeWindowPartitionMapping,
    TimeWindowPartitionsDefinition,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode
from dagster._core.definitions.utils import DEFAULT_GROUP_NAME

RESEARCH = "quant/research"
"""Metadata that marks an unpartitioned asset as a study of all history; it feeds no session."""

COLUMNS = "quant/columns"
"""Metadata that declares a table's columns by name."""

SESSIONS_PER_RUN = 252
"""Sessions of one run of a backfill: a trading year, so that a chunk can be resumed."""


@dataclass(frozen=True, order=True)
class LintFinding:
    """One breach of one rule.

    Parameters
    ----------
    asset
        Key of the asset, parts joined by slashes.
    rule
        Name of the rule.
    sentence
        What was found and what to do.
    """

    asset: str
    rule: str
    sentence: str


def lint_definitions(
    definitions: Definitions, *, shared_partitions: Collection[PartitionsDefinition]
) -> list[LintFinding]:
    """Return every breach in a graph, by asset and rule; an empty list is a clean graph.

    Parameters
    ----------
    definitions
        The graph.
    shared_partitions
        The partitions definitions of the platform's calendars, one each; any other is a breach.
    """
    graph = definitions.resolve_asset_graph()
    findings = [
        LintFinding(node.key.to_user_string(), rule, sentence)
        for node in graph.asset_nodes
        for rule, sentence in _breaches(graph, node, shared_partitions)
    ]
    return sorted(findings)


def _breaches(
    graph: AssetGraph, node: AssetNode, shared: Collection[PartitionsDefinition]
) -> Iterator[tuple[str, str]]:
    """Yield rule and sentence of every breach of one asset."""
    if node.is_materializable:
        yield from _undocumented(node)
    if node.partitions_def is None:
        if _metadata(node, RESEARCH) is not True:
            yield from _fan_out(graph, node)
        return
    yield from _wrong_partitions(node.partitions_def, shared)
    if node.is_materializable and node.backfill_policy != BackfillPolicy.multi_run(
        SESSIONS_PER_RUN
    ):
        yield (
            "backfill_policy",
            f"its backfill policy is {node.backfill_policy}; set "
            f"BackfillPolicy.multi_run(max_partitions_per_run={SESSIONS_PER_RUN})",
        )
    for parent in sorted(node.parent_keys):
        mapping = node.partition_mappings.get(parent)
        if parent == node.key:
            yield from _wrong_self_dependency(mapping)
        else:
            yield from _wrong_dependency(graph.get(parent), node.partitions_def, mapping)


def _undocumented(node: AssetNode) -> Iterator[tuple[str, str]]:
    """Yield what the catalogue and the staleness marks of the UI lack."""
    declared: Mapping[str, object] = {
        "kinds": node.kinds,
        "owners": node.owners,
        "description": (node.description or "").strip(),
        "group": node.group_name != DEFAULT_GROUP_NAME,
        "code_version": node.code_version,
    }
    for name, value in declared.items():
        if not value:
            yield name, f"it declares no {name}; every asset does"


def _fan_out(graph: AssetGraph, node: AssetNode) -> Iterator[tuple[str, str]]:
    """Yield partitioned inputs: an asset without partitions reads all of them, for ever."""
    for parent in sorted(node.parent_keys):
        if graph.get(parent).is_partitioned:
            yield (
                "fan_out",
                f"it has no partitions and reads all sessions of {parent.to_user_string()}; give "
                f"it partitions, or mark it {RESEARCH}=True if it serves study only",
            )


def _wrong_partitions(
    partitions: PartitionsDefinition, shared: Collection[PartitionsDefinition]
) -> Iterator[tuple[str, str]]:
    if isinstance(partitions, TimeWindowPartitionsDefinition):
        if partitions.end_offset > 0:
            yield (
                "partitions_end_offset",
                f"its partitions have end_offset={partitions.end_offset}, so a session exists "
                "before it has closed; set end_offset=0",
            )
        weekdays = partitions.cron_schedule.split()[4]
        if not (weekdays == "*" or weekdays.isdecimal()):
            yield (
                "weekday_cron",
                f"its partitions follow the cron schedule {partitions.cron_schedule!r}, so "
                "Friday's window ends on Monday; make them daily and exclude the closed days",
            )
    if partitions not in shared:
        yield (
            "shared_partitions",
            f"its partitions ({partitions}) are not those of any calendar of the platform; use "
            "daily_partitions(calendar, history_start)",
        )


def _wrong_self_dependency(mapping: PartitionMapping | None) -> Iterator[tuple[str, str]]:
    """Yield a mapping that leaves a gap; Dagster itself refuses one that reaches the session."""
    if not isinstance(mapping, TimeWindowPartitionMapping) or mapping.end_offset != -1:
        yield (
            "self_dependency",
            f"it depends on itself through {mapping}, which does not end at the session before; "
            "use lookback_mapping(1, self_dependent=True)",
        )


def _wrong_dependency(
    parent: AssetNode, partitions: PartitionsDefinition, mapping: PartitionMapping | None
) -> Iterator[tuple[str, str]]:
    name = parent.key.to_user_string()
    if parent.partitions_def is None:
        if "known_at" not in _columns(parent):
            yield (
                "unpartitioned_input",
                f"it reads {name}, which has no partitions and declares no known_at column in "
                f"{COLUMNS}, so that nothing tells what was known when; add known_at",
            )
        return
    if isinstance(mapping, LastPartitionMapping):
        yield (
            "last_partition_mapping",
            f"it reads the last partition of {name}, whatever session it computes; use "
            "lookback_mapping",
        )
    elif isinstance(mapping, AllPartitionMapping):
        yield (
            "all_partition_mapping",
            f"it reads all partitions of {name}, later ones included; use lookback_mapping",
        )
    elif isinstance(mapping, TimeWindowPartitionMapping):
        if mapping.end_offset > 0:
            yield (
                "mapping_end_offset",
                f"it reads {name} up to {mapping.end_offset} sessions ahead; set end_offset=0",
            )
        if mapping.start_offset > 0:
            yield (
                "mapping_start_offset",
                f"it reads {name} from {mapping.start_offset} sessions ahead; set start_offset=0 "
                "or less",
            )
    elif not (mapping is None or isinstance(mapping, IdentityPartitionMapping)):
        yield (
            "other_mapping",
            f"it reads {name} through {type(mapping).__name__}, which does not count sessions; "
            "use lookback_mapping",
        )
    if parent.partitions_def != partitions and not _reaches_back(mapping):
        yield (
            "undeclared_calendars",
            f"it reads {name}, which has other partitions, without a look-back, so that a day "
            "that only one of them has reads nothing and raises nothing; use "
            "other_calendar_mapping",
        )


def _reaches_back(mapping: PartitionMapping | None) -> bool:
    """Say whether a mapping between two calendars was chosen with both in mind.

    Mappings that other rules reject count as chosen: one fault, one finding.
    """
    if isinstance(mapping, TimeWindowPartitionMapping):
        return mapping.start_offset != 0
    return not (mapping is None or isinstance(mapping, IdentityPartitionMapping))


def _metadata(node: AssetNode, key: str) -> Any:
    value = node.metadata.get(key)
    return value.value if isinstance(value, MetadataValue) else value


def _columns(node: AssetNode) -> Collection[str]:
    columns = _metadata(node, COLUMNS)
    return tuple(columns) if isinstance(columns, list | tuple | Mapping) else ()
