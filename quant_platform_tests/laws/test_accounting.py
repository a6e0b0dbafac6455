"""The accounting identities hold on the chain lake, and each has a failing twin."""

from __future__ import annotations

import polars as pl
import pytest

from quant_platform_tests.laws.accounting import check_identities
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.workshop import Workshop


@pytest.fixture(scope="module")
def tables(chain: Workshop) -> dict[str, pl.DataFrame]:
    settings = chain.graph.settings
    wanted = [
        *(
            f"{name}/{kind}"
            for name in settings.sleeves
            for kind in ("profile_returns", "holdings", "weights")
        ),
        *(
            f"{name}/{kind}"
            for name in settings.metas
            for kind in ("portfolio_returns", "holdings", "weights", "returns", "target_portfolio")
        ),
        "execution/positions",
    ]
    return {name: chain.lake.scan(name).collect() for name in wanted}


def branches(chain: Workshop) -> tuple[tuple[str, ...], tuple[str, ...]]:
    settings = chain.graph.settings
    return tuple(settings.sleeves), tuple(settings.metas)


def test_everything_adds_up(chain: Workshop, tables: dict[str, pl.DataFrame]) -> None:
    assert all(table.height for table in tables.values())
    assert check_identities(tables, *branches(chain)) > 1000
    # Not an account that never did anything.
    assert tables["execution/positions"]["costs"].sum() > 0
    assert tables["meta/holdings"]["traded"].abs().sum() > 0


@pytest.mark.parametrize(
    ("table", "column", "identity"),
    [
        ("execution/positions", "quantity", "position x mark"),
        ("execution/positions", "value", "sum of values"),
        ("execution/positions", "earned", "earned - costs"),
        ("execution/positions", "weight", "weights and cash"),
        ("instruments/profile_returns", "net", "gross - cost"),
        ("instruments/holdings", "earned_after", "what holdings earned"),
        ("etfs/holdings", "cost", "what trades cost"),
        ("etfs/holdings", "traded", "sum of trades"),
        ("crypto/holdings", "weight", "weights and cash"),
        ("meta/holdings", "earned_before", "what holdings earned"),
        ("meta/returns", "before", "held x before"),
        ("meta/returns", "net", "weight x sleeve return"),
        ("meta/target_portfolio", "weight", "what contributes"),
        ("etfs/weights", "weight", "sleeve's weight is decided"),
    ],
)
def test_a_wrong_number_is_found(
    chain: Workshop, tables: dict[str, pl.DataFrame], table: str, column: str, identity: str
) -> None:
    rows = tables[table].sort("session")
    last = pl.int_range(pl.len()) > pl.len() // 2
    wrong = rows.with_columns(
        pl.when(last).then(pl.col(column) * 1.001 + 1e-6).otherwise(pl.col(column)).alias(column)
    )
    with pytest.raises(LawBroken, match=identity):
        check_identities({**tables, table: wrong}, *branches(chain))
