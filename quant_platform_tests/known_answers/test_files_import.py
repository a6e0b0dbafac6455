"""Real market data through mapping files: what the specification says of each set, measured.

The sets are other people's, for internal testing only: they lie beside the repository and are
looked for in ``QUANT_REAL_DATA``, else in ``../shared/data``.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars
from quant_platform.market.hygiene import Ingested
from quant_platform.market.reference import published_actions, published_securities
from quant_platform.market.returns import session_returns
from quant_platform.market.series import published_series
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.sources.files import FilesSource, FolderReader, ImportStore, read_mapping
from quant_platform_tests.known_answers.data import known_answer, real_data
from quant_platform_tests.sources.markets import NYSE

MAPPINGS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "mappings"
FIRST, LAST = date(2015, 3, 20), date(2017, 3, 31)

ADJUSTED = [("AAPL", 6e-5), ("NVDA", 4e-5), *((s, 1e-5) for s in ("KO", "GE", "XOM", "TSLA"))]


def span(first: date, last: date, history: date) -> SessionRange:
    return SessionRange(NYSE, tuple(NYSE.between(first, last)), history)


def imported(folder: Path, mapping: Path, lake: Path, sleeve: str) -> FilesSource:
    reader = FolderReader(folder, read_mapping(mapping), NYSE, {"bars": 30})
    store = ImportStore.of(lake, sleeve)
    store.commit(store.prepare(reader, None))
    return FilesSource(lake, (sleeve,))


# -- total returns ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cumulated(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Wealth of one unit held from the first bar on, beside the vendor's adjusted close."""
    raw = pl.read_parquet(known_answer("actions/raw_div_split_adjclose.parquet"))
    folder = tmp_path_factory.mktemp("vendor")
    raw.drop("adj_close", "dividend", "split").write_parquet(folder / "bars.parquet")
    told = [
        raw.filter(pl.col("split") != 1).select(
            "symbol", "date", kind=pl.lit("split"), value="split"
        ),
        raw.filter(pl.col("dividend") != 0).select(
            "symbol", "date", kind=pl.lit("dividend"), value="dividend"
        ),
    ]
    pl.concat(told).write_parquet(folder / "actions.parquet")
    reader = FolderReader(folder, read_mapping(None), NYSE, {"bars": 30})
    store = ImportStore.of(folder / "lake", "vendor")
    store.commit(store.prepare(reader, None))
    source = FilesSource(folder / "lake", ("vendor",))
    first, last = raw["date"].min(), raw["date"].max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    wanted = span(first, last, first)
    bars = published_bars(source, "vendor", wanted).rows
    actions = published_actions(source, "vendor", wanted, bars.lazy())
    assert actions.rejected.height == 0
    frames = {"bars": bars.lazy(), "actions": actions.rows.lazy()}
    made = session_returns(frames, ReturnsSettings(), wanted)
    wealth = made.select(
        pl.col("session").alias("date"),
        symbol=pl.col("security_id").str.strip_prefix("US:"),
        wealth=(1 + pl.col("total")).cum_prod().over("security_id", order_by="session"),
    )
    return raw.select("symbol", "date", "adj_close").join(wealth, on=["symbol", "date"], how="left")


@pytest.mark.parametrize(("symbol", "tolerance"), ADJUSTED)
def test_cumulated_total_returns_are_the_vendors_adjusted_closes(
    cumulated: pl.DataFrame, symbol: str, tolerance: float
) -> None:
    own = cumulated.filter(pl.col("symbol") == symbol).sort("date")
    scaled = own.with_columns(
        ours=pl.col("wealth").fill_null(1.0) / pl.col("wealth").last(),
        vendors=pl.col("adj_close") / pl.col("adj_close").last(),
    )
    apart = (scaled["ours"] / scaled["vendors"] - 1).abs()
    assert apart.max() <= tolerance


# -- 2015 to 2017, every US listing as published ---------------------------------------------------


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> FilesSource:
    folder = real_data("us_pit_2015_2017/prices.parquet").parents[1]
    lake = tmp_path_factory.mktemp("listings")
    return imported(folder, MAPPINGS / "us_listings.yaml", lake, "own")


@pytest.fixture(scope="module")
def listed_bars(listings: FilesSource) -> Ingested:
    return published_bars(listings, "own", span(FIRST, LAST, FIRST))


def counts(rejected: pl.DataFrame) -> dict[str, int]:
    return dict(rejected.group_by("rule").len().iter_rows())


@pytest.mark.slow
def test_the_set_imports_whole_and_each_row_that_is_refused_has_its_rule(
    listed_bars: Ingested,
) -> None:
    found = counts(listed_bars.rejected)
    assert listed_bars.rows.height + listed_bars.rejected.height == 3_099_739
    assert found.pop("session_in_calendar") == 170
    assert sum(found.values()) == 12
    days = listed_bars.rejected.filter(pl.col("rule") == "session_in_calendar")
    assert days["raw"].str.extract(r'"session":"([-0-9]+)"').n_unique() == 18


@pytest.mark.slow
def test_sessions_that_were_published_late_are_read_late(listed_bars: Ingested) -> None:
    late = pl.col("knowledge_session") > pl.col("session")
    sessions = listed_bars.rows.group_by("session").agg(share=late.mean())
    whole = sessions.filter(pl.col("share") > 0.99)["session"].sort().to_list()
    assert len(whole) == 8
    for day in whole:
        own = listed_bars.rows.filter(pl.col("session") == day, late)
        assert own["knowledge_session"].min() == NYSE.offset(day, 1)


@pytest.mark.slow
def test_splits_that_contradict_the_price_are_quarantined(
    listings: FilesSource, listed_bars: Ingested
) -> None:
    wanted = span(FIRST, LAST, FIRST)
    actions = published_actions(listings, "own", wanted, listed_bars.rows.lazy())
    splits = actions.rejected.filter(pl.col("raw").str.contains('"kind":"split"', literal=True))
    found = counts(splits)
    # 19 that the price knows nothing of, 10 without a ratio, one of those told twice.
    assert found == {"contradicts_price": 19, "value|nan": 10, "repeated_row": 1}
    kept = actions.rows.filter(pl.col("kind").cast(pl.String) == "split")
    assert kept.height == 382 - 30
    assert (kept["knowledge_session"] >= kept["session"]).all()


@pytest.mark.slow
def test_departures_are_classified_and_renames_keep_their_id(
    listings: FilesSource, listed_bars: Ingested
) -> None:
    store = ImportStore.of(listings.lake_root, "own")
    departures = pl.read_parquet(store.root / "departures.parquet")
    became = dict(departures.group_by("became").len().iter_rows())
    assert departures.height == 1195
    assert set(became) == {"renamed", "merged", "delisted", "never_traded"}
    assert 80 <= became["renamed"] <= 95
    assert became["never_traded"] == 110
    securities = published_securities(listings, "own", span(FIRST, LAST, FIRST)).rows
    # AMN Healthcare moved from AHS to AMN in October 2016 and is one security.
    own = listed_bars.rows.filter(pl.col("security_id") == "US:AHS").sort("session")
    assert own["symbol"].unique(maintain_order=True).to_list() == ["US:AHS", "US:AMN"]
    told = securities.filter(pl.col("security_id") == "US:AHS")
    assert told["delisted_on"].null_count() == told.height


@pytest.mark.slow
def test_what_left_for_good_is_paid_the_last_price(
    listings: FilesSource, listed_bars: Ingested
) -> None:
    wanted = span(FIRST, LAST, FIRST)
    actions = published_actions(listings, "own", wanted, listed_bars.rows.lazy()).rows
    gone = actions.filter(pl.col("kind").cast(pl.String).is_in(["delisting", "merger"]))
    some = gone["security_id"].head(40)
    frames = {
        "bars": listed_bars.rows.filter(pl.col("security_id").is_in(some.implode())).lazy(),
        "actions": actions.filter(pl.col("security_id").is_in(some.implode())).lazy(),
    }
    made = session_returns(frames, ReturnsSettings(), wanted)
    last = made.sort("session").group_by("security_id", maintain_order=True).last()
    assert last["delisted"].all()
    assert set(last["settlement"]) == {"last_price"}


# -- two vintages of the factors -------------------------------------------------------------------


def test_two_vintages_of_the_factors_are_read_as_of_their_days(tmp_path: Path) -> None:
    folder = real_data("series/ff5_umd_daily_202407.parquet").parents[1]
    source = imported(folder, MAPPINGS / "series.yaml", tmp_path, "market")
    history = date(2024, 8, 30)
    wanted = span(history, date(2026, 6, 30), history)
    rows = published_series(source, "market", wanted).rows

    def as_of(day: date) -> pl.DataFrame:
        known = rows.filter(pl.col("knowledge_session") <= day, pl.col("series") == "ff/smb")
        return known.sort("known_at").unique(["series", "session"], keep="last").sort("session")

    early, late = as_of(date(2026, 6, 1)), as_of(date(2026, 6, 3))
    assert as_of(date(2024, 8, 30)).is_empty()
    assert early["session"].max() == date(2024, 7, 31)
    assert late["session"].max() == date(2026, 4, 30)
    both = early.join(late, on="session", suffix="_restated")
    assert (both["value"] != both["value_restated"]).sum() > 1000
    assert both["value"].abs().max() < 0.2
