"""What a rebalance session decides when the source is dirty on it, by the real producers.

The embedded market, a sleeve of twelve stocks, from delivery to return matrix. One delivery is
altered: that of a rebalance session.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.orchestration.stage import Stage
from quant_platform.portfolio.decide import UNSEEN
from quant_platform.settings.platform import DirtSettings
from quant_platform_tests.laws import deliveries
from quant_platform_tests.laws.conftest import CHAIN, CHAIN_FIRST, DECIDED
from quant_platform_tests.laws.deliveries import AlteredDelivery, Change, Delivery
from quant_platform_tests.laws.workshop import Recipe, Situation, Workshop
from quant_platform_tests.small_project import upstream_of

SLEEVE = "instruments"


def read_for_streams(stages: list[Stage], _situation: Situation) -> list[Stage]:
    """Leave what the sleeve's streams stand on: its benchmark and the regime are elsewhere."""
    return upstream_of(stages, [f"{SLEEVE}/profile_returns"])


CLEAN = {f"platform__embedded_market__dirt__{kind}": 0.0 for kind in DirtSettings.model_fields}
LAST = date(2018, 8, 2)
"""Just after the third decision of this history."""
KINDS = ("bars", "returns", "candidates", "selection", "weights", "holdings", "profile_returns")


def history(folder: Path, change: Change | None = None, *days: date) -> dict[str, pl.DataFrame]:
    """Make the sleeve's history, with or without a change of some deliveries."""
    alter = None if change is None else lambda source: AlteredDelivery(source, change, days)
    workshop = Workshop.open(
        folder, Recipe({**CHAIN, **CLEAN}, alter=alter, plant=read_for_streams)
    )
    workshop.make_all(CHAIN_FIRST, LAST)
    return {kind: workshop.lake.scan(f"{SLEEVE}/{kind}").collect() for kind in KINDS}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    return history(tmp_path_factory.mktemp("honest"))


def late(folder: Path, honest: dict[str, pl.DataFrame], day: date) -> dict[str, pl.DataFrame]:
    """Make the history in which every bar of a session arrives with those of the next one."""
    both = [day, after(honest["returns"], day)]
    return history(folder, deliveries.held_back(both), *both)


def decisions(tables: dict[str, pl.DataFrame]) -> list[date]:
    return tables["selection"]["decided_on"].unique().sort().to_list()


def on(table: pl.DataFrame, day: date) -> pl.DataFrame:
    return table.filter(pl.col("session") == day)


def after(table: pl.DataFrame, day: date) -> date:
    return table.filter(pl.col("session") > day)["session"].min()


def test_a_sleeve_that_nobody_could_see_decides_nothing_and_says_so(
    tmp_path: Path, honest: dict[str, pl.DataFrame]
) -> None:
    first, second = decisions(honest)[:2]
    made = late(tmp_path, honest, second)
    before, blind = (
        on(made["weights"], day).filter(profile="hrp").sort("security_id")
        for day in (made["weights"].filter(pl.col("session") < second)["session"].max(), second)
    )
    assert blind["weight"].to_list() == before["weight"].to_list() != []
    assert blind["decided_on"].unique().to_list() == [first]
    assert blind["actual"].unique().to_list() == [UNSEEN]
    assert blind["requested"].unique().to_list() == ["hrp"]
    # Nothing trades on it, and the next rebalance session decides again.
    assert on(made["holdings"], after(made["holdings"], second))["traded"].abs().sum() == 0
    assert decisions(made)[1] == decisions(honest)[2]
    # The failing twin: with its delivery the session decides, and its decision trades.
    assert on(honest["weights"], second)["decided_on"].unique().to_list() == [second]
    assert on(honest["holdings"], after(honest["holdings"], second))["traded"].abs().sum() > 0


def test_a_holding_without_a_bar_ends_with_a_reason(
    tmp_path: Path, honest: dict[str, pl.DataFrame]
) -> None:
    """Of a stock that is held and would be selected again the delivery of the session is lost."""
    lost, day = next(
        (name, day)
        for day in decisions(honest)[1:]
        for name in sorted(
            set(on(honest["selection"], day).filter("selected")["security_id"])
            & set(on(honest["holdings"], day).filter(pl.col("weight") > 0)["security_id"])
        )
    )

    def without_it(delivery: Delivery) -> pl.DataFrame:
        return delivery.rows.filter(pl.col("security_id") != lost)

    made = history(tmp_path, without_it, day)
    assert lost not in on(made["candidates"], day)["security_id"].to_list()
    (row,) = on(made["selection"], day).filter(pl.col("security_id") == lost).to_dicts()
    assert (row["selected"], row["reason"], row["score"]) == (False, "no_bar", None)
    assert [veto["rule"] for veto in row["vetoes"]] == ["no_bar"]
    assert row["vetoes"][0]["value"] >= 1
    assert lost not in on(made["weights"], day)["security_id"].to_list()
    # With its bar it is selected, and no row of anybody says so.
    assert "no_bar" not in honest["selection"]["reason"].to_list()


def test_a_session_without_a_bar_is_no_evidence(
    tmp_path: Path, honest: dict[str, pl.DataFrame]
) -> None:
    """A bar of one stock is a session late: the zero by which its mark stood is not counted."""
    day = decisions(honest)[1]
    name = on(honest["weights"], day)["security_id"].min()
    sessions = honest["returns"].filter(pl.col("session") < day)["session"].unique().sort()
    gap = sessions.to_list()[-5]
    both = [gap, sessions.to_list()[-4]]
    own = pl.col("security_id") == name

    def one_late(delivery: Delivery) -> pl.DataFrame:
        held_back = deliveries.held_back(both)(delivery)
        return pl.concat([delivery.rows.filter(~own), held_back.filter(own)])

    made = history(tmp_path, one_late, *both)
    stood = on(made["returns"], gap).filter(own)
    assert stood["total"].to_list() == [0.0]
    asked = on(made["weights"], day).filter(pl.col("profile") != "equal_weight")
    assert name in asked["security_id"].to_list()
    assert asked["actual"].str.ends_with("+rows:19").all()
    plain = on(honest["weights"], day).filter(pl.col("profile") != "equal_weight")
    assert not plain["actual"].str.contains("rows").any()


def test_the_return_matrix_begins_after_the_first_decision(
    honest: dict[str, pl.DataFrame],
) -> None:
    first = decisions(honest)[0]
    returns = honest["profile_returns"]
    assert honest["returns"].filter(pl.col("session") >= DECIDED)["session"].min() < first
    assert returns["session"].min() == after(honest["returns"], first)
    assert on(returns, after(returns, first))["names"].min() > 0


@pytest.mark.slow
def test_an_unseen_first_rebalance_is_no_beginning(
    tmp_path: Path, honest: dict[str, pl.DataFrame]
) -> None:
    first, second = decisions(honest)[:2]
    made = late(tmp_path, honest, first)
    assert made["profile_returns"]["session"].min() == after(made["returns"], second)


def test_a_decision_for_cash_is_one(tmp_path: Path, honest: dict[str, pl.DataFrame]) -> None:
    """Nobody is found on the first rebalance session: its zeros are returns of a decision."""
    first, second = decisions(honest)[:2]
    held = on(honest["candidates"], first)["security_id"].to_list()
    made = history(tmp_path, lambda d: d.rows.filter(~pl.col("security_id").is_in(held)), first)
    assert not on(made["selection"], first).height
    returns = made["profile_returns"]
    assert returns["session"].min() == after(made["returns"], first)
    cash = returns.filter(pl.col("session") <= second)
    assert cash["net"].unique().to_list() == [0.0]
    assert cash["cash"].unique().to_list() == [1.0]
