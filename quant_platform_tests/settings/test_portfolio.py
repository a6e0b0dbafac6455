"""What the settings of portfolios refuse, and that the shipped meta says what the model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from quant_platform.settings.portfolio import CostSettings, MetaSettings, ProfilesSettings

SHIPPED = Path(__file__).parents[2] / "assets_config" / "meta" / "meta.yaml"


def meta(**changes: Any) -> MetaSettings:
    return MetaSettings.model_validate({"name": "meta", "members": ["a", "b", "c"], **changes})


def test_the_shipped_file_says_what_the_model_says() -> None:
    shipped = yaml.safe_load(SHIPPED.read_text())
    found = MetaSettings.model_validate({"name": "meta", **shipped})
    plain = MetaSettings(name="meta", members=found.members, description=found.description)
    assert found == plain
    assert set(shipped) == set(MetaSettings.model_fields) - {"name"}


def test_costs_add_up() -> None:
    assert CostSettings().rate == pytest.approx(6e-4)
    assert CostSettings(slippage_bps=10, commission_bps=4).rate == pytest.approx(14e-4)


def test_the_order_of_a_list_changes_nothing() -> None:
    assert meta(members=["c", "a", "b"]) == meta()
    assert meta(profiles=["hrp", "equal_weight"]).profiles == ("equal_weight", "hrp")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"members": ["a"]}, "1 sleeves between 0.05 and 0.5 each can not add up to one"),
        ({"bounds": {"lower": 0.05, "upper": 0.3}}, "3 sleeves between 0.05 and 0.3"),
        ({"bounds": {"lower": 0.4, "upper": 0.5}}, "3 sleeves between 0.4 and 0.5"),
        ({"members": ["a", "b", "a"]}, "a is listed twice"),
        ({"members": []}, "at least 1"),
        ({"train": 10, "min_joint": 20}, "min_joint 20 is more than the 10 sessions"),
        ({"profiles": ["most_sharpe"]}, "equal_weight"),
        ({"costs": {"slippage_bps": 5.0}}, "costs"),  # those of the sleeves hold
    ],
)
def test_a_meta_that_can_not_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        meta(**changes)


def test_thirds_add_up_as_they_are_written() -> None:
    assert meta(bounds={"lower": 0.0, "upper": 1 / 3}).bounds.upper == 1 / 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lookback": 30, "min_rows": 40}, "min_rows 40 is more than the lookback of 30"),
        ({"cap": 0.0}, "greater than 0"),
        ({"profiles": ["hrp", "hrp"]}, "hrp is listed twice"),
        ({"hrp": {"linkage": "nearest"}}, "'single', 'complete', 'average' or 'ward'"),
    ],
)
def test_profiles_that_can_not_be_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ProfilesSettings.model_validate(changes)
