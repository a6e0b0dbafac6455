"""One decision: a context of one session that goes through the stages of selection.

ingestion → features → scores → clusters → policy → synthesis

1. *Ingestion*: the candidates of the session with their features (`ingestion`).
2. *Features*: evidence of their closes in the direction of the trade, survival, gold, costs,
   announcements, descriptions.
3. *Scores*: components, score, rank among all candidates with full evidence.
4. *Clusters*: which of them are one bet, and which one thing, as the table ``clusters`` says.
5. *Policy*: vetoes at the strict and at the relaxed limits, then the winners.
6. *Synthesis*: one row per candidate, with everything that was asked of it.

Each stage takes a context and returns the next one, with more columns. Nothing here knows a range:
a session is decided from its own context alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.features.panel import Matrix
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.market.announcements import announcements_as_of
from quant_platform.market.impact import BPS, impact_bps
from quant_platform.selection.direction import signs_of, turned
from quant_platform.selection.evidence import evidence, rate_of_change, returns_of
from quant_platform.selection.gold import fidelity
from quant_platform.selection.ingestion import DAYS_OF_GOLD, Around, Inputs
from quant_platform.selection.score import Scored, scored
from quant_platform.selection.survival import survival
from quant_platform.selection.veto import (
    CLUSTER,
    IDENTITY,
    WINNERS,
    any_fired,
    asked_of,
    first_fired,
    relaxed,
)
from quant_platform.selection.winners import chosen, most_of_cluster
from quant_platform.settings.regimes import RegimeLabel
from quant_platform.settings.selection import SelectionSettings

Vector = npt.NDArray[np.float64]

NEAR = 63
"""Sessions within which an announcement is near: a quarter, so that there is one at most times."""


@dataclass(frozen=True)
class Rules:
    """What a decision goes by.

    Parameters
    ----------
    settings
        Of the sleeve.
    around
        Calendar year, benchmark, regime.
    calendar
        Of the sleeve; announcements are counted in its sessions.
    """

    settings: SelectionSettings
    around: Around
    calendar: SessionCalendar


@dataclass(frozen=True, eq=False)
class Context:
    """A decision on its way.

    Parameters
    ----------
    session
        The deciding session.
    rows
        Candidates by security, with what is known of them so far.
    returns
        Returns of their closes, sessions by candidates, in the direction of the price.
    signs
        Direction of each.
    scores
        Their scores.
    """

    session: date
    rows: pl.DataFrame
    returns: Matrix
    signs: Vector
    scores: Scored | None = None


def decided(session: date, inputs: Inputs, rules: Rules) -> pl.DataFrame:
    """Decide one session.

    Parameters
    ----------
    session
        The session.
    inputs
        What the range is given.
    rules
        What a decision goes by.

    Returns
    -------
    polars.DataFrame
        One row per candidate in the columns of ``selection``, by security.
    """
    rows = inputs.candidates.get(session)
    if rows is None:
        return SELECTION.empty()
    context = with_features(_ingested(session, rows, inputs, rules), inputs, rules)
    context = with_clusters(with_scores(context, inputs, rules), rules)
    return synthesised(with_winners(context, rules), rules)


def _ingested(session: date, rows: pl.DataFrame, inputs: Inputs, rules: Rules) -> Context:
    """Begin a context: candidates, returns of their closes, and their direction."""
    place = inputs.closes.sessions.index(session)
    returns = returns_of(inputs.closes, place, rows["security_id"])
    own = rules.settings
    momentum = evidence(returns, own.lookback_sessions, rules.around.periods_per_year)["momentum"]
    signs = signs_of(momentum, own.directions)
    return Context(session, turned(rows, signs), returns, signs)


def with_features(context: Context, inputs: Inputs, rules: Rules) -> Context:
    """Add what is made of prices, and what is known of each candidate beside them."""
    settings, around, rows = rules.settings, rules.around, context.rows
    own = evidence(
        context.returns * context.signs, settings.lookback_sessions, around.periods_per_year
    )
    own["rate_of_change"] = rate_of_change(context.returns, settings.lookback_sessions)
    own |= _survived(context, inputs, rules)
    daily = own["annual_volatility"] / np.sqrt(around.periods_per_year)
    own["eci_left"] = own["annual_return"] - _yearly_impact(rows, own, daily, rules)
    told = rows.with_columns(pl.Series(name, values).fill_nan(None) for name, values in own.items())
    told = told.with_columns(
        pl.col("windows").cast(pl.UInt32),
        tested=pl.col("survival").is_not_null(),
        no_benchmark=pl.lit(around.benchmark is None)
        | (pl.col("security_id") != (around.benchmark.security_id if around.benchmark else "")),
    )
    told = _with_gold(told, context, inputs, rules)
    told = _with_announcements(told, context.session, inputs, rules)
    return replace(context, rows=_with_description(told, context.session, inputs.described))


def _survived(context: Context, inputs: Inputs, rules: Rules) -> dict[str, Vector]:
    """Stress windows in which each traded, and the share survived."""
    benchmark, names = rules.around.benchmark, context.rows["security_id"]
    if benchmark is None:
        return {"windows": np.zeros(len(names)), "survival": np.full(len(names), np.nan)}
    stress = rules.settings.stress
    market = pl.Series("security_id", [benchmark.security_id])
    path = inputs.totals_of(context.session, market, stress.lookback)[:, 0]
    own = inputs.totals_of(context.session, names, stress.lookback) * context.signs
    found = survival(path, own, stress)
    return {"windows": found.windows.astype(np.float64), "survival": found.share}


def _yearly_impact(
    rows: pl.DataFrame, own: dict[str, Vector], daily: Vector, rules: Rules
) -> Vector:
    """Impact of an order at each rebalance of a year, fraction a year."""
    limits, vetoes = rules.settings.vetoes.limits, rules.settings.vetoes
    traded = rows["adv_money_20"].fill_null(np.nan).to_numpy()
    if limits.impact == "annual":
        known = np.where(traded > 0, traded, np.nan)
        return np.asarray(own["annual_volatility"] * np.sqrt(vetoes.eci_order / known))
    there_and_back = 2 * impact_bps(daily, vetoes.eci_order, traded) / BPS
    return np.asarray(rules.around.rebalances * there_and_back)


def _with_gold(rows: pl.DataFrame, context: Context, inputs: Inputs, rules: Rules) -> pl.DataFrame:
    """Compare gold-pegged tokens with gold."""
    gold = rules.settings.gold
    nothing = pl.lit(None, pl.Float64)
    if gold is None:
        return rows.with_columns(
            gold_pegged=pl.lit(value=False), gold_correlation=nothing, gold_gap=nothing
        )
    end = inputs.days.index(context.session) + 1
    days = inputs.days[max(end - DAYS_OF_GOLD, 0) : end]
    asked = rows["security_id"].filter(rows["security_id"].is_in(sorted(gold.tokens)))
    tokens = inputs.totals_of(context.session, asked, DAYS_OF_GOLD)
    metal = pl.Series("security_id", [gold.reference.security_id])
    reference = inputs.totals_of(context.session, metal, DAYS_OF_GOLD)[:, 0]
    there = ~np.isnan(reference)
    traded = [day for day, known in zip(days, there, strict=True) if known]
    correlation, gap = fidelity(days, tokens, traded, reference[there])
    told = pl.DataFrame(
        {
            "security_id": asked,
            "gold_correlation": pl.Series(correlation, dtype=pl.Float64).fill_nan(None),
            "gold_gap": pl.Series(gap, dtype=pl.Float64).fill_nan(None),
            "gold_pegged": pl.repeat(True, len(asked), dtype=pl.Boolean, eager=True),
        }
    )
    return rows.join(told, on="security_id", how="left", maintain_order="left").with_columns(
        pl.col("gold_pegged").fill_null(False)
    )


def _with_announcements(
    rows: pl.DataFrame, session: date, inputs: Inputs, rules: Rules
) -> pl.DataFrame:
    """Count announcements in the blackout, and tell the sessions to the nearest."""
    if inputs.earnings is None:
        return rows.with_columns(
            announcements_told=pl.lit(value=False),
            announcements=pl.lit(None, pl.Float64),
            announcement_in=pl.lit(None, pl.Int32),
        )
    sessions = np.array(rules.calendar.sessions, dtype="datetime64[D]")
    told = announcements_as_of(inputs.earnings, session).select("security_id", "announced_on")
    # Of a day that is none of the calendar the session after it is meant.
    day = told["announced_on"].to_numpy().astype("datetime64[D]")
    away = np.searchsorted(sessions, day) - rules.calendar.ordinal(session)
    own = rules.settings.vetoes
    near = (
        told.with_columns(away=pl.Series(away, dtype=pl.Int32))
        .filter(pl.col("away").abs() <= NEAR)
        .sort("security_id", pl.col("away").abs(), "away")
        .group_by("security_id", maintain_order=True)
        .agg(
            announcement_in=pl.col("away").first(),
            announcements=pl.col("away").is_between(-own.blackout_after, own.blackout_before).sum(),
        )
    )
    return rows.join(near, on="security_id", how="left", maintain_order="left").with_columns(
        pl.col("announcements").cast(pl.Float64).fill_null(0.0),
        announcements_told=pl.lit(value=True),
    )


def _with_description(rows: pl.DataFrame, session: date, described: pl.DataFrame) -> pl.DataFrame:
    """Tell tick and lot of the last description known, and how plain each is."""
    known = (
        described.filter(pl.col("knowledge_session") <= session)
        .sort("security_id", "knowledge_session", "known_at")
        .unique("security_id", keep="last", maintain_order=True)
        .select("security_id", "tick", "lot")
    )
    told = known["tick"].is_not_null().any() or known["lot"].is_not_null().any()
    return rows.join(known, on="security_id", how="left", maintain_order="left").with_columns(
        metadata_told=pl.lit(value=told),
        untold=pl.sum_horizontal(pl.col("tick", "lot").is_null()).cast(pl.Float64),
        identity=pl.coalesce("identity", "security_id"),
        geared=(pl.col("leverage").fill_null(1.0) - 1).abs(),
    )


def with_scores(context: Context, inputs: Inputs, rules: Rules) -> Context:
    """Score the candidates; who lacks evidence has no score."""
    label = inputs.labels.get(context.session)
    fit = _fit(context.rows, label, rules)
    made = scored(context.rows, fit, rules.settings)
    rows = context.rows.with_columns(
        score=pl.when(pl.col("momentum").is_not_null()).then(pl.Series(made.score)),
        fragility_penalty=pl.Series(made.penalty).fill_nan(None),
        regime_multiplier=pl.Series(made.multiplier).fill_nan(None),
        regime_label=pl.lit(label, pl.String),
    )
    return replace(context, rows=rows, scores=made)


def _fit(rows: pl.DataFrame, label: RegimeLabel | None, rules: Rules) -> Vector:
    """Mean fit of the strategies that found each candidate; 0 without a regime."""
    fits, own = rules.around.fits or {}, rules.settings
    if label is None:
        return np.zeros(rows.height)
    found = rows.select("security_id", scanner="scanners").explode("scanner")
    strategy = pl.col("scanner").replace_strict(
        dict(own.strategies), default=own.strategy, return_dtype=pl.String
    )
    worth = {name: told.get(label, 0.0) for name, told in fits.items()}
    fit = strategy.replace_strict(worth, default=0.0, return_dtype=pl.Float64)
    mean = found.group_by("security_id").agg(fit=fit.mean())
    return rows.join(mean, on="security_id", how="left", maintain_order="left")["fit"].to_numpy()


def with_clusters(context: Context, rules: Rules) -> Context:
    """Tell how many of each cluster win; the table of clusters says which are one bet."""
    cohesion = context.rows.select("cluster", "cohesion").unique()
    most = {
        cluster: most_of_cluster(mean, rules.settings) for cluster, mean in cohesion.iter_rows()
    }
    size = pl.col("cluster").replace_strict(most, return_dtype=pl.Int64)
    return replace(context, rows=context.rows.with_columns(most=size))


def with_winners(context: Context, rules: Rules) -> Context:
    """Ask the vetoes, and choose."""
    settings = rules.settings
    vetoes, limits = asked_of(settings), settings.vetoes.limits
    softer = relaxed(limits)
    final = [veto for veto in vetoes if veto.final]
    heard = [veto for veto in vetoes if veto.name == "entropy"]
    scoreless = pl.col("score").is_null()
    rows = (
        context.rows.sort("score", "security_id", descending=[True, False], nulls_last=True)
        .with_columns(
            passed=~any_fired(vetoes, settings, limits),
            barred=any_fired(final, settings, limits) | scoreless,
            passed_relaxed=~any_fired(vetoes, settings, softer),
            heard=~any_fired(heard, settings, softer),
            rank=pl.when(~scoreless).then(pl.int_range(1, pl.len() + 1)),
        )
        .pipe(chosen, settings)
        .sort("security_id")
    )
    return replace(context, rows=rows)


def _cut(name: str, place: str, threshold: pl.Expr) -> pl.Expr:
    """Return a cut as the struct of the contract; null of those that it was not asked of."""
    value = pl.col(place).cast(pl.Float64)
    limit = threshold.cast(pl.Float64)
    told = pl.struct(rule=pl.lit(name), fired=value > limit, value=value, threshold=limit)
    return pl.when(value.is_not_null()).then(told)


def synthesised(context: Context, rules: Rules) -> pl.DataFrame:
    """Rows of the decision in the columns of the contract."""
    settings, scores = rules.settings, context.scores
    limits = settings.vetoes.limits
    asked = [veto.asked(settings, limits) for veto in asked_of(settings)]
    cuts = [
        _cut(IDENTITY.name, "identity_place", pl.lit(1.0)),
        _cut(CLUSTER.name, "cluster_place", pl.col("most")),
        _cut(WINNERS.name, "overall_place", pl.lit(settings.winners_max)),
    ]
    won = pl.col("admitted").is_not_null()
    # Arrays of structs are laid out in one go, lists of them row by row.
    audit = pl.concat_arr([*asked, *cuts]).arr.to_list().list.drop_nulls()
    rows = context.rows.with_columns(components=_components(scores))
    return (
        rows.with_columns(
            decided_on=pl.lit(context.session),
            stress_windows="windows",
            vetoes=audit,
            selected=won,
            reason=pl.when(~won).then(first_fired([*asked, *cuts])),
        )
        .select(pl.col(name).cast(column.dtype) for name, column in SELECTION.columns.items())
        .sort("security_id")
    )


def _components(scores: Scored | None) -> pl.Series:
    """Components of each candidate, as the contract has them."""
    if scores is None:
        return pl.Series(dtype=SELECTION.columns["components"].dtype)
    names, count = list(scores.weights), len(scores.score)
    told = pl.DataFrame(
        {
            "row": np.repeat(np.arange(count), len(names)),
            "component": names * count,
            "value": np.stack([scores.values[n] for n in names], axis=1).ravel(),
            "probability": np.stack([scores.probabilities[n] for n in names], axis=1).ravel(),
            "weight": np.tile(np.array(list(scores.weights.values())), count),
        }
    ).with_columns(pl.col("value").fill_nan(None))
    return (
        told.select("row", part=pl.struct(pl.exclude("row")))
        .group_by("row", maintain_order=True)
        .agg("part")["part"]
    )
