"""Economic identity: which securities are the same thing in another wrapping.

1. A security that is built on nothing is itself: its ``security_id``. A coin's pair is its base,
   whatever it is quoted in: ``BINANCE:BTCUSDT``, ``BINANCE:BTCUSDC`` and ``BINANCE:BTCUSDT.P`` are
   ``BTC``. A contract on thousands of a coin (``1000PEPE``) is that coin.
2. What is built on something has the identity of that: leveraged and inverse funds that of their
   underlying, like the plain fund on it; perpetuals that of their spot; tokens pegged to gold, and
   a fund on gold, are gold. An underlying that is itself a security known to the sleeve hands on
   its own identity.
3. Of one identity the plainest member stands for all: the one whose leverage is nearest to 1. Of
   equally plain ones the better score decides, where there is one, then the ``security_id``.

Everything is taken from the newest description known at the session. A fund whose underlying the
source does not tell is itself, and nothing is guessed from its name.

Identity holds across clusters: by signed correlation an inverse fund lies far from its plain twin,
and is the same bet all the same.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quant_platform.market.pairs import base_of

CHAIN = 3
"""Steps from a security to what it is built on: a fund on a fund's contract needs two."""

_BUILT = "built_on"


def economic_identity(securities: pl.DataFrame, session: date) -> pl.DataFrame:
    """Identity of every security, as described at a session's cutoff.

    Parameters
    ----------
    securities
        Published descriptions, every version.
    session
        Deciding session.

    Returns
    -------
    polars.DataFrame
        ``security_id``; ``identity``; ``leverage``: factor on the underlying's daily return,
        signed, 1 where none is told. By security.
    """
    known = (
        securities.filter(pl.col("knowledge_session") <= session)
        .sort("security_id", "knowledge_session", "known_at")
        .unique("security_id", keep="last", maintain_order=True)
        .select(
            "security_id",
            pl.col("leverage").fill_null(1.0),
            identity=pl.coalesce(pl.col("underlying").replace("", None), _own()),
        )
    )
    handed_on = known.select(identity="security_id", **{_BUILT: "identity"})
    for _ in range(CHAIN):
        known = known.join(handed_on, on="identity", how="left", maintain_order="left").select(
            "security_id", "leverage", identity=pl.coalesce(_BUILT, "identity")
        )
    return known.select("security_id", "identity", "leverage")


def first_of_identity(score: str | None = None) -> pl.Expr:
    """Whether a candidate stands for its identity among those of its session.

    Parameters
    ----------
    score
        Column that decides between equally plain ones, larger is better, null last; without it the
        ``security_id`` decides.
    """
    order = [_plainness(), *([] if score is None else [-pl.col(score)]), pl.col("security_id")]
    return pl.col("security_id") == pl.col("security_id").sort_by(
        order, nulls_last=True
    ).first().over("session", "identity")


def plainer_twin() -> pl.Expr:
    """Candidate of the session with the same identity that is plainer; null where none is."""
    plainness, twins = _plainness(), ("session", "identity")
    plainest = pl.col("security_id").sort_by(plainness, "security_id").first().over(twins)
    return pl.when(plainness > plainness.min().over(twins)).then(plainest)


def _plainness() -> pl.Expr:
    """Distance of the leverage from one: 0 of what moves as its underlying does."""
    return (pl.col("leverage") - 1).abs()


def _own() -> pl.Expr:
    """Identity of what is built on nothing."""
    coin = pl.col("asset_class").cast(pl.String) == "crypto"
    return pl.when(coin).then(base_of(pl.col("symbol"))).otherwise("security_id")
