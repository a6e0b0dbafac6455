"""Law 4 on vetoes and cuts of selection: each is made to fire through its real producers.

Vetoes of predictability need more than a year of history, so that they have a workshop of their
own: the stocks of a small dirty market with all that their selection stands on. What an alarm is,
and how it is checked, is in ``alarms``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from quant_platform.lakehouse.gates import Gate
from quant_platform.selection.veto import CUTS, VETOES
from quant_platform_tests.laws.alarms import Alarm, When
from quant_platform_tests.laws.deliveries import Change, Delivery
from quant_platform_tests.laws.workshop import Workshop

BRANCH = "instruments"
SELECTION = f"{BRANCH}/selection"
VETOED: Mapping[str, Sequence[Gate]] = {SELECTION: (*VETOES, *CUTS)}


def _decision(workshop: Workshop) -> Sequence[date]:
    """Last session on which there were several to choose from, of whom some fell."""
    rows = workshop.lake.scan(SELECTION).filter(decided_on=pl.col("session")).collect()
    several = rows.group_by("session").len().filter(pl.col("len") > 2)
    return [several["session"].max()]


def _decisions(workshop: Workshop) -> Sequence[date]:
    """Every session from the first decision to the last."""
    rows = workshop.lake.scan(SELECTION).filter(decided_on=pl.col("session")).collect()
    days = rows["session"].unique().sort().to_list()
    return workshop.stage(SELECTION).calendar.between(days[0], days[-1])


def _month(workshop: Workshop) -> Sequence[date]:
    """Twenty sessions that end with a decision."""
    (day,) = _decision(workshop)
    return workshop.stage(SELECTION).calendar.window(day, 20, not_before=None)


def _candidates(workshop: Workshop, day: date) -> list[str]:
    rows = workshop.lake.scan(f"{BRANCH}/candidates", [day]).collect()
    return rows["security_id"].sort().to_list()


def _departed(workshop: Workshop) -> tuple[str, Change, Sequence[date]]:
    """Let a candidate leave on the session that decides; its description says that it trades."""
    (day,) = _decision(workshop)
    leaver = _candidates(workshop, day)[0]
    example = workshop.lake.scan(f"{BRANCH}/actions").collect()[:1]

    def change(delivery: Delivery) -> pl.DataFrame:
        known = delivery.calendar.close(delivery.day)
        news = example.select(delivery.rows.columns).with_columns(
            security_id=pl.lit(leaver),
            session=pl.lit(delivery.day),
            kind=pl.lit("delisting").cast(delivery.rows.schema["kind"]),
            known_at=pl.lit(known).cast(delivery.rows.schema["known_at"]),
            value=pl.lit(1.0),
            counterpart=pl.lit(None, delivery.rows.schema["counterpart"]),
        )
        return pl.concat([delivery.rows, news])

    return "actions", change, [day]


def _described(**told: Any) -> Any:
    """Describe every candidate anew on the session that decides."""

    def delivered(workshop: Workshop) -> tuple[str, Change, Sequence[date]]:
        (day,) = _decision(workshop)
        names = _candidates(workshop, day)
        known = workshop.lake.scan(f"{BRANCH}/securities").collect()
        last = known.sort("known_at").unique("security_id", keep="last")

        def change(delivery: Delivery) -> pl.DataFrame:
            close = delivery.calendar.close(delivery.day)
            news = (
                last.filter(pl.col("security_id").is_in(names[:2]))
                .select(delivery.rows.columns)
                .with_columns(
                    known_at=pl.lit(close).cast(delivery.rows.schema["known_at"]),
                    **{
                        name: pl.lit(value).cast(delivery.rows.schema[name])
                        for name, value in told.items()
                    },
                )
            )
            return pl.concat([delivery.rows, news])

        return "securities", change, [day]

    return delivered


def _untraded(workshop: Workshop) -> tuple[str, Change, Sequence[date]]:
    """Let the bars of a month have no volume."""
    return (
        "bars",
        lambda delivery: delivery.rows.with_columns(volume=pl.lit(0.0)),
        _month(workshop),
    )


def _limit(name: str, value: object, **more: object) -> dict[str, object]:
    """Return the settings of a veto's limit, and others of selection."""
    own = f"sleeves__{BRANCH}__selection"
    return {f"{own}__vetoes__{name}": value} | {f"{own}__{k}": v for k, v in more.items()}


def _set(name: str, settings: dict[str, object], when: When = _decision) -> Alarm:
    return Alarm(
        f"a limit of {name} that most pass", [(SELECTION, name)], (SELECTION,), when, settings
    )


_OWN = f"sleeves__{BRANCH}"
_OPEN = {
    **_limit("predictability", False, min_momentum=-1.0),
    **_limit("eci_hurdle", -100.0),
    **_limit("kurtosis", 1e9),
    **_limit("blackout_before", 0),
}
"""Hardly any veto is left, so that several come as far as the cuts."""

VETO_ALARMS = (
    Alarm(
        "a candidate leaves on the evening of the decision",
        [(SELECTION, "delisted")],
        (f"{BRANCH}/actions", f"{BRANCH}/returns", SELECTION),
        _decision,
        delivered=_departed,
    ),
    Alarm(
        "candidates without tick and lot",
        [(SELECTION, "metadata")],
        (f"{BRANCH}/securities", SELECTION),
        _decision,
        delivered=_described(tick=None, lot=None),
    ),
    Alarm(
        "candidates that are built on the same thing",
        [(SELECTION, "identity")],
        (f"{BRANCH}/securities", f"{BRANCH}/clusters", SELECTION),
        _decision,
        _OPEN,
        delivered=_described(underlying="silver"),
    ),
    Alarm(
        "a month without volume",
        [(SELECTION, "stale")],
        (f"{BRANCH}/bars", f"{BRANCH}/features_liquidity", SELECTION),
        _month,
        delivered=_untraded,
    ),
    _set("annual_volatility", _limit("annual_volatility", 1e-6)),
    _set("roc_above", _limit("roc_above", -100.0), _decisions),
    _set("roc_below", _limit("roc_below", 0.0)),
    _set(
        "gold_fidelity",
        {
            **_limit("gold_correlation", 1.0),
            f"{_OWN}__selection__gold": {
                "tokens": [f"{BRANCH}-{number:04d}" for number in range(1, 40)],
                "reference": {"sleeve": BRANCH, "security_id": f"{BRANCH}-0000"},
            },
        },
    ),
    _set("earnings_blackout", _limit("blackout_before", 63)),
    _set(
        "survival",
        {**_limit("survival", 1.0), f"{_OWN}__selection__stress": {"loss": 1e-6, "window": 5}},
    ),
    _set("entropy", _limit("entropy", 0.0)),
    _set("efficiency", _limit("efficiency", 1.0)),
    _set("hurst", _limit("hurst", 1.0)),
    _set("toxic", _limit("toxic", 0.0)),
    _set("kurtosis", _limit("kurtosis", -2.0)),
    _set("momentum", {f"{_OWN}__selection__min_momentum": 1.0}),
    _set("eci", _limit("eci_hurdle", 100.0)),
    Alarm(
        "a market that is one bet",
        [(SELECTION, "top_n_per_cluster")],
        (f"{BRANCH}/clusters", SELECTION),
        _decisions,
        {
            **_OPEN,
            f"{_OWN}__clusters__threshold": 10.0,
            f"{_OWN}__selection__top_n_per_cluster": 1,
        },
    ),
    _set(
        "winners_max",
        {
            **_OPEN,
            f"{_OWN}__selection__winners_max": 1,
            f"{_OWN}__selection__winners_floor": 0,
        },
        _decisions,
    ),
)
