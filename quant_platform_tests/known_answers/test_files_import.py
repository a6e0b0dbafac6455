"""Real market data through mapping files: what the specification says of each set, measured.

The sets are other people's, for internal testing only: they lie beside the repository and are
looked for in ``QUANT_REAL_DATA``, else in ``../shared/data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.features.trend import trend_features
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.bars import published_bars, published_second_bars
from quant_platform.market.hygiene import Ingested
from quant_platform.market.prices import price_window
from quant_platform.market.quality import quality_windows, session_quality
from quant_platform.market.reference import (
    published_actions,
    published_membership,
    published_securities,
)
from quant_platform.market.returns import returns_windows, session_returns
from quant_platform.market.series import published_series
from quant_platform.scanners.universe_counts import universe_counts, universe_counts_windows
from quant_platform.settings import TrendSettings
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.universe import UniverseSettings
from quant_platform.sources.files import FilesSource, FolderReader, ImportStore, read_mapping
from quant_platform_tests.known_answers.data import known_answer, real_data
from quant_platform_tests.scanners.chain import belonging, handed
from quant_platform_tests.sources.files.folders import AT
from quant_platform_tests.sources.markets import NYSE

MAPPINGS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "mappings"
FIRST, LAST = date(2015, 3, 20), date(2017, 3, 31)

Frames = Mapping[str, pl.LazyFrame]

ADJUSTED = [("AAPL", 6e-5), ("NVDA", 4e-5), *((s, 1e-5) for s in ("KO", "GE", "XOM", "TSLA"))]


def span(first: date, last: date, history: date) -> SessionRange:
    return SessionRange(NYSE, tuple(NYSE.between(first, last)), history)


def imported(folder: Path, mapping: Path, lake: Path, sleeve: str) -> FilesSource:
    reader = FolderReader(folder, read_mapping(mapping), NYSE, {"bars": 30})
    store = ImportStore.of(lake, sleeve)
    store.commit(store.prepare(reader, None), AT)
    return FilesSource(lake, (sleeve,))


# -- total returns ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> tuple[SessionRange, Frames]:
    """Bars and actions of the vendor's six names, through the reader and hygiene."""
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
    store.commit(store.prepare(reader, None), AT)
    source = FilesSource(folder / "lake", ("vendor",))
    first, last = raw["date"].min(), raw["date"].max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    wanted = span(first, last, first)
    bars = published_bars(source, "vendor", wanted).rows
    actions = published_actions(source, "vendor", wanted, bars.lazy())
    assert actions.rejected.height == 0
    return wanted, {"bars": bars.lazy(), "actions": actions.rows.lazy()}


@pytest.fixture(scope="module")
def cumulated(vendor: tuple[SessionRange, Frames]) -> pl.DataFrame:
    """Wealth of one unit held from the first bar on, beside the vendor's adjusted close."""
    raw = pl.read_parquet(known_answer("actions/raw_div_split_adjclose.parquet"))
    wanted, frames = vendor
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


@pytest.mark.parametrize(("ex", "ratio"), [(date(2014, 6, 9), 7.0), (date(2020, 8, 31), 4.0)])
def test_indicators_are_smooth_across_a_split(
    vendor: tuple[SessionRange, Frames], ex: date, ratio: float
) -> None:
    whole, frames = vendor
    eve, after = NYSE.offset(ex, -1), NYSE.offset(ex, 10)
    days = NYSE.between(NYSE.offset(ex, -300), after)
    wanted = SessionRange(NYSE, tuple(NYSE.between(eve, after)), whole.history_start)
    known = pl.col("knowledge_session").is_in(days)
    own = pl.col("security_id") == "US:AAPL"
    some = {
        "bars": frames["bars"].filter(own & known),
        "actions": frames["actions"].filter(own),
    }
    made = trend_features(some, TrendSettings(), wanted).sort("session")
    closes = some["bars"].sort("session").select("session", "close").collect()
    units = pl.when(pl.col("session") < ex).then(pl.col("close") / ratio).otherwise("close")
    adjusted = closes.select("session", close=units)
    for length in (20, 50, 200):
        # The mean of prices in units of the ex session, and a step that a day's move explains.
        mean = adjusted.filter(pl.col("session") <= ex)["close"].tail(length).mean()
        before, on = made[f"sma_{length}"][:2]
        # Features are stored with fewer digits than prices.
        assert on == pytest.approx(mean, rel=1e-5)
        assert abs(on * ratio / before - 1) < 0.01
    seen: dict[date, float] = {}
    for session in (eve, ex):
        window = price_window(
            some["bars"].collect(), some["actions"].collect(), NYSE, session
        ).sort("session")
        shut = pl.col("close").shift(1)
        ranges = pl.max_horizontal(
            pl.col("high") - pl.col("low"),
            (pl.col("high") - shut).abs(),
            (pl.col("low") - shut).abs(),
        )
        seen[session] = float(window.select((ranges / shut).tail(14).mean()).item())
    # The true range of the ex session is not the gap that a raw price would show.
    assert abs(seen[ex] / seen[eve] - 1) < 0.2
    assert seen[ex] < 0.05


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


@pytest.fixture(scope="module")
def universe(listings: FilesSource, listed_bars: Ingested) -> dict[str, pl.DataFrame]:
    """Tables of the whole set up to the universe and its counts."""
    wanted = span(FIRST, LAST, FIRST)
    settings = UniverseSettings(index="SP500", min_mean_volume=10_000)
    bars = listed_bars.rows
    tables = {
        "bars": bars,
        "securities": published_securities(listings, "own", wanted).rows,
        "actions": published_actions(listings, "own", wanted, bars.lazy()).rows,
        "membership": published_membership(listings, "own", wanted).rows,
    }
    tables["universe"] = belonging(tables, wanted)
    tables["members"] = belonging(tables, wanted, settings)
    frames = handed(tables, universe_counts_windows(), wanted)
    return tables | {"counts": universe_counts(frames, UniverseSettings(), wanted)}


@pytest.mark.slow
def test_the_universe_is_counted_session_by_session(universe: dict[str, pl.DataFrame]) -> None:
    counts = (
        universe["counts"]
        .select("session", "what", "count")
        .pivot("what", index="session", values="count")
        .fill_null(0)
    )
    assert counts.height == len(NYSE.between(FIRST, LAST))
    # Listings are published from the second session on: before, nobody is known to be listed.
    assert counts["listed"][0] == 0
    assert counts["listed"][1:].min() > 5500
    assert (counts["included"] + counts["rejected_stale"] == counts["listed"]).all()
    total = counts.drop("session").sum().to_dicts()[0]
    gone = sum(total[what] for what in ("merged", "delisted", "never_traded"))
    assert total["renamed"] >= 80
    assert 950 < gone < 1110
    # Who came less who left is the difference of the ends.
    left = gone + total.get("unexplained", 0)
    assert counts["listed"][0] + total["arrived"] - left == counts["listed"][-1]
    # Members of the index are about five hundred, and never more than there are shares.
    members = universe["members"].group_by("session").agg(pl.col("included").sum()).sort("session")
    # A mean volume takes fifteen bars.
    assert members["included"][30:].min() > 400
    assert members["included"].max() < 520


@pytest.mark.slow
def test_laws_hold_on_a_slice_with_a_session_that_came_late(
    universe: dict[str, pl.DataFrame],
) -> None:
    """Law 2: a range is its days. Law 1: what is known later changes nothing."""
    late = pl.col("knowledge_session") > pl.col("session")
    worst = universe["bars"].filter(late).group_by("session").len().sort("len")["session"][-1]
    some = universe["securities"]["security_id"].unique().sort().gather_every(14)
    tables = {
        name: universe[name].filter(pl.col("security_id").is_in(some.implode()))
        for name in ("bars", "securities", "actions", "membership")
    }
    days = NYSE.between(NYSE.offset(worst, -3), NYSE.offset(worst, 4))

    def made(rows: dict[str, pl.DataFrame], first: date, last: date) -> dict[str, pl.DataFrame]:
        wanted = span(first, last, FIRST)
        settings = UniverseSettings(min_mean_volume=10_000)
        returns = handed(rows, returns_windows(ReturnsSettings()), wanted)
        earlier = span(max(FIRST, NYSE.offset(first, -130)), last, FIRST)
        looked = handed(rows, returns_windows(ReturnsSettings()), earlier)
        told = {**rows, "returns": session_returns(looked, ReturnsSettings(), earlier)}
        flags = handed(told, quality_windows(HygieneSettings()), wanted)
        return {
            "returns": session_returns(returns, ReturnsSettings(), wanted),
            "quality": session_quality(flags, HygieneSettings(), wanted),
            "universe": belonging(rows, wanted, settings),
        }

    whole = made(tables, days[0], days[-1])
    apart = [made(tables, day, day) for day in days]
    for name, rows in whole.items():
        assert rows.height > 0
        assert pl.concat([day[name] for day in apart]).equals(rows), name
    cut = days[3]
    known = {name: rows.filter(pl.col("knowledge_session") <= cut) for name, rows in tables.items()}
    for name, rows in made(known, days[0], cut).items():
        assert rows.equals(whole[name].filter(pl.col("session") <= cut)), name


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


# -- two vendors of the same funds -----------------------------------------------------------------


def test_two_vendors_agree_but_for_the_bars_of_which_one_is_wrong(tmp_path: Path) -> None:
    """Two funds over two years: opens differ by a few basis points, four bars by more."""
    published = pl.scan_parquet(real_data("us_pit_2015_2017/prices.parquet"))
    others = pl.read_parquet(real_data("etf/etf21.parquet")).drop("adj_close")
    folder, lake = tmp_path / "files", tmp_path / "lake"
    for name, rows in (
        ("own", published.filter(pl.col("symbol").is_in(["QQQ", "TLT"])).collect()),
        ("other", others.filter(pl.col("symbol").is_in(["QQQ", "TLT"]))),
    ):
        (folder / name).mkdir(parents=True)
        rows.write_parquet(folder / name / "bars.parquet")
        reader = FolderReader(folder / name, read_mapping(None), NYSE, {"bars": 30})
        store = ImportStore.of(lake, "own", second=name == "other")
        store.commit(store.prepare(reader, None), AT)
    wanted = span(FIRST, LAST, FIRST)
    bars = published_bars(FilesSource(lake, ("own",)), "own", wanted).rows
    second = FilesSource(lake, ("own",), is_second=True)
    theirs = published_second_bars(second, "own", wanted).rows
    nothing = published_actions(second, "own", wanted).rows
    frames = {"bars": bars.lazy(), "second_bars": theirs.lazy(), "actions": nothing.lazy()}
    returns = session_returns(frames, ReturnsSettings(), wanted)
    made = session_quality({**frames, "returns": returns.lazy()}, HygieneSettings(), wanted)
    found = made.filter(pl.col("flag") == "mismatch").sort("value")
    assert found.height == 4
    assert found["value"].min() > 0.0025
    worst = (date(2016, 1, 27), "US:QQQ")
    assert worst in found.select("session", "security_id").rows()
    # Whatever the sessions on which one of the two has no bar: they are told, and are few.
    assert made.filter(pl.col("flag") == "uncompared").height <= 20
