"""A sleeve's accounts: what each profile holds after each session, and what it earned.

1. The target in force on session D is the one known at the cutoff of D - 1. A target that D - 1
   decided is executed on D at D's execution prices; older ones let the holdings drift.
2. ``accounting`` takes each profile's book from the cutoff of D - 1 to that of D.
3. The return matrix adds the holdings up: gross is what they earned, net is less the costs. It
   begins with the session after a profile's first decision: what it earned before anybody decided
   is no evidence of it. From then on a profile without holdings has decided for cash, and its 0 is
   a return like any other.

A name without a row in ``returns`` can not be bought. One that is held and has no row is an error:
a held name earns something every session until the one that says it left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import numpy as np
import polars as pl

from quant_platform.errors import ContractError
from quant_platform.lakehouse.contracts.holdings import HOLDINGS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.accounting import Moves, Vector, keep_accounts
from quant_platform.portfolio.books import (
    account_rows,
    add_up,
    books_before,
    runs,
    targets_in_force,
)
from quant_platform.selection.policy import deciding_sessions
from quant_platform.settings.portfolio import CostSettings, ProfilesSettings


def holdings_windows(settings: CostSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``holdings`` depends on."""
    return {
        "weights": Window("weights", 1),
        "returns": Window("returns"),
        "holdings": Window("holdings", 1, own=True),
    }


def hold(
    frames: Mapping[str, pl.LazyFrame], settings: CostSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``holdings`` for a range.

    Parameters
    ----------
    frames
        ``weights`` of the range and of the session before it; ``returns`` of the range;
        ``holdings``, the table itself, of the session before the range.
    settings
        What trades cost.
    wanted
        Sessions to account for.

    Returns
    -------
    polars.DataFrame
        One row per profile and name held, traded or wanted in vain, by session, profile, security.
    """
    targets = targets_in_force(frames["weights"], "security_id")
    books = books_before(frames["holdings"], "security_id", wanted)
    names = {name for target in targets.values() for name in target.weights}
    names.update(name for book in books.values() for name in book)
    market = _Securities(frames["returns"], names, settings.rate)
    accounts = keep_accounts(wanted, targets, books, market.moves)
    return account_rows(accounts, "security_id", HOLDINGS)


class _Securities:
    """What some securities of a sleeve did, session by session."""

    def __init__(self, returns: pl.LazyFrame, names: Collection[str], rate: float) -> None:
        self.rate = rate
        rows = (
            returns.filter(pl.col("security_id").is_in(sorted(names)))
            .select(
                "session",
                "security_id",
                "before",
                "after",
                "income",
                pl.col("execution_price").is_not_null().alias("tradable"),
                pl.col("delisted").alias("left"),
            )
            .sort("session", "security_id")
            .collect()
        )
        listed = rows["security_id"].to_list()
        self.places: dict[date, dict[str, int]] = {
            session: dict(zip(listed[own], range(own.start, own.stop), strict=True))
            for (session,), own in runs(rows, "session")
        }
        # The last place belongs to what has no row: it earns nothing and can not be traded.
        self.before = np.append(rows["before"].to_numpy(), 0.0)
        self.after = np.append(rows["after"].to_numpy(), 0.0)
        self.income = np.append(rows["income"].to_numpy(), 0.0)
        self.tradable = np.append(rows["tradable"].to_numpy(), values=False)
        self.left = np.append(rows["left"].to_numpy(), values=False)

    def moves(self, session: date, profile: str, assets: tuple[str, ...], held: Vector) -> Moves:
        """Look up what some securities did; one that is held must have a row."""
        listed = self.places.get(session, {})
        places = np.array([listed.get(name, -1) for name in assets])
        lost = np.flatnonzero((places < 0) & (held > 0))
        if lost.size:
            raise ContractError(
                f"{assets[lost[0]]} is held by {profile} on {session} and has no return",
                expected="a row in returns for every session until the one that says it left",
                mend="materialise returns of that session again, or mend its source",
            )
        return Moves(
            self.before[places],
            self.after[places],
            self.income[places],
            self.tradable[places],
            self.left[places],
            np.full(len(assets), self.rate),
        )


def profile_returns_windows(settings: ProfilesSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``profile_returns`` depends on."""
    return {
        "holdings": Window("holdings"),
        "weights": Window("weights", 1),
        "returns": Window("returns", 1),
        "profile_returns": Window("profile_returns", 1, own=True),
    }


def profile_returns(
    frames: Mapping[str, pl.LazyFrame],
    settings: ProfilesSettings,
    wanted: SessionRange,
    grid: Collection[date],
) -> pl.DataFrame:
    """Compute ``profile_returns`` for a range.

    Parameters
    ----------
    frames
        ``holdings`` of the range; ``weights`` of the range and of the session before it, which say
        on which sessions a decision was due; ``returns`` of the same sessions, which say whether a
        rebalance session could decide; ``profile_returns``, the table itself, of the session before
        the range, which says who had begun.
    settings
        Names the profiles: each has a row on each session after its first decision.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions from the first one on that weights are decided.

    Returns
    -------
    polars.DataFrame
        The return matrix, by session and profile.
    """
    targets = targets_in_force(frames["weights"], "security_id")
    due = _begun(frames, settings, wanted, grid)
    return add_up(frames["holdings"], "security_id", targets, due, wanted)


def _begun(
    frames: Mapping[str, pl.LazyFrame],
    settings: ProfilesSettings,
    wanted: SessionRange,
    grid: Collection[date],
) -> list[tuple[date, str]]:
    """Sessions and profiles before which there was a decision, be it for cash.

    Weights alone do not say: a decision for cash leaves no row in them.
    """
    calendar, first = wanted.calendar, wanted.calendar.ordinal(wanted.first)
    evenings = calendar.sessions[max(first - 1, 0) : first + len(wanted.sessions) - 1]
    rows = frames["returns"].select("session", "mark_session", "delisted").collect()
    deciding = deciding_sessions(rows, grid)
    stored = frames["profile_returns"].filter(pl.col("session") == evenings[0])
    begun = set(stored.select("profile").collect()["profile"])
    due: list[tuple[date, str]] = []
    for session, evening in zip(wanted.sessions, evenings, strict=True):
        if evening in deciding:
            begun.update(settings.profiles)
        due += [(session, profile) for profile in settings.profiles if profile in begun]
    return due
