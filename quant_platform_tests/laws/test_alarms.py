"""Law 4 on vetoes, blocks, filters and the gates of an evening, through the filled chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_platform.execution import overlay
from quant_platform.lakehouse.gates import Gate
from quant_platform.scanners import cross_section, judgement, universe
from quant_platform_tests.laws import filters
from quant_platform_tests.laws.alarms import (
    ALARMS,
    CONTROLS,
    NAMED,
    Alarm,
    check_alarm,
    require_alarms,
)
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import CHAIN
from quant_platform_tests.laws.filters import check_cross_section, check_scanner, check_universe
from quant_platform_tests.laws.gates import UNEVIDENCED, Unevidenced, check_unevidenced
from quant_platform_tests.laws.veto_alarms import VETO_ALARMS, VETOED
from quant_platform_tests.laws.workshop import Recipe, Workshop

KINDS = {stage.table: stage.contract.kind for stage in Recipe(CHAIN).graph(Path()).stages}
SCANNERS, UNIVERSES, CROSS_SECTIONS = (
    [table for table, of in KINDS.items() if of == kind]
    for kind in ("scan", "universe", "cross_section")
)


@pytest.fixture(scope="module")
def ranking(filled: Workshop) -> Workshop:
    """Take the history that is long enough for trend scores, with what stands on its features."""
    return filled.under(replace(filled.recipe, plant=None))


def test_every_gate_has_an_alarm() -> None:
    require_alarms()
    require_alarms(VETOED, VETO_ALARMS)


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_fires_its_gates(alarm: Alarm, chain: Workshop) -> None:
    check_alarm(chain, alarm)


@pytest.mark.parametrize("alarm", VETO_ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_fires_its_vetoes(alarm: Alarm, choosing: Workshop) -> None:
    check_alarm(choosing, alarm)


@pytest.mark.parametrize("table", SCANNERS)
def test_every_gate_of_a_scanner_fires(table: str, chain: Workshop) -> None:
    check_scanner(chain, chain.stage(table))


@pytest.mark.parametrize("table", UNIVERSES)
def test_every_screen_of_a_universe_fires(table: str, chain: Workshop) -> None:
    check_universe(chain, chain.stage(table))


def test_a_screen_that_stops_nobody_is_caught(
    chain: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = universe.entry
    monkeypatch.setattr(
        universe, "entry", lambda rule, _, value, limit: entry(rule, pl.lit(True), value, limit)
    )
    with pytest.raises(LawBroken, match="gate 'stale' fired on 0 of"):
        check_universe(chain, chain.stage(UNIVERSES[0]))


def test_a_screen_that_nobody_knows_is_caught(
    chain: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "universe_gates", lambda *_: [Gate("short_interest", "choice")])
    with pytest.raises(LawBroken, match="nothing is known to make its gate 'short_interest' fire"):
        check_universe(chain, chain.stage(UNIVERSES[0]))


@pytest.mark.parametrize("table", CROSS_SECTIONS)
def test_every_gate_of_a_cross_section_fires(table: str, ranking: Workshop) -> None:
    check_cross_section(ranking, ranking.stage(table))


def test_a_floor_that_stops_nobody_is_caught(
    ranking: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = cross_section.entry
    monkeypatch.setattr(
        cross_section,
        "entry",
        lambda rule, _, value, limit: entry(rule, pl.lit(True), value, limit),
    )
    with pytest.raises(LawBroken, match="gate 'trend_score' fired on 0 of"):
        check_cross_section(ranking, ranking.stage(CROSS_SECTIONS[0]))


def test_a_floor_that_is_told_and_not_heeded_is_caught(ranking: Workshop) -> None:
    stage = ranking.stage(CROSS_SECTIONS[0])

    def heedless(*arguments: Any) -> pl.DataFrame:
        return stage.function(*arguments).with_columns(selected=pl.lit(True))

    with pytest.raises(LawBroken, match="gate 'trend_score' kept 0 of"):
        check_cross_section(ranking, replace(stage, function=heedless))


def test_a_floor_that_nobody_knows_is_caught(
    ranking: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "cross_section_gates", lambda _: [Gate("float", "choice")])
    with pytest.raises(LawBroken, match="nothing is known to make its gate 'float' fire"):
        check_cross_section(ranking, ranking.stage(CROSS_SECTIONS[0]))


def test_an_excluded_symbol_is_a_gate(chain: Workshop) -> None:
    stage = chain.stage(SCANNERS[0])
    excluding = stage.settings.model_copy(update={"exclude_symbols": ("BINANCE:NOBODY",)})
    check_scanner(chain, replace(stage, settings=excluding))


@pytest.mark.parametrize("case", UNEVIDENCED, ids=lambda case: case.name)
def test_a_rule_fires_where_settings_leave_it_no_evidence(
    case: Unevidenced, filled: Workshop
) -> None:
    check_unevidenced(filled, case)


def test_a_gate_without_an_alarm_is_caught() -> None:
    more = {**NAMED, CONTROLS: (*overlay.BLOCKS, Gate("SECTOR_CAP", "choice"))}
    with pytest.raises(LawBroken, match="no alarm makes its gate 'SECTOR_CAP' fire"):
        require_alarms(more)


def test_a_block_that_cannot_fire_is_caught(
    chain: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    inert = [
        replace(block, breaks=lambda wanted, _: wanted.weight < -1)
        if block.name == overlay.NAME_CAP
        else block
        for block in overlay.BLOCKS
    ]
    monkeypatch.setattr(overlay, "BLOCKS", tuple(inert))
    (cap,) = [alarm for alarm in ALARMS if (CONTROLS, overlay.NAME_CAP) in alarm.fires]
    with pytest.raises(LawBroken, match="gate 'NAME_CAP' fired 0 times"):
        check_alarm(chain, cap)


def test_a_filter_that_passes_everything_is_caught(
    chain: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = dict.fromkeys(judgement._COMPARE, lambda value, _: np.isfinite(value) | True)
    monkeypatch.setattr(judgement, "_COMPARE", blind)
    with pytest.raises(LawBroken, match="fired on 0 of"):
        check_scanner(chain, chain.stage(SCANNERS[0]))


def test_a_gate_of_a_scanner_that_nobody_knows_is_caught(
    chain: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "scan_gates", lambda _: [Gate("sector", "choice")])
    with pytest.raises(LawBroken, match="nothing is known to make its gate 'sector' fire"):
        check_scanner(chain, chain.stage(SCANNERS[0]))
