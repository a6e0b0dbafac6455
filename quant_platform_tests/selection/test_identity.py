"""Economic identity, from hand-made descriptions and from those of the embedded market."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import polars as pl
import pytest

from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.selection.identity import economic_identity, first_of_identity, plainer_twin
from quant_platform.sources.simulated.roles import COINS, FUNDS
from quant_platform_tests.lakehouse.small_lake import SESSIONS
from quant_platform_tests.scanners.chain import market

DAY, LATER = SESSIONS[3], SESSIONS[6]


def told(*rows: dict[str, object]) -> pl.DataFrame:
    """Publish descriptions, as far as identity reads them."""
    usual = {"knowledge_session": SESSIONS[0], "asset_class": "etf"}
    schema = SECURITIES.empty().schema
    named = [{"symbol": f"X:{row['security_id']}", **usual, **row} for row in rows]
    return pl.DataFrame(named, schema=schema)


def identities(securities: pl.DataFrame, session: date = DAY) -> dict[str, str]:
    made = economic_identity(securities, session)
    return dict(made.select("security_id", "identity").iter_rows())


def test_what_is_built_on_nothing_is_itself() -> None:
    securities = told(
        {"security_id": "plain"},
        {"security_id": "stock", "asset_class": "stock"},
        {"security_id": "untold", "underlying": ""},
    )
    assert identities(securities) == {name: name for name in ("plain", "stock", "untold")}


def test_funds_share_the_identity_of_their_underlying() -> None:
    securities = told(
        {"security_id": "silver", "underlying": "silver spot"},
        {"security_id": "twice", "underlying": "silver spot", "leverage": 2.0},
        {"security_id": "inverse", "underlying": "silver spot", "leverage": -1.0},
        {"security_id": "gold", "underlying": "gold spot"},
    )
    made = identities(securities)
    assert made["silver"] == made["twice"] == made["inverse"] != made["gold"]


def test_an_underlying_that_is_a_security_hands_on_its_identity() -> None:
    """A fund on a perpetual on a spot is the coin; a circle ends somewhere, always in one place."""
    coin = {"asset_class": "crypto"}
    securities = told(
        {"security_id": "spot", "symbol": "BINANCE:BTCUSDT", **coin},
        {"security_id": "dollars", "symbol": "BINANCE:BTCUSDC", **coin},
        {"security_id": "perp", "symbol": "BINANCE:BTCUSDT.P", "underlying": "spot", **coin},
        {"security_id": "fund", "underlying": "perp", "leverage": 2.0},
        {"security_id": "ether", "symbol": "BINANCE:ETHUSDT", **coin},
        {"security_id": "one", "underlying": "other"},
        {"security_id": "other", "underlying": "one"},
        {"security_id": "alone", "underlying": "alone"},
    )
    made = identities(securities)
    assert {made[name] for name in ("spot", "dollars", "perp", "fund")} == {"BTC"}
    assert (made["ether"], made["alone"]) == ("ETH", "alone")
    assert identities(securities.reverse()) == made


def test_only_what_was_known_counts() -> None:
    securities = told(
        {"security_id": "fund"},
        {"security_id": "fund", "underlying": "gold", "leverage": 2.0, "knowledge_session": LATER},
        {"security_id": "later", "knowledge_session": LATER},
    )
    assert identities(securities) == {"fund": "fund"}
    made = economic_identity(securities, LATER)
    assert made.rows() == [("fund", "gold", 2.0), ("later", "later", 1.0)]


def candidates(*rows: tuple[str, str, float, float | None]) -> pl.DataFrame:
    names = ("security_id", "identity", "leverage", "score")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(session=pl.lit(DAY))


def test_the_plainest_stands_for_its_identity_whatever_its_score() -> None:
    rows = candidates(
        ("thrice", "broad", 3.0, 0.9),
        ("inverse", "broad", -1.0, 1.0),
        ("plain", "broad", 1.0, 0.1),
        ("twice", "small", 2.0, 0.2),
        ("against", "small", -1.0, 0.3),
    )
    made = rows.with_columns(first=first_of_identity("score"), twin=plainer_twin())
    assert set(made.filter("first")["security_id"]) == {"plain", "twice"}
    assert dict(made.select("security_id", "twin").iter_rows()) == {
        "thrice": "plain",
        "inverse": "plain",
        "plain": None,
        "twice": None,
        "against": "twice",
    }


@pytest.mark.parametrize(
    ("score", "expected"), [("score", "better"), (None, "aaa")], ids=["scored", "by name"]
)
def test_among_equally_plain_ones_the_score_decides_and_then_the_name(
    score: str | None, expected: str
) -> None:
    rows = candidates(
        ("aaa", "gold", 1.0, None), ("better", "gold", 1.0, 0.3), ("zzz", "gold", 1.0, 0.2)
    )
    made = rows.filter(first_of_identity(score))
    assert made["security_id"].to_list() == [expected]
    assert not rows.filter(plainer_twin().is_not_null()).height


def test_one_session_does_not_decide_for_another() -> None:
    rows = candidates(("plain", "broad", 1.0, 0.1))
    other = candidates(("twice", "broad", 2.0, 0.1)).with_columns(session=pl.lit(LATER))
    made = pl.concat([rows, other]).with_columns(first=first_of_identity(), twin=plainer_twin())
    assert made["first"].all()
    assert made["twin"].null_count() == 2


# -- the embedded market -----------------------------------------------------------------------


@lru_cache
def described(sleeve: str) -> pl.DataFrame:
    """Every security of a sleeve, with its identity and its description at the last session."""
    tables = market(sleeve)
    last = max(tables["bars"]["session"])
    made = economic_identity(tables["securities"], last).with_columns(session=pl.lit(last))
    names = tables["securities"].unique("security_id", keep="last")
    return made.join(names.select("security_id", "symbol", "name", "underlying"), on="security_id")


def test_each_leveraged_twin_of_the_embedded_market_loses_to_its_plain_fund() -> None:
    """Of the roles that are built on what a plain fund is built on; found by role, not by name."""
    funds = described("etfs").with_columns(
        number=pl.col("security_id").str.extract(r"-(\d+)$").cast(pl.Int64)
    )
    made = funds.with_columns(first=first_of_identity(), twin=plainer_twin())
    role = dict(enumerate(FUNDS))
    plain = {one.driver for one in FUNDS if one.leverage == 1}
    twins = [n for n, one in role.items() if one.leverage != 1 and one.driver in plain]
    assert len(twins) >= 5
    for number in twins:
        (row,) = made.filter(pl.col("number") == number).to_dicts()
        (winner,) = made.filter(pl.col("security_id") == row["twin"]).to_dicts()
        assert row["leverage"] == role[number].leverage
        assert not row["first"]
        assert winner["leverage"] == 1
        assert winner["underlying"] == role[number].driver
    assert made.filter(pl.col("leverage") != 1, "first").is_empty()


def test_perps_and_spots_of_one_base_are_one_identity_and_pegs_are_gold() -> None:
    made = described("crypto")
    identity = dict(made.select("security_id", "identity").iter_rows())
    for slot, coin in COINS.items():
        of = identity[f"crypto-{slot:04d}"]
        if coin.kind == "perp":
            assert of == identity[f"crypto-{coin.of:04d}"] == coin.base
        elif "gold" in coin.kind:
            assert of == "gold"
        else:
            assert of == coin.base
    perps = made.filter(pl.col("name").str.ends_with("perp"))
    assert perps.height > 2
    assert (
        perps.join(made, left_on="underlying", right_on="security_id")
        .filter(pl.col("identity") == pl.col("identity_right"))
        .height
        == perps.height
    )
