"""Contracts: every one is well formed, and what breaks one is told with rule and rows."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from quant_platform.errors import ContractError
from quant_platform.lakehouse.content import frame_hash
from quant_platform.lakehouse.contracts import CONTRACTS, Contract, contract_of
from quant_platform.lakehouse.contracts.feature import null_before
from quant_platform_tests.lakehouse.small_lake import SESSIONS, bar, bars_frame, trend_frame

ALL = sorted(CONTRACTS)
TREND = CONTRACTS["features_trend"]
STATE = CONTRACTS["features_state"]
BARS = CONTRACTS["bars"]
TABLE = "instruments/features_trend"


def trend_row(**changes: Any) -> pl.DataFrame:
    frame = trend_frame([SESSIONS[0]])
    return frame.with_columns(
        pl.lit(value, frame.schema[name]).alias(name) for name, value in changes.items()
    )


def state_row(**changes: Any) -> pl.DataFrame:
    plain = {
        "session": SESSIONS[0],
        "security_id": "a",
        "revisions_missed": 0,
        "bars": 20,
        "idle": 0,
    }
    schema = STATE.empty().schema
    carried = {name: 10.0 for name in schema if name.endswith("_state")}
    row = dict.fromkeys(schema) | carried | plain | changes
    return pl.DataFrame([row], schema=schema)


# -- well formed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_contract_can_be_read_by_a_person(kind: str) -> None:
    contract = CONTRACTS[kind]
    assert contract.kind == kind
    assert contract.grain
    assert contract.version >= 1
    for name, column in contract.columns.items():
        assert column.description, name
    assert contract.partition in contract.columns
    assert contract.columns[contract.partition].dtype == pl.Date
    assert not contract.columns[contract.partition].nullable
    assert contract.key
    assert set(contract.key) <= set(contract.columns)


@pytest.mark.parametrize("kind", ALL)
def test_an_empty_frame_keeps_its_contract_and_has_a_hash(kind: str) -> None:
    contract = CONTRACTS[kind]
    empty = contract.empty()
    assert contract.validate(f"x/{kind}", empty).equals(empty)
    assert frame_hash(empty, contract.key)
    good, rejected = contract.quarantine(empty)
    assert (good.height, rejected.height) == (0, 0)
    assert set(rejected.columns) == {*contract.columns, "rule"}


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.startswith("features")])
def test_features_are_single_precision_and_say_their_warm_up(kind: str) -> None:
    columns = CONTRACTS[kind].columns
    warm = {name: column for name, column in columns.items() if null_before(column)}
    assert warm
    for name, column in warm.items():
        assert column.dtype == pl.Float32 or isinstance(column.dtype, pl.Enum), name
        assert f"before {null_before(column)} " in (column.description or ""), name


@pytest.mark.parametrize("kind", ALL)
def test_rules_of_a_contract_have_names_of_their_own(kind: str) -> None:
    names = [rule.name for rule in CONTRACTS[kind].rules]
    assert len(names) == len(set(names))


def test_tables_find_their_contract_by_the_last_part() -> None:
    assert contract_of("etfs/bars") is contract_of("crypto/bars") is BARS
    assert contract_of("quarantine/crypto/bars").kind == "quarantine"
    with pytest.raises(ContractError, match="features_trend"):
        contract_of("etfs/features_trends")
    with pytest.raises(ContractError, match="has no contract"):
        contract_of("etfs/zzz")


# -- derived rows ----------------------------------------------------------------------------------


def test_validated_rows_come_back_in_the_contracts_order() -> None:
    frame = trend_row(sma_20=9.0, performance_21=-0.5)
    shuffled = frame.select(sorted(frame.columns))
    assert TREND.validate(TABLE, shuffled).equals(frame)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"close": 0.0}, "close"),
        ({"close": math.nan}, "close"),
        ({"sma_20": -1.0}, "sma_20"),
        ({"sma_20": math.inf}, "sma_20"),
        ({"sma_50_slope": math.nan}, "sma_50_slope"),
        ({"performance_21": -1.5}, "performance_21"),
        ({"volatility_21": -0.01}, "volatility_21"),
        ({"high_252_distance": 0.01}, "high_252_distance"),
        ({"volume_ratio_20": -1.0}, "volume_ratio_20"),
        ({"bars_252": 253}, "bars_252"),
        ({"security_id": ""}, "security_id"),
        ({"security_id": None}, "security_id"),
        ({"session": None}, "session"),
    ],
)
def test_a_row_out_of_range_is_told_with_its_rule(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ContractError, match=rf"breaks {rule}\|") as told:
        TREND.validate(TABLE, trend_row(**changes))
    assert TABLE in str(told.value)
    assert "first rows are" in str(told.value)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"rsi_14": 100.1}, "rsi_14"),
        ({"rsi_14": -0.1}, "rsi_14"),
        ({"ema_20": 0.0}, "ema_20"),
        ({"bars": 0}, "bars"),
        ({"gain_14_state": -0.1}, "gain_14_state"),
        ({"loss_14_state": -0.1}, "loss_14_state"),
        ({"close_state": math.inf}, "close_state"),
        ({"revisions_missed": None}, "revisions_missed"),
    ],
)
def test_a_state_out_of_range_is_told_with_its_rule(changes: dict[str, Any], rule: str) -> None:
    table = "instruments/features_state"
    assert STATE.validate(table, state_row()).height == 1
    with pytest.raises(ContractError, match=rf"breaks {rule}\|"):
        STATE.validate(table, state_row(**changes))


def test_a_key_that_occurs_twice_is_told() -> None:
    with pytest.raises(ContractError, match="primary_key"):
        TREND.validate(TABLE, pl.concat([trend_row(), trend_row()]))


def test_columns_and_types_are_told_before_any_value() -> None:
    frame = trend_row()
    with pytest.raises(ContractError, match="sma_20"):
        TREND.validate(TABLE, frame.drop("sma_20"))
    with pytest.raises(ContractError, match="surplus"):
        TREND.validate(TABLE, frame.with_columns(surplus=1))
    with pytest.raises(ContractError, match=r"'sma_20' of table '.*' is Float64"):
        TREND.validate(TABLE, frame.with_columns(pl.col("sma_20").cast(pl.Float64)))


# -- external rows ---------------------------------------------------------------------------------


def test_quarantine_splits_rows_and_names_every_rule_broken() -> None:
    rows = [
        bar("good", SESSIONS[0]),
        bar("low", SESSIONS[0]) | {"low": 11.0},
        bar("high", SESSIONS[0]) | {"high": 9.0},
        bar("both", SESSIONS[0]) | {"low": 11.0, "high": 9.0},
        bar("early", SESSIONS[3]) | {"knowledge_session": SESSIONS[2]},
        bar("short", SESSIONS[0]) | {"symbol": "A"},
    ]
    good, rejected = BARS.quarantine(bars_frame(rows))
    assert good["security_id"].to_list() == ["good"]
    found = dict(rejected.select("security_id", "rule").iter_rows())
    assert {name: set(rules.split(", ")) for name, rules in found.items()} == {
        "low": {"low_is_lowest"},
        "high": {"high_is_highest"},
        "both": {"low_is_lowest", "high_is_highest"},
        "early": {"session_is_known"},
        "short": {"symbol|min_length"},
    }
    assert rejected.drop("rule").columns == list(BARS.columns)


def test_a_contract_of_ones_own_works_like_the_shipped_ones() -> None:
    class Fees(dy.Schema):
        session = dy.Date(primary_key=True, description="Session.")
        fee = dy.Float64(min=0, description="Basis points, positive.")

    contract = Contract("fees", Fees, 1, "one session")
    frame = pl.DataFrame({"fee": [1.0], "session": [date(2024, 1, 2)]})
    assert contract.validate("x/fees", frame).columns == ["session", "fee"]
    with pytest.raises(ContractError, match=r"fee\|min"):
        contract.validate("x/fees", frame.with_columns(fee=pl.lit(-1.0)))
