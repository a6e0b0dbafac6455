"""Law 4, gates that fire: each rule of each contract has a delivery that makes it fire.

The rules are found in the contracts of the graph; what makes them fire is written down here, once
per rule. A rule without an entry breaks the law, and so does one that does not fire, fires before
its cause, or fires on an honest delivery. A scenario alters the *source*: what fires the rule has
come through everything in between. Some rules watch over the platform's own work, and nothing that
a source could deliver fires them; a *fault* plants a mistake in the function that they watch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from quant_platform.lakehouse.contracts import Contract, contract_of
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.orchestration.stage import Computed, Frames, Stage
from quant_platform.settings.platform import DirtSettings
from quant_platform_tests.laws import deliveries, planted
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.deliveries import AlteredDelivery, Change
from quant_platform_tests.laws.planted import rows_of, with_rows
from quant_platform_tests.laws.workshop import Plant, Recipe, Situation, Workshop

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
UNMARKED = date(2022, 7, 6)
"""A mark stands for 63 sessions without a bar, is paid out on the next, and then there is none."""
FORGOTTEN = date(2023, 4, 3)
"""252 sessions of idleness later."""

SCENARIOS = (
    Scenario(
        "a quarter of the universe arrives",
        START,
        END,
        [DAY],
        deliveries.quarter,
        {
            ("bars", "row_count"): DAY,
            ("features_trend", "row_count"): DAY,
            ("features_avwap", "row_count"): DAY,
            ("features_liquidity", "row_count"): DAY,
            ("features_volatility", "row_count"): DAY,
            ("screener", "row_count"): DAY,
        },
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
            ("returns", "row_count"): UNMARKED,
            ("features_state", "row_count"): FORGOTTEN,
            ("features_state", "none_lost"): FORGOTTEN,
        },
    ),
)


@dataclass(frozen=True)
class Fault:
    """A mistake of the platform itself, and the gate that must fire on it.

    Parameters
    ----------
    name
        What is wrong.
    table
        Table in whose rows it is made.
    mistake
        Changes its rows.
    fires
        Table and rule.
    after
        Sessions after the first mistaken one until the gate fires.
    """

    name: str
    table: str
    mistake: Callable[[pl.DataFrame], pl.DataFrame]
    fires: tuple[str, str]
    after: int = 0


def _levered(rows: pl.DataFrame) -> pl.DataFrame:
    whole = pl.col("weight").sum().over("session", "profile")
    return rows.with_columns(weight=pl.min_horizontal(pl.col("weight") / whole * 1.5, 1.0))


FAULTS = (
    Fault(
        "a profile borrows",
        "instruments/weights",
        _levered,
        ("instruments/weights", "weight_sum"),
    ),
    Fault(
        "two scanners find the same",
        "instruments/scan_overlap",
        lambda rows: rows.with_columns(jaccard=pl.lit(1.0)),
        ("instruments/scan_overlap", "overlap"),
    ),
    Fault("a meta borrows", "meta/weights", _levered, ("meta/weights", "weight_sum")),
    Fault(
        "the targets add up to more than one",
        "meta/target_portfolio",
        _levered,
        ("meta/target_portfolio", "weight_sum"),
    ),
    Fault(
        "the broker's record loses a coin of cash",
        "execution/broker_state",
        lambda rows: rows.with_columns(
            pl.col("quantity") - pl.when(pl.col("item") == "cash").then(1.0).otherwise(0.0)
        ),
        ("execution/reconciliation", "matched_share"),
        after=1,
    ),
    Fault(
        "nothing is reconciled",
        "execution/reconciliation",
        lambda rows: rows.clear(),
        ("execution/reconciliation", "matched_share"),
    ),
)


@dataclass(frozen=True)
class Unevidenced:
    """Settings that leave a table without evidence, and the rule that must say so.

    Parameters
    ----------
    name
        What is set.
    settings
        The settings.
    fires
        Table and rule.
    """

    name: str
    settings: Mapping[str, str]
    fires: tuple[str, str]


UNEVIDENCED = (
    Unevidenced(
        "a benchmark that nobody publishes",
        {"regimes__benchmark__security_id": "nobody-0000"},
        ("market/regime", "inputs_known"),
    ),
    Unevidenced(
        "factors of a benchmark that nobody publishes",
        {"regimes__benchmark__security_id": "nobody-0000"},
        ("market/regime", "factors_known"),
    ),
)

HONEST = Recipe(
    {
        "platform__history_start": START.isoformat(),
        "platform__walk_forward_start": START.isoformat(),
        "platform__embedded_market__seed": 1560,
        **{f"platform__embedded_market__dirt__{kind}": 0.0 for kind in DirtSettings.model_fields},
    }
)
"""A market without a flaw, on which no gate fires."""


def require_scenarios(
    contracts: Iterable[Contract],
    scenarios: Sequence[Scenario] = SCENARIOS,
    faults: Sequence[Fault] = FAULTS,
    unevidenced: Sequence[Unevidenced] = UNEVIDENCED,
) -> None:
    """Require a scenario, a fault or unfitting settings for every rule of every contract.

    Parameters
    ----------
    contracts
        Contracts of a graph.
    scenarios
        What is known to make rules fire.
    faults
        Mistakes that are known to make others fire.
    unevidenced
        Settings that are known to make others fire.
    """
    covered = {gate for scenario in scenarios for gate in scenario.fires}
    for case in (*faults, *unevidenced):
        covered.add((contract_of(case.fires[0]).kind, case.fires[1]))
    for contract in contracts:
        for rule in contract.rules:
            if (contract.kind, rule.name) not in covered:
                found = f"no scenario makes its rule '{rule.name}' fire; add one to SCENARIOS"
                raise LawBroken(LAW, contract.kind, None, found)


def check_quiet(
    folder: Path, honest: Recipe, branch: str, scenarios: Sequence[Scenario] = SCENARIOS
) -> None:
    """Require that no gate of what scenarios judge fires on an honest history.

    Parameters
    ----------
    folder
        An empty folder.
    honest
        Recipe of the history.
    branch
        Sleeve to try it in.
    scenarios
        The history is as long as the longest of them.
    """
    workshop = _made(folder, honest, branch, scenarios)
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
    workshop = _made(folder, altered, branch, [scenario])
    for (kind, rule), expected in scenario.fires.items():
        table = f"{branch}/{kind}"
        fired = fired_sessions(workshop, table, rule)
        if fired[:1] != [expected]:
            when = f"first on {fired[0]}" if fired else "never"
            found = f"rule '{rule}' fired {when} although {scenario.name}"
            raise LawBroken(LAW, table, expected, found)


def check_fault(workshop: Workshop, fault: Fault, day: date) -> None:
    """Make a mistake from a day on, and require its gate to fire then and not before.

    Parameters
    ----------
    workshop
        A workshop with a filled lake, in which the gate never fired.
    fault
        The mistake and its gate.
    day
        A session on which the table of the mistake has rows.
    """
    table, rule = fault.fires
    call = workshop.call(fault.table)

    def mistaken(
        stage: Stage, _situation: Situation, frames: Frames, wanted: SessionRange
    ) -> Computed:
        made = stage.function(frames, stage.settings, wanted)
        rows, late = rows_of(made, stage), pl.col(stage.contract.partition) >= day
        return with_rows(
            made, stage, pl.concat([rows.filter(~late), fault.mistake(rows.filter(late))])
        )

    sessions = workshop.stage(fault.table).calendar.sessions
    place = sessions.index(day)
    first, last = sessions[place - 1], sessions[place + fault.after]
    other = workshop.compose(
        "fault",
        workshop.before(first),
        (first, last),
        recipe=replace(workshop.recipe, plant=planted.at(fault.table, mistaken)),
        borrowed={
            name: workshop.lake
            for name in workshop.tables
            if name not in {stage.table for stage in call} | {table}
        },
    )
    for session in sessions[place - 1 : place + fault.after + 1]:
        other.make(other.call(fault.table), [session])
    fired = fired_sessions(other, table, rule)
    if fired[:1] != [last]:
        when = f"first on {fired[0]}" if fired else "never"
        raise LawBroken(LAW, table, last, f"rule '{rule}' fired {when} although {fault.name}")


def check_unevidenced(workshop: Workshop, case: Unevidenced) -> None:
    """Require a rule to fire on the last session under the settings, and not without them.

    Parameters
    ----------
    workshop
        A workshop with a filled lake.
    case
        The settings and the rule.
    """
    table, rule = case.fires
    last = max(workshop.lake.sessions(table))
    recipe = replace(workshop.recipe, changes={**workshop.recipe.changes, **case.settings})
    for judged, expected in ((workshop, True), (workshop.under(recipe), False)):
        (made,) = judged.computed(judged.call(table), [last])
        (passed,) = (o["passed"] for o in made.judgements[last].outcomes if o["rule"] == rule)
        if passed is not expected:
            found = f"rule '{rule}' {'passed' if passed else 'fired'}: {case.name}"
            raise LawBroken(LAW, table, last, found)


def fired_sessions(workshop: Workshop, table: str, rule: str) -> list[date]:
    """Sessions whose stored outcome of a rule is a failure, ascending."""
    checks = workshop.lake.checks(table)
    return checks.filter(pl.col("rule") == rule, ~pl.col("passed"))["session"].sort().to_list()


def _made(folder: Path, recipe: Recipe, branch: str, scenarios: Sequence[Scenario]) -> Workshop:
    """Make the history of one branch that scenarios judge."""
    workshop = Workshop.open(folder, replace(recipe, plant=_judged(branch, scenarios)))
    workshop.make_all(scenarios[0].first, max(scenario.last for scenario in scenarios))
    return workshop


def _judged(branch: str, scenarios: Sequence[Scenario]) -> Plant:
    """Return the plant that leaves the tables that scenarios judge, and what they are made of."""
    kinds = {kind for scenario in scenarios for kind, _ in scenario.fires}

    def plant(stages: list[Stage], _situation: Situation) -> list[Stage]:
        made_of = {
            stage.table: {window.table for window in stage.windows.values()} for stage in stages
        }
        needed = {f"{branch}/{kind}" for kind in kinds}
        while more := set().union(*(made_of[table] for table in needed)) - needed:
            needed |= more
        return [stage for stage in stages if stage.table in needed]

    return plant
