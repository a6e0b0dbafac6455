"""Returns by definition: marks found by looking, one security and one session at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import prod
from typing import Any

from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS

DAYS = SESSIONS[:12]
STALE = 3
"""How long a mark stands without a bar, in sessions."""
Rows = Sequence[Mapping[str, Any]]


def units(actions: Rows, day: date, after: date = date.min) -> float:
    """Units that splits known at a session make of one, those with an ex session up to it."""
    latest: dict[date, Mapping[str, Any]] = {}
    for row in sorted(actions, key=lambda row: row["known_at"]):
        known = row["knowledge_session"] <= day and after < row["session"] <= day
        if known and row["kind"] == "split":
            latest[row["session"]] = row
    return prod(float(row["value"]) for row in latest.values())


def cash(actions: Rows, day: date, before: date) -> float:
    """Cash that becomes due on a session, per unit held at the session before."""
    paid = 0.0
    for ex in {row["session"] for row in actions if row["kind"] == "dividend"}:
        own = [row for row in actions if row["kind"] == "dividend" and row["session"] == ex]
        told = [
            [row for row in own if max(row["knowledge_session"], ex) <= at] for at in (before, day)
        ]
        was, now = (
            float(max(rows, key=lambda row: row["known_at"])["value"]) if rows else 0.0
            for rows in told
        )
        paid += (now - was) / units(actions, before, ex - timedelta(days=1))
    return paid


def delisting(actions: Rows, day: date) -> Mapping[str, Any] | None:
    """Delisting in effect at a session, as it was known when it took effect."""
    known = [
        row
        for row in actions
        if row["kind"] in ("delisting", "merger")
        and max(row["session"], row["knowledge_session"]) <= day
    ]
    if not known:
        return None
    effect = min(max(row["session"], row["knowledge_session"]) for row in known)
    then = [row for row in known if max(row["session"], row["knowledge_session"]) <= effect]
    return max(then, key=lambda row: (row["session"], row["known_at"]))


def last_close(bars: Rows, day: date) -> Mapping[str, Any] | None:
    """Last bar known at a session that is not too old."""
    oldest = CALENDAR.offset(day, -STALE)
    known = [row for row in bars if row["knowledge_session"] <= day and row["session"] >= oldest]
    return max(known, key=lambda row: (row["session"], row["known_at"]), default=None)


def mark(bars: Rows, actions: Rows, day: date) -> float | None:
    row = last_close(bars, day)
    if row is None or delisting(actions, day) is not None:
        return None
    return float(row["close"]) / units(actions, day, row["session"])


def expected(bars: Rows, actions: Rows, day: date) -> dict[str, Any] | None:
    before = CALENDAR.offset(day, -1)
    start = mark(bars, actions, before) if before >= DAYS[0] else None
    if start is None:
        return None
    split = units(actions, day) / units(actions, before)
    end, bar_of = mark(bars, actions, day), last_close(bars, day)
    gone, settled = delisting(actions, day), None
    paid = cash(actions, day, before)
    if gone is not None and gone["value"] is None:
        was = last_close(bars, before)
        assert was is not None
        end, session, price = start / split, was["session"], None
        settled = "last_price"
    elif gone is not None:
        end, session, price = float(gone["value"]), day, None
        settled = "terms"
    elif end is None:
        was = last_close(bars, before)
        assert was is not None
        end, session, price = start / split, was["session"], None
        settled = "last_price"
    else:
        assert bar_of is not None
        session, price = bar_of["session"], bar_of["open"] if bar_of["session"] == day else None
    whole, income = end * split / start - 1, paid / start
    first = whole if price is None else price * split / start - 1
    return {
        "mark": end,
        "mark_session": session,
        "execution_price": price,
        "before": first,
        "after": 0.0 if price is None else end / price - 1,
        "price": whole,
        "cash": paid,
        "income": income,
        "total": whole + income,
        "split": split,
        "delisted": gone is not None or mark(bars, actions, day) is None,
        "settlement": settled,
    }
