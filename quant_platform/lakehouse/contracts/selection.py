"""Who was selected, and why the others were not."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract

STAGES = ("strict", "relaxed", "representative", "fill")
"""Stages of the relaxation that admit winners, the strictest first."""
DIRECTIONS = ("long", "short")
LABELS = ("RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED")


class Selection(dy.Schema):
    """One candidate at a rebalance session; between those, one selected security.

    Who was selected before and has no bar on a rebalance session has a row that says so.
    """

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the decision.")
    decided_on = dy.Date(
        description="Rebalance session that decided; the session itself, or before."
    )
    direction = dy.Enum(
        list(DIRECTIONS),
        nullable=True,
        description="Direction in which it was judged; null for who has no bar.",
    )
    cluster = dy.UInt32(
        nullable=True,
        min=1,
        description="Cluster among the candidates of the decision; null for who has no bar.",
    )
    score = dy.Float64(
        nullable=True,
        min=0,
        description="Score of the decision by the mode of the settings, ratio, larger is better; "
        "null without full evidence.",
    )
    rank = dy.UInt32(
        nullable=True,
        min=1,
        description="Place among all candidates with a score, 1 is best; vetoed ones included.",
    )
    components = dy.List(
        dy.Struct(
            {
                "component": dy.String(),
                "value": dy.Float64(nullable=True),
                "probability": dy.Float64(),
                "weight": dy.Float64(),
            }
        ),
        description="What the score is made of: each component's value, what it was mapped to in "
        "0..1 (0.5 for one without a value), and its weight.",
    )
    fragility_penalty = dy.Float64(
        nullable=True,
        min=0,
        max=0.5,
        description="Share that the score lost for the mean loss of the worst 5 % of days; half of "
        "the largest penalty where that is not known; null where the mode has none.",
    )
    regime_label = dy.Enum(
        list(LABELS),
        nullable=True,
        description="Label of the regime at the decision; null where there is none.",
    )
    regime_multiplier = dy.Float64(
        nullable=True,
        min=0.1,
        max=2,
        description="What the regime made of the score, ratio: max(0.1, 1 + fit of the strategy); "
        "1 without a regime, null where the mode has none.",
    )
    stress_windows = dy.UInt32(
        nullable=True,
        description="Stress windows of the benchmark in which it traded; fewer than 2 are "
        "untested, and survival is neither a veto nor more than 0.5. Null for who has no bar.",
    )
    gold_gap = dy.Float64(
        nullable=True,
        description="Return of a gold-pegged token over the compared sessions less that of gold, "
        "fraction, signed; null of others, and where it could not be compared.",
    )
    announcement_in = dy.Int32(
        nullable=True,
        description="Sessions to the nearest announcement of results known at the cutoff, negative "
        "after it; null where none is near, or nothing is known of announcements.",
    )
    vetoes = dy.List(
        dy.Struct(
            {
                "rule": dy.String(),
                "fired": dy.Bool(),
                "value": dy.Float64(nullable=True),
                "threshold": dy.Float64(nullable=True),
            }
        ),
        description="Every veto that was asked, then every cut, with its value and threshold; one "
        "without a value fires.",
    )
    passed = dy.Bool(
        description="Whether it passed every veto: none of those that were asked fired."
    )
    admitted = dy.Enum(
        list(STAGES),
        nullable=True,
        description="Stage that admitted a winner; relaxed, representative and fill may have gone "
        "past a veto, and then passed is false. Null for who did not win.",
    )
    selected = dy.Bool(description="Whether it is held from the next session on.")
    reason = dy.String(
        nullable=True,
        description="Why it was not selected: the first veto or cut that fired, or 'no_bar' for "
        "who was selected before and no scanner could see.",
    )

    @dy.rule()
    def winners_were_admitted(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Who won says by which stage, and nobody else does; the strict one admits no vetoed."""
        won = pl.col("selected") == pl.col("admitted").is_not_null()
        strict = (pl.col("admitted") != "strict") | pl.col("passed")
        return won & strict.fill_null(True) & (pl.col("selected") == pl.col("reason").is_null())


def _thin(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 knew one score, two vetoes and no clusters."""
    columns = Selection.columns()
    won = pl.when("selected")
    told = {
        "direction": pl.when(pl.col("score").is_not_null()).then(pl.lit("long")),
        "components": pl.lit([], dtype=columns["components"].dtype),
        "passed": pl.col("rank").is_not_null(),
        "admitted": won.then(pl.lit("strict")),
    }
    return rows.select(
        told.get(name, pl.col(name) if name in _FIRST else pl.lit(None))
        .cast(column.dtype)
        .alias(name)
        for name, column in columns.items()
    )


_FIRST = (
    *("session", "security_id", "symbol", "decided_on", "score", "rank", "vetoes"),
    *("selected", "reason"),
)
"""Columns of version 1."""

SELECTION = Contract(
    kind="selection",
    schema=Selection,
    version=2,
    grain="one candidate on a rebalance session, one selected security on the others",
    upgrades={1: _thin},
)
