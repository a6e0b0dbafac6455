"""Accounting identities: what the stored tables say of money must add up, over their whole span.

1. The account: equity is cash and the sum of position times mark; its change is what was earned
   less what was paid.
2. Every profile of every sleeve and meta: the return is what its holdings earned, net is gross less
   cost, weights and cash are one.
3. A meta without a trade earns the sum of weight times sleeve return; with one, what it held earns
   up to the execution prices.
4. Target weights and cash are one: a portfolio's weights are what the sleeves' and the meta's make.
   Those that say ``held`` are what the books hold, those that say ``decided`` are decisions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from quant_platform_tests.laws.broken import LawBroken

LAW = "accounting identities"
TOLERANCE = 1e-9

Tables = Mapping[str, pl.DataFrame]


def check_identities(tables: Tables, sleeves: tuple[str, ...], metas: tuple[str, ...]) -> int:
    """Require every identity on every session.

    Parameters
    ----------
    tables
        Stored rows by table.
    sleeves, metas
        Branches that have profiles.

    Returns
    -------
    int
        How many sessions, profiles and items were compared.
    """
    compared = 0
    for table, name, rows in _all_identities(tables, sleeves, metas):
        error = (pl.col("left") - pl.col("right")).abs()
        scale = pl.max_horizontal(1.0, pl.col("left").abs())
        wrong = rows.filter((error > TOLERANCE * scale).fill_null(True))
        if wrong.height:
            first = wrong.sort("session").row(0, named=True)
            raise LawBroken(
                LAW,
                table,
                first["session"],
                f"{name}: {first['left']!r} against {first['right']!r} "
                f"on {wrong.height} of {rows.height} rows",
            )
        compared += rows.height
    return compared


def _all_identities(
    tables: Tables, sleeves: tuple[str, ...], metas: tuple[str, ...]
) -> Iterator[tuple[str, str, pl.DataFrame]]:
    for name, rows in _account(tables["execution/positions"]).items():
        yield "execution/positions", name, rows
    for branch in sleeves:
        returns = tables[f"{branch}/profile_returns"]
        for name, rows in _profiles(returns, tables[f"{branch}/holdings"]).items():
            yield f"{branch}/profile_returns", name, rows
    for meta in metas:
        returns, holdings = tables[f"{meta}/portfolio_returns"], tables[f"{meta}/holdings"]
        for name, rows in _profiles(returns, holdings).items():
            yield f"{meta}/portfolio_returns", name, rows
        for name, rows in _streams(holdings, tables[f"{meta}/returns"]).items():
            yield f"{meta}/holdings", name, rows
        target = tables[f"{meta}/target_portfolio"]
        yield f"{meta}/target_portfolio", "weight = sum of what contributes", _contributed(target)
        yield f"{meta}/target_portfolio", "weights and cash = 1", _invested(target)
        for name, rows in _standing(tables, meta, sleeves).items():
            yield f"{meta}/target_portfolio", name, rows


def _account(positions: pl.DataFrame) -> dict[str, pl.DataFrame]:
    sessions = (
        positions.group_by("session")
        .agg(
            pl.col("equity").first(),
            pl.col("value").sum(),
            (pl.col("quantity") * pl.col("mark")).sum().alias("priced"),
            pl.col("weight").sum(),
            (pl.col("earned").sum() - pl.col("costs").sum()).alias("flow"),
        )
        .sort("session")
    )
    change = sessions.with_columns(change=pl.col("equity").diff()).drop_nulls("change")
    return {
        "equity = cash + sum of position x mark": _pair(sessions, "equity", pl.col("priced")),
        "equity = sum of values": _pair(sessions, "equity", pl.col("value")),
        "change of equity = earned - costs": _pair(change, "change", pl.col("flow")),
        "weights and cash = 1": _pair(sessions, "weight", pl.lit(1.0)),
    }


def _profiles(returns: pl.DataFrame, holdings: pl.DataFrame) -> dict[str, pl.DataFrame]:
    held = holdings.group_by("session", "profile").agg(
        (pl.col("earned_before") + pl.col("earned_after")).sum().alias("earned"),
        pl.col("cost").sum().alias("paid"),
        pl.col("weight").sum().alias("invested"),
        (pl.col("traded").abs().sum() / 2).alias("traded"),
    )
    rows = returns.join(held, on=["session", "profile"], how="left").with_columns(
        pl.col("earned", "paid", "invested", "traded").fill_null(0.0)
    )
    return {
        "net = gross - cost": _pair(rows, "net", pl.col("gross") - pl.col("cost")),
        "gross = sum of what holdings earned": _pair(rows, "gross", pl.col("earned")),
        "cost = sum of what trades cost": _pair(rows, "cost", pl.col("paid")),
        "turnover = sum of trades / 2": _pair(rows, "turnover", pl.col("traded")),
        "weights and cash = 1": _pair(rows, "cash", 1 - pl.col("invested")),
    }


def _streams(holdings: pl.DataFrame, streams: pl.DataFrame) -> dict[str, pl.DataFrame]:
    moved = holdings.join(
        streams.select("session", "profile", "sleeve", "before", "net"),
        on=["session", "profile", "sleeve"],
        how="inner",
    )
    quiet = pl.col("traded").abs().sum().over("session", "profile") == 0
    kept = moved.filter(quiet).group_by("session", "profile")
    summed = kept.agg(
        (pl.col("earned_before") + pl.col("earned_after")).sum().alias("earned"),
        (pl.col("held") * pl.col("net")).sum().alias("weighted"),
    )
    return {
        "earned before = held x before": _pair(
            moved, "earned_before", pl.col("held") * pl.col("before")
        ),
        "meta return = sum of weight x sleeve return": _pair(summed, "earned", pl.col("weighted")),
    }


def _contributed(target: pl.DataFrame) -> pl.DataFrame:
    parts = (
        target.select("session", "profile", "security_id", "weight", "contributors")
        .explode("contributors")
        .unnest("contributors")
        .group_by("session", "profile", "security_id")
        .agg(
            pl.col("weight").first(),
            (pl.col("meta_weight") * pl.col("sleeve_weight")).sum().alias("made"),
        )
    )
    return _pair(parts, "weight", pl.col("made"))


def _standing(tables: Tables, meta: str, sleeves: tuple[str, ...]) -> dict[str, pl.DataFrame]:
    """Compare what targets stand on with the books; the two are told apart by the rows alone."""
    parts = (
        tables[f"{meta}/target_portfolio"]
        .select("session", "profile", "security_id", "contributors")
        .explode("contributors")
        .unnest("contributors")
    )
    found = {}
    for kind, basis in (("weights", "decided"), ("holdings", "held")):
        books = pl.concat(
            tables[f"{sleeve}/{kind}"]
            .select("session", "profile", "security_id", pl.col("weight").alias("own"))
            .with_columns(sleeve=pl.lit(sleeve))
            for sleeve in sleeves
        )
        keys = ["session", "profile", "security_id", "sleeve"]
        own = parts.filter(pl.col("sleeve_basis") == basis).join(books, on=keys, how="left")
        found[f"sleeve's weight is {basis}"] = _pair(own, "sleeve_weight", pl.col("own"))
        shares = tables[f"{meta}/{kind}"].select(
            "session", "profile", "sleeve", pl.col("weight").alias("own")
        )
        both = parts.filter(pl.col("meta_basis") == basis).join(
            shares, on=["session", "profile", "sleeve"], how="left"
        )
        found[f"meta's weight is {basis}"] = _pair(both, "meta_weight", pl.col("own"))
    return found


def _invested(target: pl.DataFrame) -> pl.DataFrame:
    sums = target.group_by("session", "profile").agg(pl.col("weight").sum())
    cash = pl.max_horizontal(1 - pl.col("weight"), 0.0)
    return _pair(sums.with_columns(whole=pl.col("weight") + cash), "whole", pl.lit(1.0))


def _pair(rows: pl.DataFrame, left: str, right: pl.Expr) -> pl.DataFrame:
    return rows.select("session", pl.col(left).alias("left"), right.alias("right"))
