"""Scans of stored features, and of features that are recomputed; and a stored one that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import FIRST, LAST
from quant_platform_tests.laws.parity import LAW, check_parity
from quant_platform_tests.laws.workshop import Workshop

CANDIDATES = "instruments/candidates"


def last_sessions(workshop: Workshop) -> list[date]:
    return workshop.sessions(workshop.stage(CANDIDATES), FIRST, LAST)[-60:]


def test_scans_from_bars_are_those_from_stored_features(choosing: Workshop) -> None:
    sessions = last_sessions(choosing)
    found = check_parity(choosing, CANDIDATES, sessions)
    scans = [name for name in found if name.startswith("instruments/scan_")]
    assert scans
    features = {name for name in found if name.startswith("instruments/features_")}
    assert len(features) >= 5
    # Something is found at all: empty scans would be equal whatever they were made of.
    assert found[CANDIDATES].filter(pl.col("session").is_in(sessions)).height > 0


def test_a_last_bit_of_a_feature_is_seen(choosing: Workshop) -> None:
    """As if the stored features had been made by other arithmetic than tonight's."""
    sessions = last_sessions(choosing)

    def off(stage: Stage) -> Stage:
        if stage.table != "instruments/features_trend":
            return stage
        honest = stage.function

        def function(*told: object) -> pl.DataFrame:
            made = honest(*told)
            assert isinstance(made, pl.DataFrame)
            moved = np.nextafter(made["trend_score"].to_numpy(), np.float32(np.inf))
            return made.with_columns(trend_score=pl.Series(moved).fill_nan(None))

        return replace(stage, function=function)

    stages = tuple(off(stage) for stage in choosing.stages)
    other = Workshop(
        choosing.folder,
        choosing.recipe,
        replace(choosing.graph, stages=stages),
        choosing.lake,
        choosing.io,
    )
    with pytest.raises(LawBroken) as caught:
        check_parity(other, CANDIDATES, sessions)
    assert (caught.value.law, caught.value.table) == (LAW, "instruments/features_trend")
