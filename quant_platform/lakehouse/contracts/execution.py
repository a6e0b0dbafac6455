"""The tables between the target portfolio and the reconciled book.

Money is in the account's currency. A quantity is in units as they trade on the session; buying is
positive wherever a sign says the side.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import Rule, share_true

_SESSION = "Session at whose cutoff the row is known."
_SIDES = ["buy", "sell"]


class RiskControls(dy.Schema):
    """What the risk overlay makes of one target weight."""

    session = dy.Date(primary_key=True, description=_SESSION)
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    requested = dy.Float64(min=0, max=1, description="Weight in the target portfolio, fraction.")
    weight = dy.Float64(min=0, max=1, description="Weight after exposure and caps, fraction.")
    portfolio_volatility = dy.Float64(
        nullable=True,
        min=0,
        description="Annualised volatility of the unscaled targets over the look-back, fraction; "
        "null with too few joint sessions.",
    )
    regime_multiplier = dy.Float64(
        min=0, max=1, description="Throttle of the confirmed regime, fraction."
    )
    exposure = dy.Float64(
        min=0, description="Gross exposure that all weights were scaled to, fraction."
    )
    blocked = dy.String(
        nullable=True, description="Code of the cap that blocked an increase; null for none."
    )
    unordered = dy.String(
        nullable=True,
        description="Code of why a wanted change makes no order: LOT, MIN_TRADE, BUFFER, "
        "NO_PRICE; null where it makes one, none is wanted, or the increase is blocked.",
    )


class OrdersPlan(dy.Schema):
    """One order that the target asks for."""

    session = dy.Date(primary_key=True, description="Session that decided.")
    order_id = dy.String(
        primary_key=True,
        min_length=1,
        description="session-portfolio-security_id-side-leg-slice-revision.",
    )
    place = dy.UInt32(min=1, description="Order of submission: sells before buys.")
    security_id = dy.String(min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    side = dy.Enum(_SIDES, description="Whether to buy or to sell.")
    quantity = dy.Float64(min_exclusive=0, description="Quantity to trade, units.")
    order_type = dy.Enum(
        ["opening_auction", "market"],
        description="opening_auction on an exchange, market where trading never stops.",
    )
    expected_price = dy.Float64(min_exclusive=0, description="Mark at the decision, price.")
    notional = dy.Float64(min=0, description="quantity x expected_price, money.")
    current_weight = dy.Float64(description="Weight before the order, fraction, signed.")
    target_weight = dy.Float64(min=0, description="Weight that the order aims at, fraction.")
    reason = dy.String(min_length=1, description="increase, decrease, enter or leave.")


class ExecutionReady(dy.Schema):
    """Whether tonight's orders may go out, and if not, why."""

    session = dy.Date(primary_key=True, description="Session that decided.")
    ready = dy.Bool(description="Whether all gates are open.")
    reasons = dy.List(dy.String(), description="Codes of the gates that are closed; empty if none.")
    orders = dy.UInt32(description="Number of orders in the plan.")
    gross_weight = dy.Float64(min=0, description="Sum of the weights after the overlay, fraction.")


class Orders(dy.Schema):
    """One order handed to the broker for the next session."""

    session = dy.Date(primary_key=True, description="Session that decided.")
    order_id = dy.String(primary_key=True, min_length=1, description="The same as in orders_plan.")
    broker = dy.String(min_length=1, description="Broker that took it.")
    security_id = dy.String(min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    side = dy.Enum(_SIDES, description="Whether to buy or to sell.")
    quantity = dy.Float64(min_exclusive=0, description="Quantity to trade, units.")
    order_type = dy.Enum(["opening_auction", "market"], description="The same as in orders_plan.")
    expected_price = dy.Float64(min_exclusive=0, description="Mark at the decision, price.")
    payload_hash = dy.String(min_length=64, max_length=64, description="SHA-256 of what was sent.")
    status = dy.Enum(["accepted", "rejected"], description="The broker's answer.")
    reason = dy.String(nullable=True, description="Why it was rejected; null otherwise.")


class Fills(dy.Schema):
    """One fill after the cutoff of the session before, up to this session's cutoff."""

    session = dy.Date(primary_key=True, description="Session whose evening books it.")
    fill_id = dy.String(primary_key=True, min_length=1, description="order_id-number of the fill.")
    order_id = dy.String(min_length=1, description="The same as in orders.")
    decided_on = dy.Date(description="Session that decided the order.")
    filled_on = dy.Date(description="Session of the security's own calendar.")
    security_id = dy.String(min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    side = dy.Enum(_SIDES, description="Whether to buy or to sell.")
    quantity = dy.Float64(min_exclusive=0, description="Quantity traded, units.")
    price = dy.Float64(min_exclusive=0, description="Price paid or got per unit, spread included.")
    ideal_price = dy.Float64(min_exclusive=0, description="Official open, or its proxy; price.")
    expected_price = dy.Float64(min_exclusive=0, description="Mark at the decision, price.")
    commission = dy.Float64(min=0, description="Fee of the fill, money.")
    slippage_bps = dy.Float64(
        description="(price / ideal - 1) x 1e4, signed so that a cost is > 0."
    )

    @dy.rule()
    def slippage_is_a_cost_when_positive(cls) -> pl.Expr:  # noqa: N805 - dataframely's class
        """One sign for both sides."""
        raw = (pl.col("price") / pl.col("ideal_price") - 1) * 1e4
        signed = pl.when(pl.col("side") == "buy").then(raw).otherwise(-raw)
        return (pl.col("slippage_bps") - signed).abs() <= 1e-6


class BrokerState(dy.Schema):
    """The paper broker's own record after a session: cash, and one row for each position."""

    session = dy.Date(primary_key=True, description="Session that has passed.")
    item = dy.String(
        primary_key=True, min_length=1, description="'cash', or the security_id of a position."
    )
    quantity = dy.Float64(description="Money, or units held, signed.")
    average_price = dy.Float64(
        nullable=True, min=0, description="Mean price paid per unit held; null for cash."
    )


class Positions(dy.Schema):
    """Our book after a session: cash, and one row for each position, valued at its mark."""

    session = dy.Date(primary_key=True, description="Session that has passed.")
    item = dy.String(
        primary_key=True, min_length=1, description="'cash', or the security_id of a position."
    )
    symbol = dy.String(nullable=True, description="EXCHANGE:TICKER; null for cash.")
    quantity = dy.Float64(description="Money, or units held, signed.")
    mark = dy.Float64(min=0, description="Last mark known at the cutoff, price; 1 for cash.")
    value = dy.Float64(description="quantity x mark, money, signed.")
    average_price = dy.Float64(
        nullable=True, min=0, description="Mean price paid per unit held; null for cash."
    )
    weight = dy.Float64(description="value / equity, fraction, signed.")
    equity = dy.Float64(description="Sum of the values, money, signed, the same on every row.")
    earned = dy.Float64(
        description="P&L of the session in this item, costs excluded, money, signed."
    )
    costs = dy.Float64(min=0, description="Commission and spread of the session's fills, money.")


class Reconciliation(dy.Schema):
    """Our book against the broker's, item by item."""

    session = dy.Date(primary_key=True, description="Session that has passed.")
    item = dy.String(
        primary_key=True, min_length=1, description="'cash', 'equity', or a security_id."
    )
    ours = dy.Float64(
        description="Units or money in our book, signed; for equity what fills and marks imply."
    )
    broker = dy.Float64(description="The broker's figure, units or money, signed.")
    difference = dy.Float64(description="ours - broker, units or money, signed.")
    tolerance = dy.Float64(min=0, description="Difference that is accepted, units or money.")
    matched = dy.Bool(description="Whether the difference is within it.")


def _contract(kind: str, schema: type[dy.Schema], grain: str, *rules: Rule) -> Contract:
    return Contract(kind=kind, schema=schema, version=1, grain=grain, rules=rules)


def _untold(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 did not say why a change makes no order."""
    return rows.with_columns(unordered=pl.lit(None, pl.String))


RISK_CONTROLS = Contract(
    kind="risk_controls",
    schema=RiskControls,
    version=2,
    grain="one target weight after the overlay",
    upgrades={1: _untold},
)
ORDERS_PLAN = _contract("orders_plan", OrdersPlan, "one order that the target asks for")
EXECUTION_READY = _contract("execution_ready", ExecutionReady, "one evening and its gates")
ORDERS = _contract("orders", Orders, "one order handed to the broker")
FILLS = _contract("fills", Fills, "one fill booked in the evening of a session")
BROKER_STATE = _contract("broker_state", BrokerState, "one item of the broker's record")
POSITIONS = _contract("positions", Positions, "one item of our book")
RECONCILIATION = _contract(
    "reconciliation",
    Reconciliation,
    "one item of the book, compared",
    share_true("matched", "blocking"),
)
