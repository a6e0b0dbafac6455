"""Law 4 for rows: each row rule of an external contract rejects a row, through the real producer.

The rules are found in the contract, and those of hygiene are added. A bad value follows from a
rule's name (``close|min_exclusive``) or, for a contract's own rules, is written down in ``OWN``.
Session by session one row is spoilt for one rule; all of it is ingested in one range, and each
session's quarantine must name its rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from quant_platform.errors import SourceError
from quant_platform.lakehouse.contracts import Contract
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.deliveries import AlteredDelivery, Change, Delivery
from quant_platform_tests.laws.workshop import Recipe, Workshop

LAW = "rejected rows"

HYGIENE = ("session_in_calendar", "repeated_row")
"""Rules of ``market.hygiene`` itself; the first is about tables that have a session."""

OWN: Mapping[str, Mapping[str, pl.Expr]] = {
    "low_is_lowest": {"low": pl.col("high") * 2},
    "high_is_highest": {"high": pl.col("low") / 2},
    "session_is_known": {"session": pl.col("session") + pl.duration(days=7)},
    # A Saturday, and before the days that calendars cover.
    "session_in_calendar": {"session": pl.lit(date(1970, 1, 3))},
    "a_split_has_a_ratio": {"kind": pl.lit("split"), "value": pl.lit(0.0)},
    "a_dividend_has_an_amount": {"kind": pl.lit("dividend"), "value": pl.lit(None)},
    "a_stay_ends_after_it_began": {"valid_to": pl.col("valid_from") - pl.duration(days=1)},
}
"""Values that break a rule whose name does not tell them."""

_VALUES = {
    "nullability": pl.lit(None),
    "min_length": pl.lit(""),
    "min_exclusive": pl.lit(0.0),
    "min": pl.lit(-1.0),
    "max": pl.lit(1e300),
    "max_exclusive": pl.lit(1e300),
    "inf": pl.lit(float("inf")),
    "nan": pl.lit(float("nan")),
}

NAMED_OTHERWISE = {"session|nullability": "session_in_calendar"}
"""Rules that an earlier one is always quicker than."""


@dataclass(frozen=True)
class RowRules:
    """Row rules of an external contract.

    Parameters
    ----------
    quarantined
        Rules that a row can break, hygiene's included.
    refused
        Rules whose breach leaves a row without a partition, so that the whole delivery is refused.
    """

    quarantined: tuple[str, ...]
    refused: tuple[str, ...]

    @classmethod
    def of(cls, contract: Contract) -> RowRules:
        """Find the rules in a contract."""
        known = [
            # The platform itself computes the partition.
            name
            for name in contract.schema._validation_rules(with_cast=False)
            if not name.startswith(f"{contract.partition}|")
        ]
        refused = tuple(name for name in known if name == "known_at|nullability")
        hygiene = HYGIENE if "session" in contract.columns else HYGIENE[1:]
        return cls((*hygiene, *(name for name in known if name not in refused)), refused)


def check_row_rules(folder: Path, honest: Recipe, stage: Stage, first: date) -> None:
    """Spoil one row for each rule and look for it in quarantine.

    Parameters
    ----------
    folder
        An empty folder.
    honest
        Recipe of a history without a bad row.
    stage
        An external stage of its graph.
    first
        First session to spoil.
    """
    rules = RowRules.of(stage.contract)
    sessions = stage.calendar.between(first, first + timedelta(days=400))
    plan = dict(zip(sessions, rules.quarantined, strict=False))
    changes = {day: spoilt_for(stage, rule) for day, rule in plan.items()}
    kind = stage.contract.kind
    workshop = _altered(folder / "quarantined", honest, kind, changes)
    _make_inputs(workshop, stage, list(plan))
    workshop.make(workshop.call(stage.table), list(plan))
    filed = workshop.lake.scan(f"quarantine/{stage.table}").collect()
    for day, rule in plan.items():
        told = filed.filter(pl.col("knowledge_session") == day)["rule"].to_list()
        expected = NAMED_OTHERWISE.get(rule, rule)
        if not any(expected in broken.split(", ") for broken in told):
            found = f"a row that breaks '{rule}' was filed under {told or 'nothing'}"
            raise LawBroken(LAW, stage.table, day, found)
    for rule in rules.refused:
        workshop = _altered(folder / "refused", honest, kind, {first: spoilt_for(stage, rule)})
        try:
            _make_inputs(workshop, stage, [first])
            workshop.make(workshop.call(stage.table), [first])
        except SourceError:
            continue
        raise LawBroken(LAW, stage.table, first, f"a row that breaks '{rule}' was not refused")


def _make_inputs(workshop: Workshop, stage: Stage, sessions: Sequence[date]) -> None:
    """Make what a stage holds its rows against."""
    wanted = stage.range_of(sessions)
    for window in stage.windows.values():
        workshop.make(workshop.call(window.table), wanted.loaded(window))


def spoilt_for(stage: Stage, rule: str) -> Change:
    """Return the change that spoils the first row of a delivery for a rule."""
    if rule in {"repeated_row", "primary_key"}:
        return _repeated if rule == "repeated_row" else _twin(stage.contract)
    column, _, kind = rule.partition("|")
    values = OWN.get(rule) or ({column: _VALUES[kind]} if kind in _VALUES else None)
    if values is None:
        found = f"no row is known that breaks its rule '{rule}'; add its values to OWN"
        raise LawBroken(LAW, stage.table, None, found)

    def change(delivery: Delivery) -> pl.DataFrame:
        rows = _some(delivery)
        bad = rows.head(1).with_columns(
            value.cast(rows.schema[name]).alias(name) for name, value in values.items()
        )
        return pl.concat([bad, rows.slice(1)])

    return change


def _some(delivery: Delivery) -> pl.DataFrame:
    """Rows of a delivery; of data that seldom come those of another session, as if known now."""
    if delivery.rows.height:
        return delivery.rows
    known = pl.lit(delivery.calendar.cutoff(delivery.day) - timedelta(minutes=1))
    rows = delivery.of(delivery.calendar.sessions).head(2)
    return rows.with_columns(known_at=known.cast(rows.schema["known_at"]))


def _repeated(delivery: Delivery) -> pl.DataFrame:
    rows = _some(delivery)
    return pl.concat([rows.head(1), rows])


def _twin(contract: Contract) -> Change:
    """Return the change that delivers a second, different row under the same key."""
    # The platform itself computes the partition.
    told = {n: c for n, c in contract.columns.items() if n != contract.partition}
    rest = {n: c for n, c in told.items() if n not in contract.key}
    number = next((n for n, c in rest.items() if c.dtype.is_float()), None)
    text = next((n for n, c in rest.items() if c.dtype == pl.String), None)
    day = next((n for n, c in rest.items() if c.dtype == pl.Date), None)
    if number:
        other = pl.col(number) * 1.0001
    elif text:
        other = pl.col(text) + " again"
    else:
        other = pl.lit(date(2099, 12, 31)).alias(str(day))

    def change(delivery: Delivery) -> pl.DataFrame:
        rows = _some(delivery)
        return pl.concat([rows.head(1).with_columns(other), rows])

    return change


def _altered(folder: Path, honest: Recipe, kind: str, changes: Mapping[date, Change]) -> Workshop:
    def change(delivery: Delivery) -> pl.DataFrame:
        return changes[delivery.day](delivery)

    recipe = replace(honest, alter=lambda source: AlteredDelivery(source, change, changes, kind))
    return Workshop.open(folder, recipe)
