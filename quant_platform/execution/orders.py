"""Handing a ready evening's orders to the broker.

``submit`` is the one function that makes orders: the stage ``execution/orders`` calls it with what
the lake holds, and the simulation calls it inside a range. The paper broker accepts every order;
what it can not fill it lets expire. The hash of what was sent is stored, so that the same identity
with another payload is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from quant_platform.execution.readiness import killed
from quant_platform.execution.records import Order, PlannedOrder, record_frame, records
from quant_platform.lakehouse.contracts.execution import ORDERS
from quant_platform.lakehouse.ledgers.canonical import canonical_json, text_hash
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.execution import ExecutionSettings


def submit(plan: Sequence[PlannedOrder], ready: bool, settings: ExecutionSettings) -> list[Order]:
    """Hand over an evening's plan.

    Parameters
    ----------
    plan
        Orders of one evening.
    ready
        Whether all gates of that evening are open.
    settings
        Names the broker.

    Returns
    -------
    list of Order
        One for each planned order, in their order; none if the evening is not ready.
    """
    return [_handed(order, settings.broker) for order in plan] if ready else []


def _handed(planned: PlannedOrder, broker: str) -> Order:
    payload = {
        "order_id": planned.order_id,
        "broker": broker,
        "symbol": planned.symbol,
        "side": planned.side,
        "quantity": planned.quantity,
        "order_type": planned.order_type,
    }
    return Order(
        session=planned.session,
        order_id=planned.order_id,
        broker=broker,
        security_id=planned.security_id,
        symbol=planned.symbol,
        side=planned.side,
        quantity=planned.quantity,
        order_type=planned.order_type,
        expected_price=planned.expected_price,
        payload_hash=text_hash(canonical_json(payload)),
        status="accepted",
        reason=None,
    )


def submit_windows(settings: ExecutionSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``orders`` depends on."""
    return {name: Window(f"execution/{name}") for name in ("orders_plan", "execution_ready")}


def submit_orders(
    frames: Mapping[str, pl.LazyFrame], settings: ExecutionSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``orders`` for a range.

    Parameters
    ----------
    frames
        ``orders_plan`` and ``execution_ready`` of the range.
    settings
        Names the broker.
    wanted
        Sessions whose evenings submit.

    Returns
    -------
    polars.DataFrame
        One row per order of a ready evening, in the order of submission.
    """
    ready = frames["execution_ready"].filter("ready").select("session").collect()["session"]
    # The switch counts once more: it may have been thrown after the gates were judged.
    evenings = [
        session
        for session in wanted.sessions
        if session in set(ready) and not killed(session, settings)
    ]
    plan = (
        frames["orders_plan"].filter(pl.col("session").is_in(evenings)).sort("session", "place")
    ).collect()
    return record_frame(ORDERS, submit(records(PlannedOrder, plan), True, settings))
