"""Who is scanned and chosen, held against what the embedded market planted, through every stage.

The roles of funds and the days of listings come from the market's ground truth, not from the
tables that the stages read.
"""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quant_platform.sources.simulated.roles import FUNDS
from quant_platform.sources.simulated.truth import planted_events
from quant_platform_tests.scanners.chain import CALENDARS, HISTORY, LAST, SCANNERS, SOURCES
from quant_platform_tests.selection.test_chain import before_selection, decided, decisions

sleeves = pytest.mark.parametrize("sleeve", SCANNERS)


# -- listings ----------------------------------------------------------------------------------


def lives(sleeve: str) -> pl.DataFrame:
    """First session of each security that was born, first one without each that died."""
    planted = planted_events(SOURCES[sleeve], CALENDARS[sleeve], sleeve)
    return (
        planted.filter(pl.col("event").is_in(["listing", "delisting"]))
        .group_by("security_id")
        .agg(
            listed=pl.col("session").filter(pl.col("event") == "listing").first(),
            delisted=pl.col("session").filter(pl.col("event") == "delisting").first(),
        )
    )


def outside(rows: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Rows of sessions on which their security was not yet listed, or no longer."""
    early, late = pl.col("session") < pl.col("listed"), pl.col("session") >= pl.col("delisted")
    return rows.join(told, on="security_id").filter(early | late)


@sleeves
def test_nobody_unlisted_is_screened_scanned_a_candidate_or_held(sleeve: str) -> None:
    tables, told = before_selection(sleeve), lives(sleeve)
    made = decided(sleeve, tables)
    shown = {name: tables[name] for name in ("screener", "candidates", "clusters")}
    shown |= {f"scan_{name}": tables[f"scan_{name}"] for name in SCANNERS[sleeve]}
    shown |= {"selection": made, "held": made.filter("selected")}
    for name, rows in shown.items():
        assert rows.height, name
        assert outside(rows, told).is_empty(), name


def test_there_were_births_and_deaths_among_the_candidates() -> None:
    """Else the test above says nothing: of the candidates some left, and some were listed late."""
    born, died = 0, 0
    for sleeve in SCANNERS:
        told, tables = lives(sleeve), before_selection(sleeve)
        young = told.filter(pl.col("listed").is_between(HISTORY, LAST, closed="right"))
        born += tables["candidates"].join(young, on="security_id", how="semi").height
        left = told.filter(pl.col("delisted").is_between(date(2022, 6, 1), LAST))
        died += tables["candidates"].join(left, on="security_id", how="semi").height
    assert born
    assert died


@sleeves
def test_a_listing_told_wrong_would_be_noticed(sleeve: str) -> None:
    """The failing twin: were the winners born a session later, or dead, they would stand out."""
    won = decided(sleeve, before_selection(sleeve)).filter("selected")
    first = won.group_by("security_id").agg(pl.col("session").min(), last=pl.col("session").max())
    after = pl.col("session").replace_strict(
        {day: CALENDARS[sleeve].offset(day, 1) for day in first["session"].unique()}
    )
    nobody = pl.lit(None, pl.Date)
    unborn = first.select("security_id", listed=after, delisted=nobody)
    dead = first.select("security_id", listed=nobody, delisted="last")
    for told in (unborn, dead):
        assert set(outside(won, told)["security_id"]) == set(first["security_id"])


# -- leveraged and inverse funds ---------------------------------------------------------------


def of_one_driver() -> pl.DataFrame:
    """Decisions on funds with a known part: what they are built on, and how far from plain."""
    roles = pl.DataFrame(
        {
            "security_id": [f"etfs-{number:04d}" for number in range(len(FUNDS))],
            "driver": [fund.driver for fund in FUNDS],
            "leverage": [fund.leverage for fund in FUNDS],
        }
    )
    return decisions(decided("etfs", before_selection("etfs"))).join(roles, on="security_id")


def test_a_leveraged_or_inverse_fund_never_wins_against_its_plain_one() -> None:
    """Of the same rebalance; though it scores better, and whichever stage admits the winners."""
    plain = pl.col("leverage") == 1
    made = of_one_driver()
    pairs = made.filter(~plain).join(made.filter(plain), on=["session", "driver"], suffix="_plain")
    assert pairs.height > 10
    assert pairs["security_id"].n_unique() >= 3
    # A plain one that no veto stopped stands for both; one past a veto does not win beside it.
    against = pairs.filter(pl.col("passed_plain") | pl.col("selected_plain"))
    assert against.filter(pl.col("score") > pl.col("score_plain")).height
    assert not against["selected"].any()
    reasons = set(against.filter("passed")["reason"])
    assert reasons <= {"identity", None}


def test_of_one_driver_at_most_one_fund_is_held() -> None:
    won = of_one_driver().filter("selected")
    assert won.height > 20
    assert won.select("session", "driver").is_unique().all()


def test_the_plain_fund_is_what_keeps_its_twin_out() -> None:
    """The failing twin: with no plain fund among the candidates leveraged ones do win."""
    tables = before_selection("etfs")
    plain = [f"etfs-{n:04d}" for n, fund in enumerate(FUNDS) if fund.leverage == 1]
    without = {
        name: tables[name].filter(pl.col("security_id").is_in(plain).not_())
        for name in ("candidates", "clusters")
    }
    alone = decisions(decided("etfs", {**tables, **without})).filter("selected")
    geared = {f"etfs-{n:04d}" for n, fund in enumerate(FUNDS) if fund.leverage != 1}
    assert set(alone["security_id"]) & geared
