"""A total-return close beside actions that the files tell: nothing is counted twice or lost."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from quant_platform.market.bars import published_bars
from quant_platform.market.import_report import ImportReport
from quant_platform.market.reference import published_actions
from quant_platform.market.returns import session_returns
from quant_platform.settings.returns import ReturnsSettings
from quant_platform_tests.sources.files.folders import DAYS, SLEEVE, imported, prices, span, write

PAYS, SPLITS = DAYS[10], DAYS[20]
CASH, RATIO = 0.5, 4.0
OWN = pl.col("symbol") == "S01"
PRICES = ("open", "high", "low", "close")


def raw_bars() -> pl.DataFrame:
    """Bars as printed: S01 pays 0.50, and is split four for one ten sessions later."""
    after = OWN & (pl.col("date") >= SPLITS)
    return prices().with_columns(
        pl.when(after).then(pl.col(n) / RATIO).otherwise(n) for n in PRICES
    )


def with_adjusted(bars: pl.DataFrame) -> pl.DataFrame:
    """Add a total-return close, with six decimals as vendors write it."""
    before = bars.filter(OWN, pl.col("date") < PAYS).sort("date")["close"][-1]
    paid = pl.when(OWN & (pl.col("date") < PAYS)).then(1 - CASH / before).otherwise(1.0)
    split = pl.when(OWN & (pl.col("date") < SPLITS)).then(1 / RATIO).otherwise(1.0)
    return bars.with_columns(adj_close=(pl.col("close") * paid * split).round(6))


def made(folder: Path, told: str, rule: str) -> tuple[pl.DataFrame, pl.DataFrame, ImportReport]:
    """Compute actions and returns of S01, given what the files tell of it."""
    tables: dict[str, pl.DataFrame | str] = {"bars.csv": with_adjusted(raw_bars())}
    if told:
        tables["actions.csv"] = "symbol,session,kind,value\n" + told
    mapping = folder / "map.yaml"
    folder.mkdir(exist_ok=True)
    mapping.write_text(rule, encoding="utf-8")
    source, report = imported(write(folder / "in", tables), folder / "lake", mapping)
    bars = published_bars(source, SLEEVE, span()).rows
    actions = published_actions(source, SLEEVE, span(), bars.lazy())
    assert actions.rejected.height == 0
    frames = {"bars": bars.lazy(), "actions": actions.rows.lazy()}
    returns = session_returns(frames, ReturnsSettings(), span())
    own = pl.col("security_id") == "US:S01"
    return actions.rows.filter(own).sort("session"), returns.filter(own), report


SPLIT, DIVIDEND = f"S01,{SPLITS},split,4\n", f"S01,{PAYS},dividend,0.50\n"


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ("", "splits_in_adjusted: true\n"),
        (SPLIT, "splits_in_adjusted: true\n"),
        (SPLIT, "splits_in_adjusted: false\n"),
        (SPLIT + DIVIDEND, "splits_in_adjusted: true\n"),
        (SPLIT + DIVIDEND, "splits_in_adjusted: false\n"),
        (DIVIDEND, "splits_in_adjusted: true\n"),
    ],
)
def test_whoever_tells_it_each_action_counts_once(tmp_path: Path, told: str, rule: str) -> None:
    actions, returns, report = made(tmp_path, told, rule)
    assert actions.select("session", pl.col("kind").cast(pl.String)).rows() == [
        (PAYS, "dividend"),
        (SPLITS, "split"),
    ]
    assert actions["value"].to_list() == pytest.approx([CASH, RATIO], rel=1e-4)
    assert not [found for found in report.findings if found.weight == "warning"]
    closes = dict(raw_bars().filter(OWN).select("date", "close").iter_rows())
    units, held = dict.fromkeys(DAYS, 1.0) | {SPLITS: RATIO}, dict.fromkeys(DAYS, 0.0)
    held[PAYS] = CASH
    expected = [
        (closes[day] * units[day] + held[day]) / closes[before] - 1
        for before, day in pairwise(DAYS)
    ]
    assert returns.sort("session")["total"].to_list() == pytest.approx(expected, abs=1e-6)


def test_a_dividend_on_the_day_of_a_told_split_is_still_read(tmp_path: Path) -> None:
    """What is left of the step beside the split is the dividend."""
    bars = raw_bars()
    before = bars.filter(OWN, pl.col("date") < SPLITS).sort("date")["close"][-1]
    step = pl.when(OWN & (pl.col("date") < SPLITS)).then((1 - CASH / before) / RATIO).otherwise(1.0)
    folder = write(
        tmp_path / "in",
        {
            "bars.csv": bars.with_columns(adj_close=(pl.col("close") * step).round(6)),
            "actions.csv": "symbol,session,kind,value\n" + SPLIT,
        },
    )
    source, _ = imported(folder, tmp_path / "lake")
    rows = published_actions(source, SLEEVE, span()).rows.sort("kind")
    assert dict(rows.select(pl.col("kind").cast(pl.String), "value").iter_rows()) == {
        "split": RATIO,
        "dividend": pytest.approx(CASH, rel=1e-3),
    }


def test_a_split_that_is_read_as_a_payment_is_asked_for(tmp_path: Path) -> None:
    actions, _, report = made(tmp_path, "", "splits_in_adjusted: false\n")
    assert actions["kind"].to_list() == ["dividend", "dividend"]
    (found,) = [line for line in report.findings if line.weight == "warning"]
    assert found.what == "payments of more than a quarter of the price"
    assert "say splits_in_adjusted there" in found.detail
