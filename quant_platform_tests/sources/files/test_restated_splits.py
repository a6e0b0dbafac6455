"""A vendor who restates all closes before a split: the split is told, and no close is rewritten."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, prices

TOLD, NEXT = DAYS[30], DAYS[31]
PRICES = ("open", "high", "low", "close")
MAPPING = "asset_class: etf\nbars:\n  - files: bars/*.csv\n"
WITH_ACTIONS = MAPPING + "actions:\n  - files: actions.csv\n"
SPLIT = pl.col("symbol") == "S03"


def printed(ex: int = 31, ratio: float = 2.0) -> pl.DataFrame:
    """Prices and volumes as they were printed: S03 is split on one day."""
    after = SPLIT & (pl.col("date") >= DAYS[ex])
    rows = prices().with_columns(pl.col("volume") * 10)
    return rows.with_columns(
        *(pl.when(after).then((pl.col(n) / ratio).round(2)).otherwise(n).alias(n) for n in PRICES),
        volume=pl.when(after).then(pl.col("volume") * ratio).otherwise("volume"),
    )


def restated(rows: pl.DataFrame, last: int, ex: int = 31, ratio: float = 2.0) -> pl.DataFrame:
    """Write the file of a day: closes in the units of that day, and a dividend."""
    before = SPLIT & (pl.col("date") < DAYS[ex]) & pl.lit(last >= ex)
    paid = pl.when(pl.col("date") < DAYS[20]).then(0.99).otherwise(1.0)
    return (
        rows.filter(pl.col("date") <= DAYS[last])
        .with_columns(
            *(
                pl.when(before).then((pl.col(n) / ratio).round(4)).otherwise(n).alias(n)
                for n in PRICES
            ),
            volume=pl.when(before).then((pl.col("volume") * ratio).round()).otherwise("volume"),
        )
        .with_columns(adjusted=pl.col("close") * paid)
    )


def closes(own: Deliveries, day: int) -> pl.DataFrame:
    rows = own.known("bars", DAYS[day]).filter(symbol="US:S03")
    assert rows["session"].is_unique().all()
    return rows.sort("session").select("session", *PRICES, "volume")


def splits(own: Deliveries, day: int) -> list[tuple[str, object, float]]:
    rows = own.known("actions", DAYS[day])
    some = rows.filter(pl.col("kind").cast(pl.String) == "split")
    return list(some.select("security_id", "session", "value").iter_rows())


@pytest.mark.parametrize("ratio", [2.0, 1.5, 0.1])
def test_a_restated_split_is_told_day_after_day(tmp_path: Path, ratio: float) -> None:
    rows = printed(ratio=ratio)
    own = Deliveries(tmp_path, MAPPING)
    own.deliver({"bars/a.csv": restated(rows, 30, ratio=ratio)})
    own.take(TOLD)
    dividends = own.known("actions", TOLD)
    for day in (31, 32, 33):
        report = own.deliver({"bars/a.csv": restated(rows, day, ratio=ratio)})
        assert not report.refusals
        own.take(DAYS[day])
        expected = rows.filter(SPLIT, pl.col("date") <= DAYS[day]).rename({"date": "session"})
        found = closes(own, day)
        assert found["session"].equals(expected["session"])
        for name in (*PRICES, "volume"):
            assert found[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-4)
        assert splits(own, day) == [("US:S03", NEXT, ratio)]
        # What was told is the same to the last bit.
        assert found.head(31).equals(closes(own, 30))
    known = own.known("actions", DAYS[33])
    assert known.filter(pl.col("kind").cast(pl.String) == "dividend").equals(dividends)


def test_a_second_split_and_a_correction_after_the_first(tmp_path: Path) -> None:
    rows = printed()
    own = Deliveries(tmp_path, MAPPING)
    for day in (30, 31, 32):
        own.deliver({"bars/a.csv": restated(rows, day)})
        own.take(DAYS[day])
    # Three for one on DAYS[33]; a close of long ago is corrected on the same day.
    wrong = SPLIT & (pl.col("date") == DAYS[5])
    both = restated(rows, 33).with_columns(
        *(
            pl.when(SPLIT & (pl.col("date") < DAYS[33]))
            .then((pl.col(name) / 3).round(4))
            .when(SPLIT)
            .then(pl.col(name) / 3)
            .otherwise(name)
            .alias(name)
            for name in (*PRICES, "adjusted")
        ),
        volume=pl.when(SPLIT).then(pl.col("volume") * 3).otherwise("volume"),
    )
    both = both.with_columns(close=pl.when(wrong).then(pl.col("close") + 0.02).otherwise("close"))
    assert not own.deliver({"bars/a.csv": both}).refusals
    assert splits(own, 34) == [("US:S03", NEXT, 2.0), ("US:S03", DAYS[33], 3.0)]
    versions = own.known("bars", DAYS[34]).filter(symbol="US:S03", session=DAYS[5])
    old, new = versions.sort("known_at")["close"].to_list()
    assert new == pytest.approx(old + 0.12, abs=0.001)
    assert own.known("bars", DAYS[34]).height == rows.filter(pl.col("date") <= DAYS[33]).height + 1


def test_a_day_that_can_not_be_told_is_asked_for(tmp_path: Path) -> None:
    """Of three new sessions any can be the first on new terms, until the actions say which."""
    rows = printed(32)
    own = Deliveries(tmp_path, MAPPING)
    own.deliver({"bars/a.csv": restated(rows, 30)})
    own.take(TOLD)
    (refusal,) = own.deliver({"bars/a.csv": restated(rows, 33, ex=32)}).refusals
    assert "any of 3 sessions" in refusal.detail
    told = f"symbol,session,kind,value\nS03,{DAYS[32]},split,2.0\n"
    own.mapping = WITH_ACTIONS
    assert not own.deliver({"actions.csv": told}).refusals
    own.take(DAYS[33])
    assert splits(own, 33) == [("US:S03", DAYS[32], 2.0)]
    expected = rows.filter(SPLIT, pl.col("date") <= DAYS[33])["close"].to_list()
    assert closes(own, 33)["close"].to_list() == pytest.approx(expected, rel=1e-4)


def test_another_currency_is_no_split(tmp_path: Path) -> None:
    """The volumes stay as they were."""
    rows = printed(ratio=0.01)
    own = Deliveries(tmp_path, MAPPING)
    own.deliver({"bars/a.csv": restated(rows, 30, ratio=0.01)})
    own.take(TOLD)
    volumes = prices()["volume"] * 10
    pence = restated(rows, 31, ratio=0.01).with_columns(
        volume=volumes.filter(prices()["date"] <= DAYS[31])
    )
    (refusal,) = own.deliver({"bars/a.csv": pence}).refusals
    assert "the volumes were not restated with them" in refusal.detail


def test_a_file_that_prints_its_closes_again_is_taken_at_its_word(tmp_path: Path) -> None:
    rows = printed()
    own = Deliveries(tmp_path, MAPPING)
    for day in (30, 31):
        own.deliver({"bars/a.csv": restated(rows, day)})
        own.take(DAYS[day])
    told = f"symbol,session,kind,value\nS03,{NEXT},split,2.0\n"
    own.mapping = WITH_ACTIONS
    plain = rows.filter(pl.col("date") <= DAYS[32])
    assert not own.deliver({"bars/a.csv": plain, "actions.csv": told}).refusals
    own.take(DAYS[32])
    assert splits(own, 32) == [("US:S03", NEXT, 2.0)]
    assert closes(own, 32)["close"].to_list() == pytest.approx(
        plain.filter(SPLIT)["close"].to_list()
    )
