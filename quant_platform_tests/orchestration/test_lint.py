"""Each rule of the lint fires on a graph that breaks just that rule, and not on its twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from quant_platform.calendars import build_calendar
from quant_platform.orchestration.lint import LintFinding, lint_definitions
from quant_platform.orchestration.partitions import (
    daily_partitions,
    lookback_mapping,
    other_calendar_mapping,
)

GRACE = timedelta(minutes=90)
START = date(2020, 1, 2)
NYSE = daily_partitions(build_calendar("XNYS", horizon=date(2027, 12, 31), grace=GRACE), START)
CRYPTO = daily_partitions(build_calendar("24/7", horizon=date(2027, 12, 31), grace=GRACE), START)
SHARED = (NYSE, CRYPTO)
KNOWN_AT = {"quant/columns": ["security_id", "known_at"]}
RESEARCH = {"quant/research": True}


def table(
    name: str,
    deps: Sequence[dg.AssetDep | str] = (),
    *,
    partitions: dg.PartitionsDefinition | None = NYSE,
    metadata: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dg.AssetsDefinition:
    """Return an asset that declares all that it should, but for the changes."""
    declared: dict[str, Any] = {
        "key": ["instruments", name],
        "deps": deps,
        "partitions_def": partitions,
        "metadata": metadata,
        "kinds": {"polars"},
        "owners": ["team:platform"],
        "description": "A table.",
        "group_name": "market",
        "code_version": "1",
    }
    if partitions is not None:
        declared["backfill_policy"] = dg.BackfillPolicy.multi_run(252)

    @dg.asset(**(declared | changes))
    def body() -> None: ...

    return body


def reads(name: str, mapping: dg.PartitionMapping | None = None) -> dg.AssetDep:
    return dg.AssetDep(dg.AssetKey(["instruments", name]), partition_mapping=mapping)


def lint(*assets: Any, shared: Sequence[dg.PartitionsDefinition] = SHARED) -> list[LintFinding]:
    return lint_definitions(dg.Definitions(assets=list(assets)), shared_partitions=shared)


def rules(*assets: Any) -> list[tuple[str, str]]:
    return [(finding.asset, finding.rule) for finding in lint(*assets)]


def test_a_clean_graph_has_no_findings() -> None:
    assert (
        rules(
            table("securities", partitions=None, metadata=KNOWN_AT),
            table("bars", [reads("securities")]),
            table("returns", [reads("bars", lookback_mapping(1))]),
            table("trend", [reads("returns", lookback_mapping(252))]),
            table(
                "state",
                [reads("returns"), reads("state", lookback_mapping(1, self_dependent=True))],
            ),
            table("coins", [reads("bars", other_calendar_mapping(7))], partitions=CRYPTO),
            table("meta", [reads("coins", other_calendar_mapping(1)), reads("trend")]),
            table("study", [reads("trend")], partitions=None, metadata=RESEARCH),
        )
        == []
    )


@pytest.mark.parametrize(
    ("mapping", "rule"),
    [
        (dg.LastPartitionMapping(), "last_partition_mapping"),
        (dg.AllPartitionMapping(), "all_partition_mapping"),
        (dg.TimeWindowPartitionMapping(end_offset=1), "mapping_end_offset"),
        (dg.TimeWindowPartitionMapping(start_offset=1, end_offset=0), "mapping_start_offset"),
        (dg.SpecificPartitionsPartitionMapping(["2020-01-02"]), "other_mapping"),
    ],
)
def test_a_mapping_that_can_look_ahead(mapping: dg.PartitionMapping, rule: str) -> None:
    assert rules(table("bars"), table("returns", [reads("bars", mapping)])) == [
        ("instruments/returns", rule)
    ]


def test_a_mapping_is_found_however_it_is_declared() -> None:
    @dg.asset(
        key=["instruments", "returns"],
        ins={
            "bars": dg.AssetIn(["instruments", "bars"], partition_mapping=dg.AllPartitionMapping())
        },
        partitions_def=NYSE,
        backfill_policy=dg.BackfillPolicy.multi_run(252),
        kinds={"polars"},
        owners=["team:platform"],
        description="A table.",
        group_name="market",
        code_version="1",
    )
    def returns(bars: Any) -> None: ...

    assert rules(table("bars"), returns) == [("instruments/returns", "all_partition_mapping")]


@pytest.mark.parametrize(
    ("own", "upstream"), [(CRYPTO, NYSE), (NYSE, CRYPTO)], ids=["crypto", "nyse"]
)
@pytest.mark.parametrize(
    "mapping", [None, dg.TimeWindowPartitionMapping(), dg.IdentityPartitionMapping()]
)
def test_two_calendars_need_a_look_back(
    own: dg.PartitionsDefinition,
    upstream: dg.PartitionsDefinition,
    mapping: dg.PartitionMapping | None,
) -> None:
    found = rules(
        table("bars", partitions=upstream), table("other", [reads("bars", mapping)], partitions=own)
    )
    assert found == [("instruments/other", "undeclared_calendars")]


def test_an_unpartitioned_asset_may_not_read_sessions_unless_it_is_research() -> None:
    assert rules(table("bars"), table("report", [reads("bars")], partitions=None)) == [
        ("instruments/report", "fan_out")
    ]
    assert rules(
        table("bars"),
        table("report", [reads("bars")], partitions=None, metadata={"quant/research": False}),
    ) == [("instruments/report", "fan_out")]


@pytest.mark.parametrize(
    "metadata", [None, {"quant/columns": ["security_id"]}, RESEARCH, {"quant/columns": "known_at"}]
)
def test_an_unpartitioned_input_must_say_when_its_rows_were_known(
    metadata: Mapping[str, Any] | None,
) -> None:
    securities = table("securities", partitions=None, metadata=metadata)
    assert rules(securities, table("bars", [reads("securities")])) == [
        ("instruments/bars", "unpartitioned_input")
    ]


@pytest.mark.parametrize(
    "columns", [{"known_at": "when"}, dg.MetadataValue.json(["known_at"]), ("known_at",)]
)
def test_columns_may_be_declared_in_any_form(columns: Any) -> None:
    securities = table("securities", partitions=None, metadata={"quant/columns": columns})
    assert rules(securities, table("bars", [reads("securities")])) == []


def test_an_input_that_nobody_defines_is_an_unpartitioned_one() -> None:
    assert rules(table("bars", [reads("elsewhere")])) == [
        ("instruments/bars", "unpartitioned_input")
    ]


def test_carried_state_ends_at_the_session_before() -> None:
    gap = dg.TimeWindowPartitionMapping(start_offset=-3, end_offset=-2)
    assert rules(table("state", [reads("state", gap)])) == [
        ("instruments/state", "self_dependency")
    ]


@pytest.mark.parametrize(
    "mapping", [None, dg.AllPartitionMapping(), dg.TimeWindowPartitionMapping(start_offset=-1)]
)
def test_twin_dagster_itself_refuses_state_that_reads_its_own_session(
    mapping: dg.PartitionMapping | None,
) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="depends on itself"):
        lint(table("state", [reads("state", mapping)]))


@pytest.mark.parametrize(
    ("partitions", "rule"),
    [
        (
            dg.DailyPartitionsDefinition("2020-01-02", timezone="UTC", end_offset=1),
            "partitions_end_offset",
        ),
        (
            dg.TimeWindowPartitionsDefinition(
                start="2020-01-02", fmt="%Y-%m-%d", cron_schedule="0 0 * * 1-5", timezone="UTC"
            ),
            "weekday_cron",
        ),
    ],
)
def test_partitions_that_look_ahead(partitions: dg.PartitionsDefinition, rule: str) -> None:
    found = lint(table("bars", partitions=partitions), shared=[*SHARED, partitions])
    assert [finding.rule for finding in found] == [rule]


def test_weekly_partitions_are_no_weekday_cron() -> None:
    weekly = dg.WeeklyPartitionsDefinition("2020-01-05", timezone="UTC")
    assert lint(table("bars", partitions=weekly), shared=[weekly]) == []


@pytest.mark.parametrize(
    "partitions",
    [
        dg.DailyPartitionsDefinition("2020-01-02", timezone="UTC"),
        daily_partitions(
            build_calendar("XNYS", horizon=date(2027, 12, 31), grace=GRACE), date(2020, 1, 3)
        ),
        dg.StaticPartitionsDefinition(["2020-01-02"]),
    ],
    ids=["own", "other start", "static"],
)
def test_partitions_are_those_of_a_calendar(partitions: dg.PartitionsDefinition) -> None:
    assert rules(table("bars", partitions=partitions)) == [
        ("instruments/bars", "shared_partitions")
    ]


def test_partitions_are_shared_by_value() -> None:
    copy = dg.DailyPartitionsDefinition(
        start_date=datetime(2020, 1, 2, tzinfo=UTC),
        end_date=datetime(2028, 1, 1, tzinfo=UTC),
        timezone="UTC",
    )
    assert copy is not CRYPTO
    assert rules(table("coins", partitions=copy)) == []


@pytest.mark.parametrize(
    "policy", [None, dg.BackfillPolicy.single_run(), dg.BackfillPolicy.multi_run(10)]
)
def test_a_daily_asset_is_filled_by_the_year(policy: dg.BackfillPolicy | None) -> None:
    assert rules(table("bars", backfill_policy=policy)) == [("instruments/bars", "backfill_policy")]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"kinds": None}, "kinds"),
        ({"owners": None}, "owners"),
        ({"description": "  "}, "description"),
        ({"group_name": None}, "group"),
        ({"code_version": None}, "code_version"),
    ],
)
@pytest.mark.parametrize("partitions", [NYSE, None], ids=["partitioned", "unpartitioned"])
def test_every_asset_is_documented(
    change: dict[str, Any], rule: str, partitions: dg.PartitionsDefinition | None
) -> None:
    assert rules(table("bars", partitions=partitions, **change)) == [("instruments/bars", rule)]


def test_a_finding_says_what_to_do_and_comes_in_order() -> None:
    found = lint(
        table("weights", [reads("bars", dg.AllPartitionMapping())], owners=None), table("bars")
    )
    assert [finding.rule for finding in found] == ["all_partition_mapping", "owners"]
    assert found[0].sentence == (
        "it reads all partitions of instruments/bars, later ones included; use lookback_mapping"
    )
