"""Somebody's own files, evening after evening: corrections come, and what was made stays made."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.cli.test_import import project  # noqa: F401
from quant_platform_tests.sources.files.folders import DAYS, prices, write

PRICES = ("open", "high", "low", "close")
FIRST = DAYS[0].isoformat()
S03, S05 = pl.col("symbol") == "S03", pl.col("symbol") == "S05"


def file_of(day: int) -> pl.DataFrame:
    """Write what the vendor's file says on a day.

    S03 is split two for one on the 23rd session, and all before it is restated; S05 is not there
    from the tenth session on, until its bars come after all on the 24th; on the 22nd a volume is
    corrected, on the 24th that is taken back.
    """
    rows = prices(DAYS[: day + 1]).with_columns(pl.col("volume") * 10)
    if day >= 22:
        rows = rows.with_columns(
            *(pl.when(S03).then(pl.col(name) / 2).otherwise(name).alias(name) for name in PRICES),
            volume=pl.when(S03).then(pl.col("volume") * 2).otherwise("volume"),
        )
    if day < 23:
        rows = rows.filter(~S05 | (pl.col("date") <= DAYS[8]))
    wrong = (pl.col("symbol") == "S07") & (pl.col("date") == DAYS[15]) & pl.lit(21 <= day < 23)
    return rows.with_columns(volume=pl.when(wrong).then(7.0).otherwise("volume"))


@pytest.mark.slow
def test_a_week_of_evenings(project: Path) -> None:  # noqa: F811
    source = project.parent / "in"
    (source / "bars/a.csv").unlink()
    kept: dict[str, pl.DataFrame] = {}
    for day in (20, 21, 22, 23, 24):
        write(source, {"bars/a.csv": file_of(day)})
        answer = quant(project, "import", str(source), "--sleeve", "instruments")
        assert answer.code == 0, answer.err
        until = DAYS[day].isoformat()
        answer = quant(project, "backfill", "--from", FIRST, "--to", until, "--job", "us_daily")
        assert answer.code == 0, answer.err
        lake = Lake.open(project / "lakehouse")
        for table in ("bars", "actions", "returns"):
            made = lake.scan(f"instruments/{table}").collect()
            if table in kept:
                day_of = "session" if table == "returns" else "knowledge_session"
                earlier = made.filter(pl.col(day_of) <= DAYS[day - 1])
                assert earlier.equals(kept[table])
            kept[table] = made
    returns, bars, actions = kept["returns"], kept["bars"], kept["actions"]
    # The split is none of a return, on any of its sessions.
    assert returns.filter(security_id="US:S03")["total"].abs().max() < 0.06
    assert actions.filter(security_id="US:S03").select("session", "value").row(0) == (DAYS[22], 2.0)
    # Who was told gone goes on as another security.
    ids = bars.filter(symbol="US:S05")["security_id"].unique().sort().to_list()
    assert ids == ["US:S05", f"US:S05@{DAYS[9]}"]


def test_the_file_is_one_that_says_otherwise_each_day() -> None:
    """Without its corrections the week would show nothing."""
    for day in (21, 22, 23):
        before, after = file_of(day - 1), file_of(day).filter(pl.col("date") <= DAYS[day - 1])
        assert not after.equals(before)
