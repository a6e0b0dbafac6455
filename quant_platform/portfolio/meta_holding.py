"""A meta's accounts: the sleeves' streams are its assets, the account is that of a sleeve.

To move value into a sleeve is to buy what the sleeve holds, name by name: it costs what the sleeve
pays for its own trades. (A trade of the meta that one of the sleeve's on the same open would cancel
is cheaper than that; the two are charged apart.)

On a session that the sleeves do not share nothing is known of the streams: the books stay as they
are, nothing trades, and the session has no row in the meta's returns rather than a zero. A decision
of the evening before is executed on the next joint session, if that is no more than ``WAIT``
sessions late; an older one is left to the next rebalance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from quant_platform.errors import ConfigError, ContractError
from quant_platform.lakehouse.contracts.meta import META_HOLDINGS
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.portfolio.accounting import Moves, Target, Vector, keep_accounts
from quant_platform.portfolio.books import account_rows, add_up, books_before, targets_in_force
from quant_platform.settings.portfolio import CostSettings, MetaSettings

WAIT = 5
"""Sessions that are not joint through which a decision waits: a week."""


def meta_holdings_windows(settings: MetaSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``meta/holdings`` depends on."""
    return {
        "weights": Window("meta/weights", 1),
        "returns": Window("meta/returns", WAIT),
        "holdings": Window("meta/holdings", 1, own=True),
    }


def meta_holdings(
    frames: Mapping[str, pl.LazyFrame],
    settings: MetaSettings,
    wanted: SessionRange,
    costs: Mapping[str, CostSettings],
) -> pl.DataFrame:
    """Compute ``meta/holdings`` for a range.

    Parameters
    ----------
    frames
        ``weights`` of the range and of the session before it; ``returns``, the joint streams of
        the range and of ``WAIT`` sessions before it; ``holdings``, the table itself, of the
        session before the range.
    settings
        Names the members.
    wanted
        Sessions to account for.
    costs
        By sleeve: what its own trades cost.

    Returns
    -------
    polars.DataFrame
        One row per profile and sleeve, by session, profile and sleeve.
    """
    lacking = [name for name in settings.members if name not in costs]
    if lacking:
        raise ConfigError(
            f"meta {settings.name} has a member {lacking[0]} without costs",
            expected="the cost settings of every member",
            mend="correct members, or add the sleeve to assets_config/sleeves/",
        )
    rows = frames["returns"].select("session", "profile", "sleeve", "before", "after").collect()
    streams = {
        (session, profile, sleeve): (before, after)
        for session, profile, sleeve, before, after in rows.iter_rows()
    }

    def moves(session: date, profile: str, assets: tuple[str, ...], held: Vector) -> Moves:
        found = [streams.get((session, profile, sleeve)) for sleeve in assets]
        known = np.array([part is not None for part in found])
        if known.any() and not known.all():
            raise ContractError(
                f"{assets[int(np.argmin(known))]} has no {profile} stream on {session}, and "
                f"{assets[int(np.argmax(known))]} has one",
                expected="streams of all sleeves on a joint session, or of none",
                mend="materialise meta/returns of that session again",
            )
        parts = np.array([part or (0.0, 0.0) for part in found])
        staying = np.zeros(len(assets), dtype=np.bool_)
        rates = np.array([costs[sleeve].rate for sleeve in assets])
        # What sleeves are paid is in their streams already.
        income = np.zeros(len(assets))
        return Moves(parts[:, 0], parts[:, 1], income, known, staying, rates)

    joint = {(session, profile) for session, profile, _ in streams}
    accounts = keep_accounts(
        wanted,
        due_targets(targets_in_force(frames["weights"], "sleeve"), joint, wanted),
        books_before(frames["holdings"], "sleeve", wanted),
        moves,
    )
    return account_rows(accounts, "sleeve", META_HOLDINGS)


def due_targets(
    targets: Mapping[tuple[date, str], Target],
    joint: Collection[tuple[date, str]],
    wanted: SessionRange,
) -> dict[tuple[date, str], Target]:
    """Date a decision that no joint session could execute yet to the evening that it waits on.

    Parameters
    ----------
    targets
        Targets by the session at whose cutoff they are known, and by profile.
    joint
        Joint sessions and profiles, of ``WAIT`` - 1 sessions before the first target and after.
    wanted
        Range whose calendar the sessions are of.
    """
    calendar = wanted.calendar
    due = dict(targets)
    for (session, profile), target in targets.items():
        decided, last = calendar.ordinal(target.decided_on), calendar.ordinal(session)
        passed = calendar.sessions[decided + 1 : last + 1]
        if len(passed) <= WAIT and not any((day, profile) in joint for day in passed):
            due[session, profile] = replace(target, decided_on=session)
    return due


def meta_portfolio_returns_windows(settings: MetaSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``meta/portfolio_returns`` depends on."""
    return {
        "holdings": Window("meta/holdings"),
        "weights": Window("meta/weights", 1),
        "returns": Window("meta/returns", WAIT),
    }


def meta_portfolio_returns(
    frames: Mapping[str, pl.LazyFrame], settings: MetaSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``meta/portfolio_returns`` for a range.

    Parameters
    ----------
    frames
        ``holdings`` of the range; ``weights`` of the range and of the session before it;
        ``returns`` of the range and of ``WAIT`` sessions before it, which say what is joint.
    settings
        Names the profiles.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per profile on each joint session after its first decision: before that nothing
        was held because nobody had decided, and a zero would be taken for evidence.
    """
    rows = frames["returns"].select("session", "profile").unique().collect()
    joint = set(rows.iter_rows())
    targets = due_targets(targets_in_force(frames["weights"], "sleeve"), joint, wanted)
    calendar = wanted.calendar
    due = [
        (session, profile)
        for session in wanted.sessions
        for profile in settings.profiles
        if (session, profile) in joint
        # Weights are never without a row again, once they have been decided.
        and (calendar.sessions[calendar.ordinal(session) - 1], profile) in targets
    ]
    return add_up(frames["holdings"], "sleeve", targets, due, wanted)
