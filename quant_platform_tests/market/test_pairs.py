"""The coin of a pair's symbol."""

from __future__ import annotations

import polars as pl
import pytest

from quant_platform.market.pairs import base_of


@pytest.mark.parametrize(
    ("symbol", "base"),
    [
        ("BINANCE:BTCUSDT", "BTC"),
        ("BINANCE:BTCFDUSD", "BTC"),
        ("BINANCE:BTCUSDC.P", "BTC"),
        ("COINBASE:BTCUSD", "BTC"),
        ("KRAKEN:BTCEUR", "BTC"),
        ("BINANCE:USDCUSDT", "USDC"),
        ("BINANCE:FDUSDUSDT", "FDUSD"),
        ("BINANCE:1INCHUSDT", "1INCH"),
        ("BINANCE:1000PEPEUSDT.P", "PEPE"),
        ("BINANCE:10000SATSUSDT.P", "SATS"),
        ("BINANCE:1MBABYDOGEUSDT.P", "BABYDOGE"),
        # A bet on one coin against another is neither of them.
        ("BINANCE:ETHBTC", "ETHBTC"),
        ("BINANCE:USDT", "USDT"),
    ],
)
def test_the_base_of_a_pair_is_its_coin(symbol: str, base: str) -> None:
    assert pl.select(base_of(pl.lit(symbol))).item() == base
