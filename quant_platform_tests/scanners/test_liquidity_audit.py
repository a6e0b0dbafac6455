"""The audit of thin funds: known costs and places, each limit, through the embedded market too."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from quant_platform.lakehouse.contracts.scan_liquidity_audit import LIMITS, SCAN_LIQUIDITY_AUDIT
from quant_platform.scanners.liquidity_audit import audit_liquidity, liquidity_audit_windows
from quant_platform.settings import load_settings
from quant_platform.settings.liquidity_audit import LiquidityAuditSettings
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span
from quant_platform_tests.scanners.chain import NYSE, Tables, handed, market, scanned
from quant_platform_tests.scanners.chain import span as market_span
from quant_platform_tests.scanners.manifests import row, screener
from quant_platform_tests.small_project import REPOSITORY

DAYS = SESSIONS[:2]
SETTINGS = LiquidityAuditSettings()
NOW = date(2023, 3, 1), date(2023, 3, 31)


def tables(*funds: dict[str, Any], day: date = DAYS[0]) -> dict[str, pl.LazyFrame]:
    """Lay out funds: what is not said is thin, calm and traded every session."""
    usual = {"adv": 4e6, "amihud": 0.01, "idle": 0.0, "volatility": 0.01, "type": "fund"}
    told = [{**usual, "amihud": 0.01 * n, **fund} for n, fund in enumerate(funds, start=1)]
    names = [fund.get("name", f"f{n}") for n, fund in enumerate(funds, start=1)]
    key = {"session": [day] * len(told), "security_id": names}
    listed = [
        row(name, day, type=fund["type"], asset_class="etf")
        for name, fund in zip(names, told, strict=True)
    ]
    liquidity = {"adv_money_20": "adv", "amihud_20": "amihud", "zero_volume_20": "idle"}
    numbers = {
        column: pl.Series([fund[of] for fund in told], dtype=pl.Float32)
        for column, of in liquidity.items()
    }
    moved = pl.Series([fund["volatility"] for fund in told], dtype=pl.Float32)
    found = {**key, "scanners": [fund.get("scanners") for fund in told]}
    candidates = pl.DataFrame(found, schema_overrides={"scanners": pl.List(pl.String)})
    return {
        "screener": screener(listed).lazy(),
        "features_liquidity": pl.DataFrame({**key, **numbers}).lazy(),
        "features_trend": pl.DataFrame({**key, "volatility_21": moved}).lazy(),
        "candidates": candidates.filter(pl.col("scanners").is_not_null()).lazy(),
    }


def audit(*funds: dict[str, Any], settings: LiquidityAuditSettings = SETTINGS) -> pl.DataFrame:
    made = audit_liquidity(tables(*funds), settings, span(DAYS[0], DAYS[1]))
    return SCAN_LIQUIDITY_AUDIT.validate("x/scan_liquidity_audit", made)


def test_only_funds_between_the_bounds_are_looked_over() -> None:
    made = audit(
        {"name": "below", "adv": 1.9e6},
        {"name": "least", "adv": 2e6},
        {"name": "most", "adv": 9.9e6},
        {"name": "liquid", "adv": 1e7},
        {"name": "stock", "type": "stock"},
    )
    assert made["security_id"].to_list() == ["least", "most"]


def test_the_cost_is_half_the_spread_and_the_impact() -> None:
    """Of 4 M a session 2500 are 1/1600: 1e4 · 0.016 / 40 = 4 bps; 5 bps (1 + place) of spread."""
    settings = SETTINGS.model_copy(update={"order": 2500.0})
    made = audit({"volatility": 0.016}, {"volatility": 0.032}, settings=settings)
    assert made["amihud_pctile"].to_list() == [0.5, 1.0]
    assert made["half_spread_bps"].to_list() == [7.5, 10.0]
    assert made["impact_bps"].to_list() == pytest.approx([4.0, 8.0], rel=1e-6)
    assert made["cost_bps"].to_list() == pytest.approx([11.5, 18.0], rel=1e-6)


def test_equals_share_the_worse_place() -> None:
    made = audit({"amihud": 0.1}, {"amihud": 0.1}, {"amihud": 0.2}, {"amihud": None})
    assert made["amihud_pctile"].to_list() == [2 / 3, 2 / 3, 1.0, None]


@pytest.mark.parametrize(
    ("fund", "reason"),
    [
        ({"idle": 6.0}, "zero_volume_20"),
        ({"volatility": 0.05}, "cost_bps"),
        # What is not known fails: a limit without evidence is closed.
        ({"amihud": None}, "amihud_pctile"),
        ({"idle": None}, "zero_volume_20"),
        ({"volatility": None}, "cost_bps"),
        ({"idle": 5.0}, None),
    ],
)
def test_each_limit_fails_alone(fund: dict[str, Any], reason: str | None) -> None:
    made = audit(fund, {"amihud": 1.0}).row(0, named=True)
    assert (made["reason"], made["passed"]) == (reason, reason is None)
    asked = {one["rule"]: one for one in made["passes"]}
    assert tuple(asked) == LIMITS
    assert all(asked[name]["value"] == made[name] for name in LIMITS)
    if reason:
        assert not asked[reason]["passed"]


def test_the_least_liquid_tenth_fails() -> None:
    made = audit(*({} for _ in range(20)))
    assert made.sort("amihud_20")["reason"].to_list()[17:] == [None, *["amihud_pctile"] * 2]


def test_who_found_it_is_told_and_changes_nothing() -> None:
    made = audit({"scanners": ["rise", "yield"]}, {})
    assert made["scanners"].to_list() == [["rise", "yield"], []]
    alone = audit({}, {})
    assert made.drop("scanners").equals(alone.drop("scanners"))


def shown(made: Tables, first: date, last: date, **changed: float) -> pl.DataFrame:
    wanted = market_span(NYSE, first, last)
    settings = load_settings(REPOSITORY, environ={}).sleeves["etfs"].liquidity_audit
    settings = settings.model_copy(update=changed)
    frames = handed(made, liquidity_audit_windows(), wanted)
    return SCAN_LIQUIDITY_AUDIT.validate(
        "x/scan_liquidity_audit", audit_liquidity(frames, settings, wanted)
    )


@pytest.fixture(scope="module")
def funds() -> Tables:
    made = market("etfs")
    wanted = market_span(NYSE, *NOW)
    return {**made, **scanned(made, wanted, ("etf_equity_momentum", "sector_etf_trend"))}


def test_the_embedded_market_has_thin_funds_of_which_some_fail(funds: Tables) -> None:
    made = shown(funds, *NOW)
    assert made["session"].n_unique() == len(market_span(NYSE, *NOW).sessions)
    assert made["passed"].any()
    assert "amihud_pctile" in made["reason"]
    # An order of a million, a large part of a session, costs too much of any of them.
    assert "cost_bps" not in made["reason"]
    assert "cost_bps" in shown(funds, *NOW, order=1e6)["reason"]
    assert made["adv_money_20"].is_between(2e6, 1e7).all()


def test_a_range_is_its_days(funds: Tables) -> None:
    days = market_span(NYSE, *NOW).sessions
    made = pl.concat([shown(funds, day, day) for day in days])
    assert made.equals(shown(funds, *NOW))
