"""Law 3 on the shipped graph, and on a lake and a producer that lose things."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from quant_platform_tests.laws import planted
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.conftest import (
    FIRST,
    LAST,
    MARKET,
    SMALL_FIRST,
    SMALL_LAST,
    filled_small,
)
from quant_platform_tests.laws.nothing_lost import (
    SLOW,
    check_rows_conserved,
    check_versions_kept,
    remade,
)
from quant_platform_tests.laws.workshop import Recipe, Workshop, only

START, END = date(2022, 3, 29), date(2022, 4, 1)


def test_rows_are_conserved(filled: Workshop) -> None:
    check_rows_conserved(filled, FIRST, LAST)


def test_a_row_that_is_thrown_away_is_caught(tmp_path_factory: pytest.TempPathFactory) -> None:
    # So many that some lie in a short history.
    more = {"platform__embedded_market__dirt__impossible": 0.03}
    losing = filled_small(tmp_path_factory, planted.SILENT, more)
    with pytest.raises(LawBroken) as caught:
        check_rows_conserved(losing, SMALL_FIRST, SMALL_LAST)
    assert caught.value.table == "instruments/bars"
    assert "are stored, 0 in quarantine" in str(caught.value)


def test_every_version_can_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another market, the first one again, and a third: each content stays."""
    first = Recipe({**MARKET, "platform__history_start": START.isoformat()}, plant=only())
    second, third = (_seeded(first, seed) for seed in (5, 6))
    workshop = Workshop.open(tmp_path_factory.mktemp("versions"), first)
    workshop.make_all(START, END)
    seen = remade(workshop, [second, first, third], START, END)
    # Who is listed, and what is doubtful, need not differ on one session; nothing is decided yet,
    # and the history is too short for some features.
    short = {f"features_{family}" for family in ("predictability", "liquidity", "volatility")}
    seldom = SLOW | {"universe", "universe_counts", "quality"} | short
    often = [s for s in workshop.stages if s.contract.kind not in seldom]
    alike = [stage.table for stage in often if len(set(seen[stage.table, END])) != 3]
    assert not alike, ", ".join(alike)
    lake = Workshop.open(workshop.folder, third).lake
    check_versions_kept(lake, seen)

    table = "crypto/features_trend"
    oldest = lake.versions(table, END)[0]
    assert not oldest.current
    oldest.path.unlink()
    with pytest.raises(LawBroken) as caught:
        check_versions_kept(lake, seen)
    assert (caught.value.table, caught.value.session) == (table, END)


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    return replace(recipe, changes={**recipe.changes, "platform__embedded_market__seed": seed})
