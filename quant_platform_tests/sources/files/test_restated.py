"""Files that say otherwise than before: corrections, restated closes, and rows from other files."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import SourceError
from quant_platform_tests.sources.files.deliveries import Deliveries
from quant_platform_tests.sources.files.folders import DAYS, prices

TOLD, NEXT, THIRD = DAYS[30], DAYS[31], DAYS[32]
WRONG = (pl.col("symbol") == "S03") & (pl.col("date") == DAYS[28])


def until(rows: pl.DataFrame, last: int) -> pl.DataFrame:
    return rows.filter(pl.col("date") <= DAYS[last])


def told(tmp_path: Path, rows: pl.DataFrame, mapping: str | None = None) -> Deliveries:
    """Have the lake take in a file up to `TOLD`."""
    own = Deliveries(tmp_path, mapping)
    assert not own.deliver({"bars/a.csv": until(rows, 30)}).refusals
    own.take(TOLD)
    return own


def adjusted(rows: pl.DataFrame, share: float = 0.99) -> pl.DataFrame:
    """Add a total-return close: each symbol paid a part of its price on DAYS[20]."""
    paid = pl.when(pl.col("date") < DAYS[20]).then(share).otherwise(1.0)
    return rows.with_columns(adjusted=pl.col("close") * paid)


def newest(rows: pl.DataFrame, *key: str) -> pl.DataFrame:
    return rows.sort("known_at").unique(key, keep="last", maintain_order=True)


def test_a_correction_that_is_taken_back_is_news_again(tmp_path: Path) -> None:
    right = prices()
    own = told(tmp_path, right)
    own.deliver(
        {
            "bars/a.csv": until(
                right.with_columns(volume=pl.when(WRONG).then(5.0).otherwise("volume")), 31
            )
        }
    )
    own.take(NEXT)
    own.deliver({"bars/a.csv": until(right, 32)})
    versions = own.known("bars", DAYS[34]).filter(security_id="US:S03", session=DAYS[28])
    (volume,) = right.filter(WRONG)["volume"]
    assert versions.sort("known_at")["volume"].to_list() == [volume, 5.0, volume]
    # Delivered once more it says what it said.
    own.take(THIRD)
    own.deliver({"bars/a.csv": until(right, 33)})
    assert own.known("bars", DAYS[35]).filter(security_id="US:S03", session=DAYS[28]).height == 3


def test_an_action_and_a_listing_may_be_corrected_back(tmp_path: Path) -> None:
    own = told(tmp_path, prices())
    for number, value in enumerate((5.0, 3.0, 5.0)):
        paid = f"symbol,session,kind,value\nS07,{DAYS[29]},dividend,{value}\n"
        listed = f"symbol,listed_on,name\nS07,2020-01-02,Name {value}\n"
        own.deliver({"actions.csv": paid, "listings.csv": listed})
        own.take(DAYS[31 + number])
    at = DAYS[36]
    assert own.known("actions", at).sort("known_at")["value"].to_list() == [5.0, 3.0, 5.0]
    names = own.known("securities", at).filter(security_id="US:S07").sort("known_at")["name"]
    assert names.to_list() == ["S07", "Name 5.0", "Name 3.0", "Name 5.0"]


def test_one_of_two_rows_under_one_key_is_news_when_it_is_alone(tmp_path: Path) -> None:
    right = prices()
    twice = pl.concat([right, right.filter(WRONG).with_columns(volume=pl.lit(5.0))])
    own = told(tmp_path, twice)
    own.deliver({"bars/a.csv": until(twice.filter(~(WRONG & (pl.col("volume") == 5.0))), 31)})
    rows = own.known("bars", DAYS[34]).filter(security_id="US:S03", session=DAYS[28])
    assert rows.height == 3
    assert newest(rows, "session")["volume"].to_list() == right.filter(WRONG)["volume"].to_list()


def test_corrected_closes_are_no_dividends(tmp_path: Path) -> None:
    first = prices().with_columns(adjusted=pl.col("close"))
    own = told(tmp_path, first)
    changed = pl.col("date").is_in([DAYS[3], DAYS[15], DAYS[28]])
    second = first.with_columns(
        pl.when(changed).then(pl.col(name) * 1.02).otherwise(name).alias(name)
        for name in ("high", "close", "adjusted")
    )
    assert not own.deliver({"bars/a.csv": until(second, 31)}).refusals
    own.take(NEXT)
    own.deliver({"bars/a.csv": until(second, 32)})
    assert own.known("actions", DAYS[34]).height == 0
    closes = newest(own.known("bars", DAYS[34]), "symbol", "session")
    assert closes.height == until(second, 32).height


@pytest.mark.parametrize("factor", [0.5, 0.998])
def test_a_history_in_other_units_is_refused(tmp_path: Path, factor: float) -> None:
    """A vendor who restates all closes before a split, or before a dividend."""
    mapping = "asset_class: etf\nbars:\n  - files: bars/*.csv\n"
    first = prices().with_columns(adjusted=pl.col("close"))
    own = told(tmp_path, first, mapping)
    before = own.known("bars", TOLD)
    moved = (pl.col("symbol") == "S03") & (pl.col("date") < NEXT)
    second = first.with_columns(
        pl.when(moved).then((pl.col(name) * factor).round(4)).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close", "adjusted")
    )
    (refusal,) = own.deliver({"bars/a.csv": until(second, 31)}).refusals
    assert refusal.count == 1
    assert "US:S03" in refusal.detail
    assert f"{factor:g} times" in refusal.detail
    assert own.known("bars", DAYS[34]).equals(before)
    # Closes as they were printed are taken.
    assert not own.deliver({"bars/a.csv": until(first, 31)}).refusals


def test_another_precision_is_no_other_unit(tmp_path: Path) -> None:
    exact = prices().with_columns(
        pl.col("high") + 0.0009,
        close=pl.col("close") + 0.0004 * (-1) ** pl.col("date").rank("dense").cast(pl.Int64),
    )
    own = told(tmp_path, exact.with_columns(pl.col("close").round(2)))
    assert not own.deliver({"bars/a.csv": until(exact, 31)}).refusals


def test_what_a_new_file_tells_of_the_past_is_known_now(tmp_path: Path) -> None:
    rows = prices()
    absent = pl.col("date") == DAYS[12]
    own = Deliveries(tmp_path)
    own.deliver({"bars/a.csv": until(rows.filter(~absent), 30)})
    own.take(TOLD)
    now = own.now()
    late = rows.filter(absent | (pl.col("date") == NEXT))
    unheard = until(prices(symbols=["NEW"]), 31)
    # The first session is told by another file already.
    own.deliver(
        {"bars/b.csv": pl.concat([rows.filter(date=DAYS[0]), late]), "bars/new.csv": unheard}
    )
    told_now = own.known("bars", DAYS[34]).filter(known_at=now)
    assert set(told_now["known_at_basis"]) == {"observed"}
    assert told_now.filter(pl.col("symbol") != "US:NEW")["session"].unique().to_list() == [DAYS[12]]
    assert told_now.filter(symbol="US:NEW").height == unheard.height - 1
    assert own.known("bars", DAYS[34]).height == until(rows, 31).height + unheard.height
    own.take(NEXT)
    own.deliver(
        {"bars/b.csv": pl.concat([rows.filter(date=DAYS[0]), late, rows.filter(date=THIRD)])}
    )
    assert own.known("bars", DAYS[34]).height == until(rows, 32).height + unheard.height


@pytest.mark.parametrize("line", ["description: another sentence", "adjusted_tolerance: 1.0e-4"])
def test_another_mapping_does_not_rewrite_what_was_told(tmp_path: Path, line: str) -> None:
    mapping = "asset_class: stock\nbars:\n  - files: bars/*.csv\n"
    right = prices()
    own = told(tmp_path, right, mapping)
    before, securities = own.known("bars", TOLD), own.known("securities", TOLD)
    own.mapping = f"{line}\n{mapping}"
    own.deliver(
        {
            "bars/a.csv": until(
                right.with_columns(volume=pl.when(WRONG).then(5.0).otherwise("volume")), 31
            )
        }
    )
    assert own.known("bars", TOLD).equals(before)
    assert own.known("securities", TOLD).equals(securities)
    after = newest(own.known("bars", DAYS[34]), "symbol", "session")
    assert after.filter(symbol="US:S03", session=DAYS[28])["volume"].to_list() == [5.0]


def test_a_mapping_that_renames_everything_is_refused(tmp_path: Path) -> None:
    """The same bars would be those of two securities."""
    mapping = "bars:\n  - files: bars/*.csv\n"
    own = told(tmp_path, prices(), mapping)
    own.mapping = f"symbols: {{exchange: XX}}\n{mapping}"
    with pytest.raises(SourceError, match=r"XX:S00 and of nothing that it told"):
        own.deliver({"bars/a.csv": until(prices(), 31)})


def test_a_told_action_is_corrected_where_others_are_implied(tmp_path: Path) -> None:
    rows = adjusted(prices())
    own = told(tmp_path, rows)
    head = "symbol,session,kind,value\n"
    own.deliver({"actions.csv": f"{head}S06,{DAYS[25]},special_dividend,2.0\n"})
    own.take(NEXT)
    own.deliver({"actions.csv": f"{head}S06,{DAYS[25]},special_dividend,0.2\n"})
    told_actions = own.known("actions", DAYS[34])
    special = told_actions.filter(pl.col("kind").cast(pl.String) == "special_dividend")
    assert special.sort("known_at")["value"].to_list() == [2.0, 0.2]
    assert told_actions.height == 14


def test_an_implied_dividend_may_be_corrected_too(tmp_path: Path) -> None:
    """What differs by more than rounding is news."""
    own = told(tmp_path, adjusted(prices()))
    own.deliver({"bars/a.csv": until(adjusted(prices(), 0.97), 31)})
    paid = newest(own.known("actions", DAYS[34]), "security_id")
    assert own.known("actions", DAYS[34]).height == 24
    (before,) = prices().filter(symbol="S00", date=DAYS[19])["close"]
    (value,) = paid.filter(security_id="US:S00")["value"]
    assert value == pytest.approx(0.03 * before)


def test_an_empty_adjusted_close_costs_no_dividend(tmp_path: Path) -> None:
    at = (pl.col("symbol") == "S04") & (pl.col("date") == DAYS[3])
    rows = adjusted(prices()).with_columns(adjusted=pl.when(~at).then("adjusted"))
    own = Deliveries(tmp_path)
    report = own.deliver({"bars/a.csv": rows})
    assert own.known("actions", DAYS[40]).height == 12
    (lacking,) = [line for line in report.findings if "without the adjusted" in line.what]
    assert lacking.count == 1


def test_rounding_is_no_dividend(tmp_path: Path) -> None:
    rows = adjusted(prices()).with_columns(pl.col("adjusted").round(2))
    own = Deliveries(tmp_path)
    report = own.deliver({"bars/a.csv": rows})
    actions = own.known("actions", DAYS[40])
    assert actions["session"].unique().to_list() == [DAYS[20]]
    assert actions.height == 12
    assert any("too coarsely" in line.what for line in report.findings)
    exact = Deliveries(tmp_path / "exact").deliver({"bars/a.csv": adjusted(prices())})
    assert not any("too coarsely" in line.what for line in exact.findings)
