"""The ledgers of the models: what is told of each session, and what becomes of it later."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.ledgers import Ledger
from quant_platform.orchestration.assets.telling import told
from quant_platform.regimes.decisions import LEDGERS, action_of, regime_decisions
from quant_platform_tests.regimes.markets import PLAIN, SETTINGS

ROWS = PLAIN[330:334]
DAYS = ROWS["session"].to_list()


def ledger(root: Path, model: str) -> Ledger:
    return Ledger(root, LEDGERS[model], lambda: datetime(2026, 1, 1, tzinfo=UTC))


def tell(root: Path, model: str, rows: pl.DataFrame, table: str = "market/regime") -> Ledger:
    """Tell a ledger of the rows, as the stage does."""
    said = told(action_of(table), regime_decisions(rows, model), "run")
    kept = ledger(root, model)
    kept.restate(said.action, DAYS, said.records, "run")
    return kept


@pytest.mark.parametrize("model", ["e1", "e2"])
def test_each_session_is_a_line_that_says_what_the_model_said(model: str, tmp_path: Path) -> None:
    lines = tell(tmp_path, model, ROWS).in_force()
    assert [line.session for line in lines] == DAYS
    for line, row in zip(lines, ROWS.iter_rows(named=True), strict=True):
        payload = line.payload
        for name in ("raw", "label", "confirmed", "risk_multiplier", "requested", "actual"):
            assert payload[name] == row[f"{model}_{name}"], name
        assert payload["benchmark"] == SETTINGS.benchmark.security_id
        assert payload["read"] == (model == "e1")
        assert payload["inputs"]["trend"] == row["trend"]
        assert payload["states"]["volatility_label"] == row["volatility_label"]
        assert ("score" in payload) == (model == "e2")
    assert not ledger(tmp_path, model).verify().problems


def test_telling_it_again_is_no_line_and_telling_another_supersedes(tmp_path: Path) -> None:
    kept = tell(tmp_path, "e2", ROWS)
    before = len(list(kept.lines()))
    tell(tmp_path, "e2", ROWS)
    assert len(list(kept.lines())) == before
    last = pl.col("session") == DAYS[-1]
    corrected = ROWS.with_columns(e2_score=pl.when(last).then(0.5).otherwise("e2_score"))
    tell(tmp_path, "e2", corrected)
    assert len(list(kept.lines())) == before + 1
    assert [line.payload["score"] for line in kept.in_force()][-1] == 0.5


def test_one_market_leaves_the_lines_of_another_alone(tmp_path: Path) -> None:
    tell(tmp_path, "e1", ROWS)
    other = ROWS.with_columns(benchmark=pl.lit("btc"))
    kept = tell(tmp_path, "e1", other, "crypto/regime")
    tell(tmp_path, "e1", ROWS.clear())
    assert {line.payload["benchmark"] for line in kept.in_force()} == {"btc"}
