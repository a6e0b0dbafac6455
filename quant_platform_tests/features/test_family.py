"""Which function makes which column; and the document that says how a feature is added."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import fmean
from textwrap import dedent
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from quant_platform.errors import ContractError
from quant_platform.features.family import Family
from quant_platform.features.finite import Block, finite_features, finite_windows
from quant_platform.features.rolling import mean
from quant_platform.features.trend import TREND
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.contracts.feature import feature, null_before
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND, FeaturesTrend
from quant_platform.settings import TrendSettings
from quant_platform_tests.features.naive import frame_of, walk
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span
from quant_platform_tests.small_project import REPOSITORY


def contract(**lines: dy.Column) -> Contract:
    """Make a contract of a key and some lines."""
    keys = {
        "session": dy.Date(primary_key=True),
        "security_id": dy.String(primary_key=True),
    }
    schema = type(dy.Schema)("Lines", (dy.Schema,), {**keys, **lines})
    return replace(FEATURES_TREND, schema=schema, rules=())


def line(warm_up: int, state: int = 0) -> dy.Float32:
    return feature("A number of a test", "price", warm_up, state=state)


def high(block: Any) -> str:
    return f"high of {block}"


def high_of(block: Any, number: int) -> str:
    return f"high of {block} over {number}"


def test_a_column_finds_the_function_of_its_name_or_of_its_name_without_its_number() -> None:
    family = Family(contract(high=line(1), high_of_7=line(7), high_9_of=line(30, state=5)))
    family.column(high)
    family.column(high_of)
    made = {name: function("b") for name, function in family.functions.items()}
    assert made == {
        "high": "high of b",
        "high_of_7": "high of b over 7",
        "high_9_of": "high of b over 9",
    }
    assert (family.longest, family.state_sessions, family.warm_up("high_of_7")) == (30, 5, 7)
    windows = finite_windows(family)
    assert (windows["bars"].lookback, windows["state"].lookback) == (29, 4)


def test_a_column_without_a_function_is_told() -> None:
    family = Family(contract(high=line(1), low_7=line(7)))
    family.column(high)
    with pytest.raises(ContractError, match="no function makes the column 'low_7'"):
        _ = family.functions


def test_a_function_without_a_column_is_told() -> None:
    family = Family(contract(high=line(1)))
    family.column(high)
    family.column(high_of)
    with pytest.raises(ContractError, match="no column for the function 'high_of'"):
        _ = family.functions


def test_a_feature_is_added_as_the_document_says() -> None:
    document = (REPOSITORY / "docs" / "how-to" / "add-a-feature.md").read_text()
    blocks = [dedent(block) for block in re.findall(r"```python\n(.*?)```", document, re.DOTALL)]
    assert len(blocks) == 2
    lines: dict[str, Any] = {"feature": feature}
    exec(blocks[0], lines)
    added = {name: lines[name] for name in lines if isinstance(lines[name], dy.Column)}
    schema = type(FeaturesTrend)("FeaturesTrend", (FeaturesTrend,), dict(added))
    family = Family(replace(FEATURES_TREND, schema=schema), reads=TREND.reads)
    for function in TREND.written.values():
        family.column(function)
    exec(blocks[1], {"TREND": family, "Block": Block, "Matrix": object, "mean": mean})
    rows = walk("a", SESSIONS[:30], 1)
    frames = {"bars": frame_of(rows).lazy()}
    wanted = span(SESSIONS[0], SESSIONS[29])
    made = finite_features(family, frames, TrendSettings(), wanted)
    made = family.contract.validate("x/features_trend", made)
    ((name, column),) = added.items()
    warm_up = null_before(column)
    assert warm_up is not None
    assert made[name].null_count() == warm_up - 1
    expected = fmean((row["high"] - row["low"]) / row["close"] for row in rows[-warm_up:])
    assert made[name][-1] == pytest.approx(expected, rel=1e-6)
    # The others are as they were.
    plain = finite_features(TREND, frames, TrendSettings(), wanted)
    assert made.drop(name).equals(plain.select(pl.exclude(name)))
