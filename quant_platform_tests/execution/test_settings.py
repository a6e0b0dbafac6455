"""The settings of execution: the shipped file says the defaults, and nonsense is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from quant_platform.settings.documents import read_document
from quant_platform.settings.execution import ExecutionSettings, RiskSettings, TermsSettings
from quant_platform.settings.problems import Place

SHIPPED = Path(__file__).parents[2] / "assets_config" / "execution.yaml"


def test_the_shipped_file_says_the_defaults() -> None:
    document = read_document(SHIPPED.read_bytes(), Place(1, SHIPPED.name))
    assert document.problems == []
    assert ExecutionSettings(**document.value) == ExecutionSettings()
    assert document.value.keys() == ExecutionSettings.model_fields.keys()


def test_terms_go_by_the_calendar_unless_the_sleeve_has_its_own() -> None:
    own = TermsSettings(half_spread_bps=1.0)
    conf = ExecutionSettings(sleeves={"etfs": own})
    assert conf.terms("instruments", "XNYS") == conf.exchange
    assert conf.terms("crypto", "24/7") == conf.around_the_clock
    assert conf.terms("etfs", "XNYS") == own


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"floor": 0.5, "ceiling": 0.4}, "floor 0.5 is above ceiling 0.4"),
        ({"volatility_lookback": 10, "least_joint_sessions": 11}, "more than the"),
        ({"name_cap": 0.0}, "greater than 0"),
    ],
)
def test_limits_that_contradict_one_another_are_refused(
    values: dict[str, float], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        RiskSettings(**values)
