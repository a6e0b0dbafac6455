"""Small worlds for the chain of an evening: a holiday, a half day, three weekends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import polars as pl

from quant_platform.calendars import build_calendar
from quant_platform.execution.orders import submit_orders
from quant_platform.execution.readiness import readiness
from quant_platform.execution.simulation import trade_sessions, trade_windows
from quant_platform.execution.tables import KINDS
from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.meta import META_TARGET_PORTFOLIO
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.settings.execution import ExecutionSettings, GateSettings, RiskSettings

GRACE = timedelta(minutes=90)
NYSE = build_calendar("XNYS", horizon=date(2025, 12, 31), grace=GRACE)
UTC_DAYS = build_calendar("24/7", horizon=date(2025, 12, 31), grace=GRACE)
CALENDARS = {"crypto": UTC_DAYS, "etfs": NYSE, "instruments": NYSE}

HISTORY = date(2024, 5, 28)
SESSIONS = NYSE.between(date(2024, 6, 24), date(2024, 7, 15))
"""15 sessions with three weekends, a half day (3 July) and a holiday (4 July)."""

Tables = dict[str, pl.DataFrame]


def settings(**changes: Any) -> ExecutionSettings:
    """Make settings of an account that opens with ``SESSIONS``, sees a week and blocks little."""
    risk = {
        "volatility_lookback": 5,
        "least_joint_sessions": 3,
        "name_cap": 1.0,
        "daily_loss_cap": 1.0,
        **changes.pop("risk", {}),
    }
    gates = {"max_order": 1.0, "max_stale": 1.0, **changes.pop("gates", {})}
    return ExecutionSettings(
        **{
            "opened": SESSIONS[0],
            "min_trade": 0.0,
            "risk": RiskSettings(**risk),
            "gates": GateSettings(**gates),
            **changes,
        }
    )


@dataclass
class World:
    """Returns by sleeve, targets and throttles, as rows."""

    returns: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {sleeve: [] for sleeve in CALENDARS}
    )
    targets: dict[date, dict[str, float]] = field(default_factory=dict)
    throttle: dict[date, float] = field(default_factory=dict)

    def add(
        self,
        sleeve: str,
        security: str,
        prices: Mapping[date, tuple[float | None, float]],
        *,
        splits: Mapping[date, float] | None = None,
        delisted: date | None = None,
        cash: Mapping[date, float] | None = None,
        gaps: Collection[date] = (),
    ) -> None:
        """Chain the rows of a security.

        Parameters
        ----------
        sleeve, security
            Where it belongs.
        prices
            By own day: execution price (None: nothing trades) and mark, in units of the day.
        splits
            New units per old one, by ex-date.
        delisted
            Day on which it leaves and pays its mark.
        cash
            Cash per unit of before, by ex-date.
        gaps
            Days whose row is not there.
        """
        before: float | None = None
        for day, (execution, mark) in sorted(prices.items()):
            if day in gaps:
                continue
            split = (splits or {}).get(day, 1.0)
            start = (execution or mark) if before is None else before / split
            first = (execution or mark) / start - 1 if start else 0.0
            rest = mark / execution - 1 if execution else 0.0
            self.returns[sleeve].append(
                {
                    "session": day,
                    "security_id": security,
                    "symbol": f"X:{security.upper()}",
                    "mark": mark,
                    "mark_session": day,
                    "execution_price": execution,
                    "before": first,
                    "after": rest,
                    "price": (1 + first) * (1 + rest) - 1,
                    "cash": (cash or {}).get(day, 0.0),
                    "income": (cash or {}).get(day, 0.0) / (start * split),
                    "total": (1 + first) * (1 + rest)
                    - 1
                    + (cash or {}).get(day, 0.0) / (start * split),
                    "split": split,
                    "delisted": day == delisted,
                    "settlement": "terms" if day == delisted else None,
                }
            )
            before = mark
            if day == delisted:
                return

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return all inputs over all sessions."""
        found = {
            f"returns_{sleeve}": RETURNS.validate("x/returns", frame_of(RETURNS, rows))
            for sleeve, rows in self.returns.items()
        }
        wishes = [
            {
                "session": session,
                "profile": profile,
                "security_id": security,
                "symbol": f"X:{security.upper()}",
                "weight": weight * share,
                "contributors": [
                    {"sleeve": "instruments", "meta_weight": 0.5, "sleeve_weight": weight}
                ],
            }
            for session, weights in self.targets.items()
            for security, weight in weights.items()
            # Another profile is there as well, and must not matter.
            for profile, share in (("equal_weight", 1.0), ("hrp", 0.5))
        ]
        found |= {f"bars_{sleeve}": self._bars(rows) for sleeve, rows in self.returns.items()}
        found["target_portfolio"] = frame_of(META_TARGET_PORTFOLIO, wishes)
        regimes = [
            {
                "session": session,
                "benchmark": benchmark,
                "e1_label": "NEUTRAL",
                "confirmed": True,
                "streak": 0,
                "risk_multiplier": multiplier,
                "lacking": "this world has no benchmark",
            }
            for session, lowest in self.throttle.items()
            for benchmark, multiplier in (("X:ONE", lowest), ("X:TWO", 1.0))
        ]
        found["regime"] = frame_of(REGIME, regimes)
        return found

    def _bars(self, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
        """Bars of the rows: their marks, and volumes that grow by a unit a day."""
        bars = [
            {
                "knowledge_session": row["session"],
                "security_id": row["security_id"],
                "session": row["session"],
                "known_at": datetime.combine(row["session"], time(21), UTC),
                "known_at_basis": "observed",
                "symbol": row["symbol"],
                **dict.fromkeys(("open", "high", "low", "close"), row["mark"] or 1.0),
                "volume": volume_on(row["session"]),
            }
            for row in rows
        ]
        return BARS.validate("x/bars", frame_of(BARS, bars))


def volume_on(day: date) -> float:
    """Units that every security trades on a day."""
    return 3000.0 + (day - HISTORY).days


def frame_of(contract: Any, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows in the columns of a contract; what a row lacks is null."""
    return pl.DataFrame(list(rows), schema=contract.empty().schema)


def steady(calendar: Any, price: float = 100.0) -> dict[date, tuple[float | None, float]]:
    """Prices that never move, from the start of history on."""
    return dict.fromkeys(calendar.between(HISTORY, SESSIONS[-1]), (price, price))


def quiet_world(**targets: float) -> World:
    """One stock, one fund and one coin at steady prices, with the same targets every evening."""
    world = World()
    world.add("instruments", "stock", steady(NYSE))
    world.add("etfs", "fund", steady(NYSE, 50.0))
    world.add("crypto", "coin", steady(UTC_DAYS, 1000.0))
    world.targets = {session: dict(targets) for session in SESSIONS}
    world.throttle = dict.fromkeys(SESSIONS, 1.0)
    return world


def span(sessions: Sequence[date]) -> SessionRange:
    return SessionRange(NYSE, tuple(sessions), HISTORY)


def hand(
    inputs: Mapping[str, pl.DataFrame],
    conf: ExecutionSettings,
    wanted: SessionRange,
    made: Mapping[str, pl.DataFrame],
) -> dict[str, pl.LazyFrame]:
    """Bound the inputs to the windows, as the IO manager does; own tables come from ``made``."""
    frames = {}
    for name, window in trade_windows(conf, CALENDARS).items():
        loaded = wanted.loaded(window)
        if window.own:
            if name in made:
                frames[name] = made[name].filter(pl.col("session").is_in(loaded)).lazy()
            continue
        # A sleeve on UTC days has days between the sessions of the window as well.
        between = pl.col("session").is_between(loaded[0], wanted.last)
        frames[name] = inputs[name].filter(between).lazy()
    return frames


def run(
    world: World | Mapping[str, pl.DataFrame],
    conf: ExecutionSettings,
    sessions: Sequence[date] = SESSIONS,
    made: Mapping[str, pl.DataFrame] | None = None,
) -> Tables:
    """Simulate a range with the evening's two stages; judge every table by its contract."""
    return judged(simulate(world, conf, sessions, made))


def judged(tables: Tables) -> Tables:
    return {
        kind: contract_of(f"execution/{kind}").validate(f"execution/{kind}", table)
        for kind, table in tables.items()
    }


def simulate(
    world: World | Mapping[str, pl.DataFrame],
    conf: ExecutionSettings,
    sessions: Sequence[date],
    made: Mapping[str, pl.DataFrame] | None,
) -> Tables:
    """Make all tables of a range; ``made`` holds what was stored before."""
    inputs = world.frames() if isinstance(world, World) else world
    wanted = span(sessions)
    none = {
        kind: contract_of(f"execution/{kind}").empty() for kind in ("broker_state", "positions")
    }
    frames = hand(inputs, conf, wanted, made if made is not None else none)
    tables = trade_sessions(frames, conf, wanted, CALENDARS)
    assert tuple(tables) == (*KINDS, "orders")
    return evening(tables, conf, sessions)


def evening(tables: Tables, conf: ExecutionSettings, sessions: Sequence[date]) -> Tables:
    """Add ``execution_ready`` and ``orders``, made by their own stages."""
    wanted = span(sessions)
    lazy = {kind: table.lazy() for kind, table in tables.items()}
    ready = readiness(lazy, conf, wanted)
    orders = submit_orders(lazy | {"execution_ready": ready.lazy()}, conf, wanted)
    return {**tables, "execution_ready": ready, "orders": orders}


def run_in_parts(
    world: World | Mapping[str, pl.DataFrame],
    conf: ExecutionSettings,
    length: int,
    sessions: Sequence[date] = SESSIONS,
    missed: Collection[date] = (),
) -> Tables:
    """Simulate part after part, each from what the one before stored.

    Parameters
    ----------
    world, conf, sessions
        As for ``run``.
    length
        Sessions of a part.
    missed
        Evenings on which ``orders`` was never made.
    """
    inputs = world.frames() if isinstance(world, World) else world
    made: Tables = {}
    for start in range(0, len(sessions), length):
        part = simulate(inputs, conf, sessions[start : start + length], made or None)
        part["orders"] = part["orders"].filter(~pl.col("session").is_in(list(missed)))
        made = {
            kind: pl.concat([made[kind], table]) if kind in made else table
            for kind, table in part.items()
        }
    return judged(made)


def held(tables: Mapping[str, pl.DataFrame], session: date) -> dict[str, float]:
    """Units of each position after a session, cash included."""
    rows = tables["positions"].filter((pl.col("session") == session) & (pl.col("quantity") != 0))
    return dict(rows.select("item", "quantity").iter_rows())


def random_world(seed: int) -> World:
    """Ten names with splits, halts, gaps, a delisting, sleeves that miss a day, moody targets."""
    random = np.random.default_rng(seed)
    world = World()
    lost = {
        sleeve: {days[int(random.integers(len(days)))]}
        for sleeve, calendar in CALENDARS.items()
        for days in [calendar.between(SESSIONS[0], SESSIONS[-1])]
    }
    names = {"instruments": 5, "etfs": 2, "crypto": 3}
    for sleeve, count in names.items():
        days = CALENDARS[sleeve].between(HISTORY, SESSIONS[-1])
        for number in range(count):
            price, prices, splits = float(random.uniform(5, 300)), {}, {}
            for day in days:
                if random.random() < 0.04:
                    splits[day] = float(random.choice([2.0, 3.0, 1.5, 0.1]))
                    price /= splits[day]
                opening = price * float(np.exp(random.normal(0, 0.02)))
                price = opening * float(np.exp(random.normal(0, 0.02)))
                prices[day] = (None if random.random() < 0.05 else opening, price)
            gaps = {day for day in days if random.random() < 0.03} | lost[sleeve]
            leaves = days[-int(random.integers(1, 12))] if number == 0 else None
            world.add(
                sleeve, f"{sleeve}{number}", prices, splits=splits, delisted=leaves, gaps=gaps
            )
    everything = [f"{sleeve}{number}" for sleeve in names for number in range(names[sleeve])]
    wish: dict[str, float] = {}
    for session in SESSIONS:
        if random.random() < 0.5:
            chosen = random.choice(everything, int(random.integers(0, 8)), replace=False)
            parts = random.dirichlet(np.ones(len(chosen) + 1))[:-1]
            wish = dict(zip(chosen.tolist(), parts.tolist(), strict=True))
        world.targets[session] = wish
        if random.random() > 0.05:
            world.throttle[session] = float(random.choice([1.0, 1.0, 0.5, 0.0]))
    return world
