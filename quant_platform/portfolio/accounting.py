"""The one account: what a book of holdings earns, trades and pays over a session.

It serves sleeves, whose assets are securities, and metas, whose assets are the sleeves' streams.
All amounts are shares of the book's value at the cutoff of the session before, which is 1.

1. Holdings earn ``before``, up to the execution prices.
2. If the session executes a decision, the book trades to the target weights of its value then. What
   can not be traded stays as it is; the rest shares what is left, so that nothing is borrowed. The
   costs of the trades are paid out of that value: the targets are shares of what remains, which is
   found by iteration, each step a thousandth of the one before.
3. Holdings earn ``after``, from the execution prices on. Who held at the cutoff before is paid
   ``income``, which stays in cash until the book trades again.
4. An asset that left turns into cash at its mark, without a cost.

Units never appear: a split multiplies them and divides the price, and returns are neutral to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from quant_platform.lakehouse.windows import SessionRange

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_STEPS = 100


@dataclass(frozen=True, eq=False)
class Moves:
    """What some assets did over a session, in the order in which they were asked for.

    Parameters
    ----------
    before, after
        Price returns up to the execution price and from it on, fractions.
    income
        Cash paid to who held at the cutoff before, a fraction of that holding.
    tradable
        Whether there is an execution price, and the asset stays.
    left
        Whether the asset left the market on this session.
    rate
        Cost of trading an amount of one.
    """

    before: Vector
    after: Vector
    income: Vector
    tradable: Mask
    left: Mask
    rate: Vector


@dataclass(frozen=True)
class Target:
    """Target weights of a book, by asset, and the session that decided them."""

    weights: Mapping[str, float]
    decided_on: date


@dataclass(frozen=True, eq=False)
class Account:
    """One book over one session; one number for each asset.

    Parameters
    ----------
    session, profile, assets
        Which book, when, and its assets in ascending order.
    held
        Weights at the cutoff of the session before.
    traded
        Bought, or sold where negative, at the execution prices.
    cost
        What that cost.
    earned_before, earned_after
        P&L up to the execution prices, and from them on, what was paid out included.
    weight
        Weights at the session's cutoff, as shares of the value then.
    wanted
        Target weights in force.
    """

    session: date
    profile: str
    assets: tuple[str, ...]
    held: Vector
    traded: Vector
    cost: Vector
    earned_before: Vector
    earned_after: Vector
    weight: Vector
    wanted: Vector


Market = Callable[[date, str, tuple[str, ...], Vector], Moves]
"""Session, profile, assets and the weights held → what those assets did."""


def keep_accounts(
    wanted: SessionRange,
    targets: Mapping[tuple[date, str], Target],
    books: Mapping[str, Mapping[str, float]],
    market: Market,
) -> Iterator[Account]:
    """Carry every book through the sessions of a range.

    Parameters
    ----------
    wanted
        Sessions to account for.
    targets
        Targets by the session at whose cutoff they are known, and by profile.
    books
        Weights held at the cutoff before the range, by profile.
    market
        What assets did and what trading them costs; never asked for a later session.

    Yields
    ------
    Account
        By session and profile; none for a book that holds nothing and wants nothing.
    """
    held = {profile: dict(book) for profile, book in books.items()}
    profiles = sorted({*books, *(profile for _, profile in targets)})
    calendar = wanted.calendar
    for session in wanted.sessions:
        position = calendar.ordinal(session)
        yesterday = calendar.sessions[position - 1] if position else None
        for profile in profiles:
            target = targets.get((yesterday, profile)) if yesterday else None
            account = _account(
                session, profile, held.get(profile, {}), target, yesterday, market=market
            )
            if account is None:
                continue
            kept = account.weight > 0
            held[profile] = dict(
                zip(np.array(account.assets)[kept].tolist(), account.weight[kept], strict=True)
            )
            yield account


def executes(held: Iterable[str], target: Target | None, yesterday: date | None) -> bool:
    """Whether a session executes the target in force, given the assets that are held.

    It does where the target was decided the evening before. A decision of which nothing could be
    executed is not dropped: as long as a book holds nothing of what its target wants (cash before
    a first purchase, names whose targets ended) it goes on trying.
    """
    if target is not None and target.decided_on == yesterday:
        return True
    weights = target.weights if target is not None else {}
    return not any(weights.get(asset, 0.0) > 0 for asset in held)


def _account(
    session: date,
    profile: str,
    book: Mapping[str, float],
    target: Target | None,
    yesterday: date | None,
    *,
    market: Market,
) -> Account | None:
    """Take one book through one session."""
    trades = executes(book, target, yesterday)
    aims = target.weights if target is not None else {}
    bought = {asset for asset, weight in aims.items() if weight > 0} if trades else set()
    assets = tuple(sorted({*book, *bought}))
    if not assets:
        return None
    held = np.array([book.get(asset, 0.0) for asset in assets])
    aim = np.array([aims.get(asset, 0.0) for asset in assets])
    moves = market(session, profile, assets, held)
    earned_before = held * moves.before
    value = 1.0 + float(earned_before.sum())
    tradable = moves.tradable & ~moves.left
    position = held + earned_before
    traded = np.zeros(len(assets))
    if trades:
        traded = _trades(position, aim, value, tradable, moves.rate)
    position = position + traded
    cost = moves.rate * np.abs(traded)
    grown = position * moves.after
    earned_after = grown + held * moves.income
    position = np.where(moves.left, 0.0, position + grown)
    value += float(earned_after.sum()) - float(cost.sum())
    weight = position / value if value > 0 else np.zeros(len(assets))
    # A book without cash may add up to one and a rounding error; rounding is not borrowing.
    weight = weight / max(1.0, float(weight.sum()))
    return Account(
        session, profile, assets, held, traded, cost, earned_before, earned_after, weight, aim
    )


def _trades(position: Vector, aim: Vector, value: float, tradable: Mask, rate: Vector) -> Vector:
    """Trades at the execution prices that bring the book to its target weights, costs paid."""
    fixed = float(position[~tradable].sum())
    remaining = value
    for _ in range(_STEPS):
        amounts = np.where(tradable, aim * remaining, 0.0)
        room = max(remaining - fixed, 0.0)
        total = float(amounts.sum())
        if total > room:
            amounts *= room / total
        traded = np.where(tradable, amounts - position, 0.0)
        left = value - float((rate * np.abs(traded)).sum())
        if left == remaining:
            break
        remaining = left
    return traded
