"""The page of doubts: what was compared with what, and the bars that differ side by side."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from quant_platform.reports.quality import SHOWN, quality_markdown
from quant_platform_tests.market.test_comparison import (
    DAY,
    after,
    at,
    changed,
    flags,
    published,
    tables,
)
from quant_platform_tests.sources.files.folders import DAYS, SYMBOLS, prices
from quant_platform_tests.sources.markets import NYSE


def page(made: dict[str, pl.DataFrame], day: date = DAY) -> str:
    second = ("files", made["second_bars"].lazy()) if "second_bars" in made else None
    return quality_markdown(NYSE, day, flags(made), made["bars"].lazy(), second=second)


def test_without_a_second_source_it_says_that_nobody_looked(tmp_path: Path) -> None:
    told = page(tables(tmp_path, prices(), None))
    assert "No second source is named" in told
    assert "nothing is in doubt" in told
    assert "compared with those of" not in told


def test_it_says_how_many_were_compared_and_shows_those_that_differ(tmp_path: Path) -> None:
    theirs = changed("close", 1.004).filter(~at(DAY, "S04"))
    told = page(tables(tmp_path, prices(), theirs))
    assert f"{len(SYMBOLS) - 1} of {len(SYMBOLS)} bars that became known were compared" in told
    assert "| mismatch | 1 |" in told
    assert "| uncompared | 1 |" in told
    (line,) = [line for line in told.splitlines() if line.startswith("| US:S03 ")]
    own = prices().filter(at())["close"].item()
    assert f"| {DAY} |" in line
    assert f"{own:.2f} / {own * 1.004:.3f}" in line
    assert "40.0" in line


def test_a_bar_that_was_compared_later_stands_under_its_own_session(tmp_path: Path) -> None:
    wrong = published({("S03", DAY): after(2)}, changed("close", 1.004))
    made = tables(tmp_path, published({}), wrong)
    told = page(made, after(2))
    (line,) = [line for line in told.splitlines() if line.startswith("| US:S03 ")]
    assert f"| {DAY} |" in line
    assert f"{len(SYMBOLS)} of {len(SYMBOLS)} bars" in told
    assert "US:S03" not in page(made, after(1))


def test_of_many_the_most_different_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    names = tuple(f"S{number:02d}" for number in range(SHOWN + 5))
    rows = prices(DAYS, names)
    wrong = rows.with_columns(
        low=pl.when((pl.col("date") == DAY) & (pl.col("symbol") > "S01"))
        .then(pl.col("low") * 0.99)
        .otherwise("low")
    )
    told = page(tables(tmp_path, rows, wrong))
    shown = [line for line in told.splitlines() if line.startswith("| US:S")]
    assert len(shown) == SHOWN
    assert "and 3 more" in told
