"""The cross-section: scores, ranks, floors, and what is done where there is nothing to rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_platform.errors import ContractError
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.lakehouse.contracts.cross_section import (
    CROSS_SECTION,
    CROSS_SECTION_MOMENTS,
    RANKED,
)
from quant_platform.scanners import cross_section as module
from quant_platform.scanners.cross_section import (
    cross_section_moments,
    cross_section_windows,
    moments_windows,
    rank_securities,
    winsorised,
    zscores,
)
from quant_platform.settings.cross_section import CrossSectionSettings
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span

DAYS = SESSIONS[:3]
OPEN = CrossSectionSettings(min_trend_score=None, min_adv_shares=None, max_distance_pct=None)
Row = Mapping[str, Any]


def row(
    name: str,
    trend: float | None,
    distance: float | None = 1.0,
    slope: float | None = 0.1,
    *,
    spread: float | None = 2.0,
    volume: float | None = 1e6,
    day: date = DAYS[0],
    sector: str | None = None,
    included: bool = True,
) -> Row:
    """One security of one session, as the feature tables have it."""
    return {
        "session": day,
        "security_id": name,
        "sector": sector,
        "included": included,
        "trend_score": trend,
        "dist_pct": distance,
        "avwap_slope": slope,
        "atr_pct": spread,
        "adv_shares_20": volume,
        "adv_money_20": None if volume is None else 20 * volume,
    }


def tables(rows: Sequence[Row]) -> dict[str, pl.DataFrame]:
    """Lay the rows out in the tables that they come from."""
    told = pl.DataFrame(rows, infer_schema_length=None)
    made = {}
    for table in cross_section_windows():
        columns = CONTRACTS[table].columns
        own = [name for name in told.columns if name in columns]
        cast = [pl.col(name).cast(columns[name].dtype) for name in own]
        made[table] = told.select(cast)
    return made


def ranked(
    rows: Sequence[Row], settings: CrossSectionSettings = OPEN, days: Sequence[date] = DAYS
) -> pl.DataFrame:
    """Rank rows, and hold the answer to its contract."""
    wanted = span(days[0], days[-1])
    made = tables(rows)
    frames = {
        name: made[window.table].filter(pl.col("session").is_in(wanted.loaded(window))).lazy()
        for name, window in cross_section_windows().items()
    }
    answer = rank_securities(frames, settings, wanted)
    return CROSS_SECTION.validate("x/cross_section", answer)


FOUR = [
    row("a", 10.0, 1.0, 0.1),
    row("b", 20.0, -2.0, 0.2),
    row("c", 30.0, 3.0, 0.0),
    row("d", 40.0, 2.0, 0.3),
]


def standard(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    told = np.array(values)
    return np.asarray((told - told.mean()) / told.std(ddof=1))


def test_the_score_is_the_weighted_sum_of_deviations() -> None:
    made = ranked(FOUR, OPEN.model_copy(update={"winsorised_share": 0.0}))
    trend, far, slope = (
        standard(values) for values in ([10, 20, 30, 40], [1, 2, 3, 2], [0.1, 0.2, 0.0, 0.3])
    )
    np.testing.assert_allclose(made["trend_score_zscore"], trend, rtol=1e-6)
    np.testing.assert_allclose(made["dist_pct_zscore"], far, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        made["composite_score"], 0.4 * trend - 0.3 * far + 0.3 * slope, rtol=1e-5
    )
    assert made["trend_score_pctile"].to_list() == [0.25, 0.5, 0.75, 1.0]
    assert made["composite_rank"].to_list() == [0.75, 0.5, 1.0, 0.25]
    assert set(made["rank_basis"]) == {"relative"}


def test_a_signed_distance_knows_below_from_above() -> None:
    made = ranked(FOUR, OPEN.model_copy(update={"winsorised_share": 0.0, "signed_distance": True}))
    np.testing.assert_allclose(made["dist_pct_zscore"], standard([1, -2, 3, 2]), rtol=1e-6)


def test_weights_are_settings() -> None:
    settings = CrossSectionSettings.model_validate(
        {"weights": {"trend_score": 0, "dist_pct": 0, "avwap_slope": 0, "atr_pct": -1}}
        | {"min_trend_score": None, "min_adv_shares": None}
    )
    rows = [row(name, 1.0, spread=spread) for name, spread in (("a", 3.0), ("b", 1.0), ("c", 2.0))]
    made = ranked(rows, settings)
    assert made["composite_rank"].to_list() == [1.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
    with pytest.raises(ValidationError, match="every weight is 0"):
        CrossSectionSettings.model_validate({"weights": dict.fromkeys(RANKED, 0.0)})


def test_a_wild_value_does_not_make_the_others_alike() -> None:
    rows = [row(f"s{number:03}", float(number)) for number in range(100)]
    rows.append(row("wild", 1e6))
    tame = ranked(rows, OPEN.model_copy(update={"winsorised_share": 0.02}))
    wild = ranked(rows, OPEN.model_copy(update={"winsorised_share": 0.0}))
    first = pl.col("security_id") == "s000"
    assert tame.filter(first)["trend_score_zscore"].item() < -1.5
    assert abs(wild.filter(first)["trend_score_zscore"].item()) < 0.2
    last = tame.filter(pl.col("security_id").is_in(["s099", "wild"]))
    assert last["trend_score_zscore"].n_unique() == 1
    assert last["trend_score_pctile"].n_unique() == 2


def test_sectors_are_held_against_themselves_where_they_are_large_enough() -> None:
    rows = [
        *(row(f"a{number}", float(number), sector="large") for number in range(6)),
        *(row(f"b{number}", 100.0 + number, sector="other") for number in range(6)),
        row("c0", 50.0, sector="small"),
        row("d0", 60.0),
    ]
    settings = OPEN.model_copy(update={"winsorised_share": 0.0, "sector_neutral": True})
    made = ranked(rows, settings)
    own = standard(range(6))
    np.testing.assert_allclose(made["trend_score_zscore"][:6], own, rtol=1e-6)
    np.testing.assert_allclose(made["trend_score_zscore"][6:12], own, rtol=1e-6)
    whole = standard([*range(6), *(100.0 + n for n in range(6)), 50.0, 60.0])
    np.testing.assert_allclose(made["trend_score_zscore"][12:], whole[12:], rtol=1e-5)


def test_the_best_tenth_is_selected_and_equals_share_the_worse_place() -> None:
    rows = [row(f"s{number:02}", float(number)) for number in range(20)]
    made = ranked(rows)
    assert made.filter("selected")["security_id"].to_list() == ["s18", "s19"]
    assert set(made.filter(~pl.col("selected"))["reason"]) == {"composite_rank"}
    rows[17] = row("s17", 18.0)
    assert ranked(rows).filter("selected")["security_id"].to_list() == ["s19"]


# -- hard floors -----------------------------------------------------------------------------------

FLOORS = {
    "trend_score": row("best", 4.9),
    "adv_shares_20": row("best", 500.0, volume=749_999.0),
    "dist_pct": row("best", 500.0, -8.5),
}


@pytest.mark.parametrize("rule", FLOORS)
def test_a_floor_holds_whatever_the_rank(rule: str) -> None:
    weights = {"trend_score": -1.0 if rule == "trend_score" else 1.0, "dist_pct": 0.0}
    settings = CrossSectionSettings.model_validate({"weights": weights | {"avwap_slope": 0.0}})
    others = [row(f"s{number:02}", 10.0 + number) for number in range(20)]
    made = ranked([*others, FLOORS[rule]], settings)
    best = made.filter(pl.col("security_id") == "best").row(0, named=True)
    assert best["composite_rank"] == pytest.approx(1 / 21)
    assert (best["selected"], best["reason"]) == (False, rule)
    failed = [asked["rule"] for asked in best["passes"] if not asked["passed"]]
    assert failed == [rule]
    assert made["selected"].sum() == 1


def test_a_floor_of_money_is_asked_where_it_is_set() -> None:
    settings = OPEN.model_copy(update={"min_adv_money": 2e7, "selected_share": 1.0})
    made = ranked([row("a", 1.0), row("b", 2.0, volume=0.9e6)], settings)
    assert made["selected"].to_list() == [True, False]
    assert made["reason"].to_list() == [None, "adv_money_20"]


number = st.one_of(st.none(), st.floats(-50, 50, width=32))


@hypothesis_settings(max_examples=50)
@given(
    st.lists(
        st.tuples(number, number, number, st.one_of(st.none(), st.floats(0, 2e6, width=32))),
        min_size=1,
        max_size=12,
    )
)
def test_nobody_is_selected_below_a_floor(values: list[tuple[float | None, ...]]) -> None:
    settings = CrossSectionSettings(selected_share=0.5)
    rows = [
        row(f"s{place:02}", trend, far, slope, volume=volume)
        for place, (trend, far, slope, volume) in enumerate(values)
    ]
    made = ranked(rows, settings)
    told = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col("trend_score", "dist_pct", "adv_shares_20").cast(pl.Float64)
    )
    holds = (
        (pl.col("trend_score") >= 5)
        & (pl.col("adv_shares_20") >= 750_000)
        & (pl.col("dist_pct").abs() <= 8)
    ).fill_null(False)
    floors = told.select(holds.alias("holds"))["holds"]
    assert not (made["selected"] & ~floors).any()
    absolute = made["rank_basis"] == "absolute"
    assert (made["selected"] & absolute).equals(floors & absolute)


# -- fallbacks -------------------------------------------------------------------------------------

ASKED = CrossSectionSettings()


@pytest.mark.parametrize(("trend", "selected"), [(6.0, True), (4.0, False)])
def test_one_security_is_judged_by_the_floors(trend: float, selected: bool) -> None:
    made = ranked([row("alone", trend)], ASKED).row(0, named=True)
    assert made["rank_basis"] == "absolute"
    assert (made["composite_score"], made["composite_rank"]) == (None, None)
    assert made["selected"] is selected
    assert made["reason"] == (None if selected else "trend_score")


def test_identical_securities_are_judged_by_the_floors() -> None:
    made = ranked([row(name, 7.1, 1.3, 0.7) for name in "abc"], ASKED)
    assert set(made["rank_basis"]) == {"absolute"}
    assert made["trend_score_zscore"].to_list() == [0.0] * 3
    assert made["composite_rank"].null_count() == 3
    assert made["selected"].to_list() == [True] * 3


@pytest.mark.parametrize("lacking", ["trend_score", "dist_pct", "avwap_slope"])
def test_who_lacks_a_feature_is_judged_by_the_floors(lacking: str) -> None:
    rows = [row(f"s{number}", 6.0 + number) for number in range(4)]
    rows[2] = {**rows[2], lacking: None}
    made = ranked(rows, ASKED)
    assert made["rank_basis"].to_list() == ["relative", "relative", "absolute", "relative"]
    assert made[f"{lacking}_zscore"][2] is None
    # A floor without a value fails; of the slope there is no floor.
    assert made["selected"][2] == (lacking == "avwap_slope")
    np.testing.assert_allclose(made["composite_rank"].drop_nulls(), [1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("name", [*RANKED, "adv_shares_20"])
def test_a_value_that_is_no_number_never_comes_to_be_ranked(name: str) -> None:
    """Polars takes NaN for the largest of all: it would pass every floor. A lacking one is null."""
    sources = [w.table for w in cross_section_windows().values()]
    (source,) = [table for table in sources if name in CONTRACTS[table].columns]
    column = CONTRACTS[source].columns[name]
    schema = type(dy.Schema)("Value", (dy.Schema,), {name: column})
    values = pl.DataFrame({name: [7.0, None]}, schema={name: column.dtype})
    assert schema.is_valid(values)
    assert not schema.is_valid(values.fill_null(float("nan")))
    rows = [{**row(f"s{number}", 6.0), name: float("nan")} for number in range(2)]
    with pytest.raises(ContractError, match="nan"):
        ranked(rows, ASKED)


def test_a_feature_without_weight_may_be_lacking() -> None:
    made = ranked([row("a", 6.0, spread=None), row("b", 7.0)], ASKED)
    assert made["rank_basis"].to_list() == ["relative"] * 2
    assert made["atr_pct_zscore"].to_list() == [None, 0.0]


def test_all_filtered_is_a_session_with_ranks_and_nobody_selected() -> None:
    rows = [row(f"s{number}", float(number), volume=1.0) for number in range(5)]
    made = ranked(rows, ASKED)
    assert not made["selected"].any()
    assert made["composite_rank"].null_count() == 0
    assert made["reason"].to_list() == ["trend_score"] * 5
    assert ranked([row("out", 9.0, included=False)], ASKED).equals(CROSS_SECTION.empty())


def test_without_a_floor_the_absolute_rule_selects_nobody() -> None:
    made = ranked([row("alone", 6.0)]).row(0, named=True)
    assert (made["selected"], made["reason"], made["passes"]) == (False, "no_floor", [])


# -- laws ------------------------------------------------------------------------------------------

RAGGED = [
    row(name, trend, trend / 5, trend / 30, day=day)
    for day, trends in zip(
        DAYS, [(3.0, 17.0, -4.0, 11.0), (9.0, 2.0, 8.0, 12.0), (1.0, 6.0, 7.0, -9.0)], strict=True
    )
    for name, trend in zip("abcd", trends, strict=True)
]
MANY = [
    row(name, trend=trend + 3 * number, distance=trend / 5, slope=trend / 30, day=day)
    for number, day in enumerate(DAYS)
    for name, trend in (("a", 3.3), ("b", 17.7), ("c", -4.9), ("d", 11.1))
]


def test_a_range_is_its_days_and_nothing_later_matters() -> None:
    whole = ranked(MANY)
    assert pl.concat([ranked(MANY, days=[day]) for day in DAYS]).equals(whole)
    spoilt = [{**told, "trend_score": 99.0} if told["session"] > DAYS[1] else told for told in MANY]
    upto = pl.col("session") <= DAYS[1]
    assert ranked(spoilt).filter(upto).equals(whole.filter(upto))
    assert not ranked(spoilt).equals(whole)


def tomorrows(rows: pl.DataFrame) -> pl.DataFrame:
    """Take the next session's trend, as a join shifted the wrong way does."""
    later = pl.col("trend_score").shift(-1).over("security_id", order_by="session")
    return rows.with_columns(trend_score=later.fill_null(pl.col("trend_score")))


def normalised(rows: pl.DataFrame) -> pl.DataFrame:
    """Rank the trend among everything that was asked for."""
    return rows.with_columns(trend_score=pl.col("trend_score").rank().cast(pl.Float32))


@pytest.mark.parametrize("leak", [tomorrows, normalised])
def test_a_planted_look_ahead_makes_ranges_differ(
    leak: Callable[[pl.DataFrame], pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = module._described
    monkeypatch.setattr(module, "_described", lambda *told: leak(honest(*told)))
    whole, parts = ranked(RAGGED), pl.concat([ranked(RAGGED, days=[day]) for day in DAYS])
    assert parts.select("session", "security_id").equals(whole.select("session", "security_id"))
    assert not parts["composite_score"].equals(whole["composite_score"])


def test_the_order_of_rows_changes_nothing() -> None:
    assert ranked(MANY[::-1]).equals(ranked(MANY))


# -- moments ---------------------------------------------------------------------------------------


def test_moments_are_those_of_the_values() -> None:
    settings = OPEN.model_copy(update={"winsorised_share": 0.0})
    rows = ranked(FOUR, settings)
    wanted = span(DAYS[0], DAYS[0])
    frames = {name: rows.lazy() for name in moments_windows()}
    made = CROSS_SECTION_MOMENTS.validate(
        "x/cross_section_moments", cross_section_moments(frames, settings, wanted)
    )
    assert made["feature"].to_list() == list(RANKED)
    first = made.row(1, named=True)
    assert (first["securities"], first["mean"], first["p50"]) == (4, 2.0, 2.0)
    assert first["deviation"] == pytest.approx(np.std([1, 2, 3, 2], ddof=1))
    assert made.row(0, named=True)["p25"] == 17.5
    empty = {name: CROSS_SECTION.empty().lazy() for name in moments_windows()}
    assert cross_section_moments(empty, settings, wanted).equals(CROSS_SECTION_MOMENTS.empty())


def test_kernels_leave_what_is_lacking_alone() -> None:
    values = np.array([np.nan, 1.0, 2.0, 3.0])
    assert np.isnan(winsorised(values, 0.1)[0])
    assert np.isnan(zscores(values, np.full(4, -1), 2)[0])
    assert np.isnan(winsorised(np.full(2, np.nan), 0.1)).all()
