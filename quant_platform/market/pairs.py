"""Pairs of coins: which coin the symbol of a pair is of.

``EXCHANGE:TICKER`` as TradingView writes it: the base, the currency it is quoted in, and ``.P`` for
a perpetual. Quoted in another coin (``ETHBTC``) a pair is a bet on both, and is its own base.
"""

from __future__ import annotations

import polars as pl

from quant_platform.settings.screener_fields import MONEY

_EXCHANGE = r"^[^:]*:"
_PERPETUAL = r"\.P$"
_QUOTED = rf"^(.+?)(?:{'|'.join(MONEY)})$"
_THOUSANDS = r"^(?:10{3,}|1M)([A-Z])"
"""Contracts on so many of a coin that is worth little: ``1000PEPE``, ``1MBABYDOGE``."""


def base_of(symbol: pl.Expr) -> pl.Expr:
    """Coin of a pair, whatever it is quoted in: ``BTC`` of ``BINANCE:BTCUSDT.P``.

    Parameters
    ----------
    symbol
        ``EXCHANGE:TICKER``.
    """
    pair = symbol.str.replace(_EXCHANGE, "").str.replace(_PERPETUAL, "")
    return pair.str.replace(_QUOTED, "${1}").str.replace(_THOUSANDS, "${1}")
