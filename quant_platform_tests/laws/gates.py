"""Law 4, gates that fire: each rule of each contract has a delivery that makes it fire.

The rules are found in the contracts of the graph; what makes them fire is written down here, once
per rule. A rule without an entry breaks the law, and so does one that does not fire, fires before
its cause, or fires on an honest delivery. Each entry alters the *source*: what fires the rule has
come through everything in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from quant_platform.lakehouse.contracts import Contract
from quant_platform_tests.laws import deliveries
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.deliveries import AlteredDelivery, Change
from quant_platform_tests.laws.workshop import Recipe, Workshop, only

LAW = "gates that fire"

Gate = tuple[str, str]
"""Kind of a table, and the name of one of its rules."""


@dataclass(frozen=True)
class Scenario:
    """A misfortune, and the gates that must fire on it.

    Parameters
    ----------
    name
        What happens.
    first, last
        Days that bound the history made.
    days
        Knowledge sessions whose delivery is changed.
    change
        How.
    fires
        Gates, each with the session in which it fires first.
    """

    name: str
    first: date
    last: date
    days: Sequence[date]
    change: Change
    fires: Mapping[Gate, date]


def _weekdays(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.isoweekday() < 6]


START, END = date(2022, 3, 1), date(2022, 4, 14)
"""No holiday in between."""
DAY = date(2022, 4, 11)
VANISHED = date(2022, 4, 1)
FORGOTTEN = date(2023, 4, 3)
"""252 sessions of idleness later."""

SCENARIOS = (
    Scenario(
        "a quarter of the universe arrives",
        START,
        END,
        [DAY],
        deliveries.quarter,
        {("bars", "row_count"): DAY, ("features_trend", "row_count"): DAY},
    ),
    Scenario(
        "every price arrives with the wrong sign",
        START,
        END,
        [DAY],
        deliveries.garbled,
        {("bars", "rejected_share"): DAY},
    ),
    Scenario(
        "a session arrives with the next one",
        START,
        END,
        _weekdays(date(2022, 4, 8), DAY),
        deliveries.held_back(_weekdays(date(2022, 4, 8), DAY)),
        {("bars", "late_share"): DAY},
    ),
    Scenario(
        "two sessions never arrive",
        START,
        END,
        [date(2022, 3, 30), date(2022, 4, 1)],
        deliveries.nothing,
        # 20 bars are there on the 30th; of the last 20 sessions two are missing from 4 April on.
        {("features_trend", "sma_20_filled"): date(2022, 4, 4)},
    ),
    Scenario(
        "most of the universe disappears",
        START,
        FORGOTTEN,
        _weekdays(VANISHED, FORGOTTEN),
        deliveries.quarter,
        {
            ("features_state", "row_count"): FORGOTTEN,
            ("features_state", "none_lost"): FORGOTTEN,
        },
    ),
)

HONEST = Recipe(
    {
        "platform__history_start": START.isoformat(),
        "platform__embedded_market__seed": 22,
        **{
            f"platform__embedded_market__dirt__{kind}": 0.0
            for kind in ("missing", "late", "corrected", "impossible", "duplicated")
        },
    }
)
"""A market without a flaw, on which no gate fires."""


def require_scenarios(
    contracts: Iterable[Contract], scenarios: Sequence[Scenario] = SCENARIOS
) -> None:
    """Require a scenario for every rule of every contract.

    Parameters
    ----------
    contracts
        Contracts of a graph.
    scenarios
        What is known to make rules fire.
    """
    covered = {gate for scenario in scenarios for gate in scenario.fires}
    for contract in contracts:
        for rule in contract.rules:
            if (contract.kind, rule.name) not in covered:
                found = f"no scenario makes its rule '{rule.name}' fire; add one to SCENARIOS"
                raise LawBroken(LAW, contract.kind, None, found)


def check_quiet(folder: Path, honest: Recipe, branch: str, first: date, last: date) -> None:
    """Require that no gate fires on an honest history.

    Parameters
    ----------
    folder
        An empty folder.
    honest
        Recipe of the history.
    branch
        Sleeve to try it in.
    first, last
        Days that bound the history made.
    """
    workshop = _made(folder, honest, branch, first, last)
    for stage in workshop.stages:
        for rule in stage.contract.rules:
            fired = fired_sessions(workshop, stage.table, rule.name)
            if fired:
                found = f"rule '{rule.name}' fired, and nothing had happened"
                raise LawBroken(LAW, stage.table, fired[0], found)


def check_gates(folder: Path, scenario: Scenario, honest: Recipe, branch: str) -> None:
    """Make history with a misfortune, and require its gates to fire on it and not before.

    Parameters
    ----------
    folder
        An empty folder.
    scenario
        The misfortune and its gates.
    honest
        Recipe of the history without it.
    branch
        Sleeve to try it in.
    """
    altered = replace(
        honest, alter=lambda source: AlteredDelivery(source, scenario.change, scenario.days)
    )
    workshop = _made(folder, altered, branch, scenario.first, scenario.last)
    for (kind, rule), expected in scenario.fires.items():
        table = f"{branch}/{kind}"
        fired = fired_sessions(workshop, table, rule)
        if fired[:1] != [expected]:
            when = f"first on {fired[0]}" if fired else "never"
            found = f"rule '{rule}' fired {when} although {scenario.name}"
            raise LawBroken(LAW, table, expected, found)


def fired_sessions(workshop: Workshop, table: str, rule: str) -> list[date]:
    """Sessions whose stored outcome of a rule is a failure, ascending."""
    checks = workshop.lake.checks(table)
    return checks.filter(pl.col("rule") == rule, ~pl.col("passed"))["session"].sort().to_list()


def _made(folder: Path, recipe: Recipe, branch: str, first: date, last: date) -> Workshop:
    """Make one branch of a history."""
    workshop = Workshop.open(folder, replace(recipe, plant=only(branch, recipe.plant)))
    workshop.make_all(first, last)
    return workshop
