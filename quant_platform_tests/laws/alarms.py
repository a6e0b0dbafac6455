"""Law 4 on blocks, vetoes and the gates of an evening: each is made to fire.

The gates are found where the product lists them: ``BLOCKS`` of the overlay, ``GATES`` of readiness.
(Those of selection are in ``veto_alarms``; those of universes and scanners have a law of their own,
``filters``.) One without an alarm breaks the law, and so does an alarm that does not make its gate
fire.

1. An *alarm* changes one thing of a filled workshop: settings, the source of one sleeve, or, for
   what only a mistake of the platform can bring about, the rows of one table.
2. The tables from there to the gate are made again over a few sessions, by the real functions from
   the real rows, in memory: everything else is read from the lake as it is.
3. What fired is counted by the function that counts for the report, before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import polars as pl

from quant_platform.execution.overlay import BLOCKS
from quant_platform.execution.readiness import GATES
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.gates import Gate
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.reports.gates import GatesScope, gate_counts, gates_windows
from quant_platform_tests.laws import deliveries
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.deliveries import AlteredDelivery, Change
from quant_platform_tests.laws.planted import rows_of
from quant_platform_tests.laws.workshop import Workshop

LAW = "gates that fire"

CONTROLS, READY = "execution/risk_controls", "execution/execution_ready"
BRANCH = "etfs"
"""Sleeve whose deliveries are changed."""
NAMED: Mapping[str, Sequence[Gate]] = {
    CONTROLS: BLOCKS,
    READY: GATES,
}
"""Gates with a name of their own, by the table that tells of them."""

_A_WEEK = timedelta(days=7)

Rows = Callable[[pl.DataFrame], pl.DataFrame]
When = Callable[[Workshop], Sequence[date]]


@dataclass(frozen=True)
class Alarm:
    """Something that happens, and the gates that must fire on it.

    Parameters
    ----------
    name
        What happens.
    fires
        Table and gate, each of which must fire more often than without it.
    remade
        Tables that are made again, in any order.
    when
        Sessions over which they are.
    settings
        Changed settings.
    mistakes
        By table: what is done to its rows before they are read. Only for what no delivery and no
        setting can bring about, because the chain before the gate keeps it out.
    delivered
        Kind of data, change of its deliveries, and the sessions concerned.
    """

    name: str
    fires: Sequence[tuple[str, str]]
    remade: Collection[str]
    when: When
    settings: Mapping[str, Any] = field(default_factory=dict)
    mistakes: Callable[[Workshop], Mapping[str, Rows]] = lambda _: {}
    delivered: Callable[[Workshop], tuple[str, Change, Sequence[date]]] | None = None


def _opening(workshop: Workshop) -> Sequence[date]:
    """Evening of the account's first session: everything is an increase."""
    stage = workshop.stage(READY)
    return stage.calendar.between(stage.first_day, stage.first_day + _A_WEEK)[:1]


def _second(workshop: Workshop) -> Sequence[date]:
    calendar = workshop.stage(READY).calendar
    return [calendar.offset(_opening(workshop)[0], 1)]


def _week(workshop: Workshop) -> Sequence[date]:
    """Sessions of more than five days that end with the opening."""
    calendar = workshop.stage(READY).calendar
    (opening,) = _opening(workshop)
    return calendar.window(opening, 5, not_before=None)


def _buying(workshop: Workshop) -> Sequence[date]:
    """Last evening on which the account wants to buy."""
    orders = workshop.lake.scan("execution/orders_plan").filter(side="buy")
    return [orders.collect()["session"].max()]


def _departure(workshop: Workshop) -> Sequence[date]:
    """Session on which a security leaves the market while the account trades."""
    (opening,) = _opening(workshop)
    gone = workshop.lake.scan(f"{BRANCH}/returns").filter("delisted").collect()
    return [gone.filter(pl.col("session") > opening)["session"].max()]


def _leaver(workshop: Workshop) -> str:
    (day,) = _departure(workshop)
    gone = workshop.lake.scan(f"{BRANCH}/returns", [day]).filter("delisted").collect()
    return str(gone["security_id"][0])


def _another(security: str) -> Rows:
    """Put another security in the place of the first target."""
    first = pl.col("security_id") == pl.col("security_id").min()
    name = pl.when(first).then(pl.lit(security)).otherwise("security_id").alias("security_id")
    return lambda rows: rows.with_columns(name)


def _cashless(rows: pl.DataFrame) -> pl.DataFrame:
    coin = pl.when(pl.col("item") == "cash").then(1.0).otherwise(0.0)
    return rows.with_columns(pl.col("quantity") - coin)


TARGETS = "meta/target_portfolio"
EVENING = (CONTROLS, READY)
ALARMS = (
    Alarm(
        "a benchmark that nobody publishes",
        [(CONTROLS, "NO_REGIME"), (READY, "NO_REGIME")],
        ("market/regime", *EVENING),
        _opening,
        {"regimes__benchmark__security_id": "nobody-0000"},
    ),
    Alarm(
        "a market that loses half in a day",
        [(CONTROLS, "DAILY_LOSS")],
        (f"{BRANCH}/bars", f"{BRANCH}/returns", *EVENING),
        _buying,
        delivered=lambda workshop: ("bars", deliveries.fallen, _buying(workshop)),
    ),
    Alarm(
        "a week without bars",
        [(CONTROLS, "STALE_MARK"), (READY, "STALE")],
        (f"{BRANCH}/bars", f"{BRANCH}/returns", *EVENING),
        _week,
        delivered=lambda workshop: ("bars", deliveries.nothing, _week(workshop)),
    ),
    Alarm(
        "a cap that every name passes",
        [(CONTROLS, "NAME_CAP")],
        EVENING,
        _opening,
        {"execution__risk__name_cap": 1e-6},
    ),
    Alarm(
        "the switch is thrown",
        [(READY, "KILL_SWITCH")],
        EVENING,
        _opening,
        {"execution__gates__kill_switch": "2018-01-02"},
    ),
    Alarm(
        "more orders than the limit",
        [(READY, "MAX_ORDERS")],
        EVENING,
        _opening,
        {"execution__gates__max_orders": 1},
    ),
    Alarm(
        "a larger order than the limit",
        [(READY, "MAX_ORDER")],
        EVENING,
        _opening,
        {"execution__gates__max_order": 1e-6},
    ),
    Alarm(
        "the targets ask for a name that has left",
        [(CONTROLS, "DELISTED")],
        EVENING,
        _departure,
        mistakes=lambda workshop: {TARGETS: _another(_leaver(workshop))},
    ),
    Alarm(
        "the targets ask for a name that nobody trades",
        [(CONTROLS, "NO_MARK")],
        EVENING,
        _opening,
        mistakes=lambda _: {TARGETS: _another("nobody-0000")},
    ),
    Alarm(
        "the overlay borrows",
        [(READY, "GROSS")],
        EVENING,
        _opening,
        mistakes=lambda _: {CONTROLS: lambda rows: rows.with_columns(weight=pl.lit(0.9))},
    ),
    Alarm(
        "the broker's record loses a coin of cash",
        [(READY, "RECONCILIATION")],
        EVENING,
        _second,
        mistakes=lambda _: {"execution/broker_state": _cashless},
    ),
)


def require_alarms(
    named: Mapping[str, Sequence[Gate]] = NAMED, alarms: Sequence[Alarm] = ALARMS
) -> None:
    """Require an alarm for every gate that has a name of its own.

    Parameters
    ----------
    named
        Gates by the table that tells of them.
    alarms
        What is known to make gates fire.
    """
    covered = {gate for alarm in alarms for gate in alarm.fires}
    for table, gates in named.items():
        for gate in gates:
            if (table, gate.name) not in covered:
                found = f"no alarm makes its gate '{gate.name}' fire; add one to ALARMS"
                raise LawBroken(LAW, table, None, found)


def check_alarm(workshop: Workshop, alarm: Alarm) -> None:
    """Let something happen, and require its gates to fire more often than without it.

    Parameters
    ----------
    workshop
        A workshop with a filled lake of the whole chain.
    alarm
        What happens, and its gates.
    """
    sessions = alarm.when(workshop)
    recipe = replace(workshop.recipe, changes={**workshop.recipe.changes, **alarm.settings})
    if alarm.delivered is not None:
        kind, change, days = alarm.delivered(workshop)
        recipe = replace(recipe, alter=lambda source: AlteredDelivery(source, change, days, kind))
    made = remade(workshop.under(recipe), alarm.remade, sessions, alarm.mistakes(workshop))
    for table, gate in alarm.fires:
        wanted = workshop.stage(table).range_of(list(sessions))
        honest = workshop.lake.scan(table, sessions).collect()
        before, after = (fired(rows, table, gate, wanted) for rows in (honest, made[table]))
        if not after > before:
            found = f"gate '{gate}' fired {after} times, and {before} times without: {alarm.name}"
            raise LawBroken(LAW, table, sessions[-1], found)


def remade(
    workshop: Workshop,
    tables: Collection[str],
    sessions: Sequence[date],
    mistakes: Mapping[str, Rows],
) -> dict[str, pl.DataFrame]:
    """Make tables again, each from what was made again before it and from the lake.

    Parameters
    ----------
    workshop
        The changed workshop.
    tables
        Tables that are made.
    sessions
        Over which sessions.
    mistakes
        By table: what is done to its rows before they are read.
    """
    made: dict[str, pl.DataFrame] = {}
    for call in workshop.calls:
        if not any(stage.table in tables for stage in call):
            continue
        first = call[0]
        wanted = first.range_of(workshop.sessions(first, sessions[0], sessions[-1]))
        frames = {}
        for name, window in first.windows.items():
            rows = workshop.io.read(window, wanted)
            if window.table in made:
                partition = contract_of(window.table).partition
                loaded = wanted.loaded(window)
                kept = rows.filter(~pl.col(partition).is_in(list(wanted.sessions)))
                again = made[window.table].filter(pl.col(partition).is_in(loaded))
                rows = pl.concat([kept, again.lazy()])
            if window.table in mistakes:
                rows = mistakes[window.table](rows.collect()).lazy()
            frames[name] = rows
        computed = first.function(frames, first.settings, wanted)
        for stage in call:
            made[stage.table] = rows_of(computed, stage)
    return made


def fired(rows: pl.DataFrame, table: str, gate: str, wanted: SessionRange) -> int:
    """Count how often a gate fired, as the report counts it."""
    sleeve = table.split("/", maxsplit=1)[0]
    scope = GatesScope(
        sleeves={} if sleeve == "execution" else {sleeve: ()}, account=sleeve == "execution"
    )
    frames = {
        name: (rows if window.table == table else contract_of(window.table).empty()).lazy()
        for name, window in gates_windows(scope).items()
    }
    counted = gate_counts(frames, scope, wanted)
    return int(counted.filter(table=table, gate=gate)["fired"].sum())
