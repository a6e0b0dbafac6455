"""Accounts as tables: rows in, accounts kept, rows out, and the sums of a session.

The tables of a sleeve and of a meta differ in the column that names the asset (``security_id``,
``sleeve``) and in nothing else. Sums run over one profile's rows of one session in ascending order,
so they have the same bytes whatever range they are computed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.meta import DECIDED, HELD
from quant_platform.lakehouse.contracts.profile_returns import PROFILE_RETURNS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.portfolio.accounting import Account, Target, Vector, executes

_AMOUNTS = ("held", "traded", "cost", "earned_before", "earned_after", "weight", "wanted")
_NOTHING = 1e-12


def runs(rows: pl.DataFrame, *keys: str) -> Iterator[tuple[tuple[Any, ...], slice]]:
    """Yield the keys of sorted rows, each with the rows that have them.

    Slices of whole columns, because a frame for each of a year's books takes a second.
    """
    stop = 0
    for *key, length in rows.group_by(keys, maintain_order=True).len().iter_rows():
        start, stop = stop, stop + length
        yield tuple(key), slice(start, stop)


def targets_in_force(weights: pl.LazyFrame, asset: str) -> dict[tuple[date, str], Target]:
    """Targets by the session at whose cutoff they are known, and by profile."""
    rows = (
        weights.select("session", "profile", asset, "decided_on", "weight")
        .sort("session", "profile", asset)
        .collect()
    )
    names, weight, decided_on = (rows[name].to_list() for name in (asset, "weight", "decided_on"))
    return {
        (session, profile): Target(
            dict(zip(names[own], weight[own], strict=True)), decided_on[own.start]
        )
        for (session, profile), own in runs(rows, "session", "profile")
    }


def books_before(
    holdings: pl.LazyFrame, asset: str, wanted: SessionRange
) -> dict[str, dict[str, float]]:
    """Weights held at the cutoff before a range, by profile."""
    position = wanted.calendar.ordinal(wanted.first)
    before = wanted.calendar.sessions[position - 1] if position else None
    rows = (
        holdings.filter((pl.col("session") == before) & (pl.col("weight") > 0))
        .select("profile", asset, "weight")
        .sort("profile", asset)
        .collect()
    )
    names, weight = rows[asset].to_list(), rows["weight"].to_list()
    return {
        profile: dict(zip(names[own], weight[own], strict=True))
        for (profile,), own in runs(rows, "profile")
    }


def standing(
    weights: pl.LazyFrame,
    holdings: pl.LazyFrame,
    asset: str,
    targets: Mapping[tuple[date, str], Target],
) -> pl.DataFrame:
    """Return what each book aims at after each session's cutoff, and what that stands on.

    A book that executes its target on the next session aims at it. Any other lets its holdings
    drift, and aims at what it holds; whoever follows it with another account holds the same.

    Parameters
    ----------
    weights, holdings
        Targets and holdings of some sessions.
    asset
        Column that names the asset.
    targets
        The targets, by the session at whose cutoff they are known, and by profile.

    Returns
    -------
    polars.DataFrame
        ``session``, ``profile``, the asset, ``weight``, ``basis``: one of ``DECIDED``, ``HELD``.
    """
    columns = ("session", "profile", asset, "weight")
    kept = holdings.filter(pl.col("weight") > 0).select(columns).sort(columns[:3]).collect()
    names = kept[asset].to_list()
    books = {key: names[own] for key, own in runs(kept, "session", "profile")}
    trading = [
        (session, profile)
        for session, profile in {*targets, *books}
        if executes(books.get((session, profile), ()), targets.get((session, profile)), session)
    ]
    schema = {"session": pl.Date, "profile": pl.String}
    due = pl.DataFrame(trading, schema=schema, orient="row")
    asked = weights.select(columns).collect()
    return pl.concat(
        [
            asked.join(due, on=list(schema), how="semi").with_columns(basis=pl.lit(DECIDED)),
            kept.join(due, on=list(schema), how="anti").with_columns(basis=pl.lit(HELD)),
        ]
    ).sort(columns[:3])


def account_rows(accounts: Iterable[Account], asset: str, contract: Contract) -> pl.DataFrame:
    """Rows of accounts in a contract's columns, in the order of the accounts."""
    kept = list(accounts)
    if not kept:
        return contract.empty()
    lengths = [len(account.assets) for account in kept]
    session = pl.Series("session", [account.session for account in kept], dtype=pl.Date)
    profile = pl.Series("profile", [account.profile for account in kept], dtype=pl.String)
    owner = np.repeat(np.arange(len(kept)), lengths)
    names = [name for account in kept for name in account.assets]
    columns = [session.gather(owner), profile.gather(owner), pl.Series(asset, names)]
    columns += [
        pl.Series(name, np.concatenate([getattr(account, name) for account in kept]))
        for name in _AMOUNTS
    ]
    return pl.DataFrame(columns).select(*contract.columns)


def add_up(
    holdings: pl.LazyFrame,
    asset: str,
    targets: Mapping[tuple[date, str], Target],
    due: Sequence[tuple[date, str]],
    wanted: SessionRange,
) -> pl.DataFrame:
    """Sum the holdings of each book and session that is due.

    Parameters
    ----------
    holdings
        Rows of ``account_rows``; a book without rows is all cash.
    asset
        Column that names the asset.
    targets
        Targets by the session at whose cutoff they are known, and by profile.
    due
        Sessions and profiles that have a row.
    wanted
        Range that holds those sessions.
    """
    rows = holdings.sort("session", "profile", asset).collect()
    names = rows[asset].to_list()
    columns = {name: rows[name].to_numpy() for name in _AMOUNTS}
    books = dict(runs(rows, "session", "profile"))
    made = []
    for session, profile in due:
        own = books.get((session, profile), slice(0, 0))
        amounts = {name: column[own] for name, column in columns.items()}
        position = wanted.calendar.ordinal(session)
        yesterday = wanted.calendar.sessions[position - 1] if position else None
        target = targets.get((yesterday, profile)) if yesterday is not None else None
        held = [name for name, share in zip(names[own], amounts["held"], strict=True) if share > 0]
        untraded = _untraded(amounts) if executes(held, target, yesterday) else 0
        row = {"session": session, "profile": profile, **_sums(amounts), "untraded": untraded}
        made.append(row)
    schema = {name: column.dtype for name, column in PROFILE_RETURNS.columns.items()}
    return pl.DataFrame(made, schema=schema).sort("session", "profile")


def _sums(amounts: Mapping[str, Vector]) -> dict[str, float | int]:
    """Add up the returns and sizes of one book over one session."""
    before = float(amounts["earned_before"].sum())
    gross = before + float(amounts["earned_after"].sum())
    cost = float(amounts["cost"].sum())
    net = gross - cost
    weight = amounts["weight"]
    return {
        "before": before,
        # What lost everything before the execution prices has nothing left to earn on.
        "after": (1 + net) / (1 + before) - 1 if before > -1 else 0.0,
        "gross": gross,
        "cost": cost,
        "net": net,
        "turnover": float(np.abs(amounts["traded"]).sum()) / 2,
        "names": int((weight > 0).sum()),
        "cash": 1 - float(weight.sum()),
        "concentration": float((weight * weight).sum()),
    }


def _untraded(amounts: Mapping[str, Vector]) -> int:
    """Wanted trades without an execution price: no trade where one was due."""
    held, earned = amounts["held"], amounts["earned_before"]
    distance = amounts["wanted"] * (1 + float(earned.sum())) - held - earned
    # Whose holding ended without a trade has left the market: that is no wanted trade.
    left = (held > 0) & (amounts["weight"] == 0)
    lacking = (amounts["traded"] == 0) & (np.abs(distance) > _NOTHING)
    return int((lacking & ~left).sum())
