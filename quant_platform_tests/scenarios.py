"""Find the seed of a small market in which things happen when a test needs them.

``python -m quant_platform_tests.scenarios`` prints the seeds that the tests are written for. When
the embedded market's random numbers change, run it and write down what it prints; the tests
themselves require the events, so a seed that no longer fits is noticed.

1. The cheapest demand is tried first: the session of a year that arrives late.
2. What is listed, delisted and split is read off the plan of each sleeve; no path is computed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count

import numpy as np

from quant_platform.calendars import build_calendar
from quant_platform.sources import Dirt, SimulatedSleeve, SimulatedSource
from quant_platform.sources.simulated.dirt import late_sessions_of
from quant_platform.sources.simulated.market import Market

_HORIZON = date(2025, 12, 31)
_CLASSES = {"instruments": "stock", "etfs": "etf", "crypto": "crypto"}


@dataclass(frozen=True)
class Wanted:
    """What must happen.

    Parameters
    ----------
    symbols
        Securities of each sleeve.
    late
        First and last day on which a whole session of stocks arrives late.
    events
        ``(sleeve, event)`` → first and last day within which it must happen; an event is
        ``listing``, ``delisting`` or ``split``. The sleeve may be ``*`` for any of them.
    start
        First day of the market. Securities leave in the later half of a block of days.
    """

    symbols: int
    late: tuple[date, date]
    events: Mapping[tuple[str, str], tuple[date, date]]
    start: date = date(2015, 1, 2)


SCENARIOS = {
    "laws.conftest.MARKET": Wanted(
        8,
        (date(2022, 3, 30), date(2022, 3, 30)),
        {
            ("instruments", "listing"): (date(2022, 2, 1), date(2023, 3, 31)),
            ("*", "delisting"): (date(2022, 2, 1), date(2023, 3, 31)),
            ("instruments", "split"): (date(2022, 2, 1), date(2023, 3, 31)),
        },
    ),
    "laws.conftest.CHAIN": Wanted(
        12,
        (date(2018, 6, 26), date(2018, 8, 10)),
        {
            ("etfs", "delisting"): (date(2018, 6, 26), date(2018, 8, 10)),
            ("instruments", "split"): (date(2018, 6, 27), date(2018, 8, 10)),
        },
        date(2014, 10, 1),
    ),
}


def seeds(wanted: Wanted) -> Iterator[int]:
    """Yield the seeds that fit, ascending."""
    nyse = build_calendar("XNYS", horizon=_HORIZON, grace=timedelta(minutes=90))
    coins = build_calendar("24/7", horizon=_HORIZON, grace=timedelta(minutes=90))
    plain = SimulatedSource(
        seed=0,
        start=wanted.start,
        sleeves=tuple(SimulatedSleeve(n, (c,), wanted.symbols) for n, c in _CLASSES.items()),
        dirt=Dirt(late=0.001),
        lag=timedelta(minutes=30),
    )
    sessions = np.array(nyse.between(plain.start, _HORIZON), "datetime64[D]").astype(np.int64)
    for seed in count():
        late = [
            _day(sessions[row])
            for row, stride in late_sessions_of(seed, "instruments", sessions)
            if stride == 1
        ]
        if not any(wanted.late[0] <= day <= wanted.late[1] for day in late):
            continue
        source = replace(plain, seed=seed)
        markets = {
            name: source.market(coins if name == "crypto" else nyse, name) for name in _CLASSES
        }
        demands = sorted(wanted.events.items(), key=lambda demand: demand[0][1] == "split")
        if all(_happens(markets, *key, span) for key, span in demands):
            yield seed


def _day(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(number))


def _happens(
    markets: Mapping[str, Market], sleeve: str, event: str, span: tuple[date, date]
) -> bool:
    """Say whether an event happens to a sleeve, or to any of them, within a span."""
    chosen = markets.values() if sleeve == "*" else [markets[sleeve]]
    return any(span[0] <= day <= span[1] for market in chosen for day in _days(market, event))


def _days(market: Market, event: str) -> list[date]:
    if event == "split":
        plan = market.paths.splits
        rows = market.row_of(plan.ex[(plan.security < market.count) & (plan.kind == 0)])
    else:
        rows = market.delisted if event == "delisting" else market.listed[market.listed > 0]
    return [_day(market.sessions[row]) for row in rows if row < len(market.sessions)]


def main() -> None:
    """Print the first seeds of each scenario."""
    for name, wanted in SCENARIOS.items():
        found = seeds(wanted)
        sys.stdout.write(f"{name}: {[next(found) for _ in range(3)]}\n")


if __name__ == "__main__":
    main()
