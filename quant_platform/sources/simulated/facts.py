"""What the embedded market tells besides bars: listings, actions, results, members, funds.

Each function returns every row of a sleeve's life in the protocol's columns plus ``knowledge``, the
ordinal of the session in which it is known; the source selects what was asked for.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from quant_platform.sources.protocol import (
    ACTION_SCHEMA,
    EARNINGS_SCHEMA,
    FUND_FACT_SCHEMA,
    MEMBERSHIP_SCHEMA,
    SECURITY_SCHEMA,
)
from quant_platform.sources.simulated.days import BLOCK
from quant_platform.sources.simulated.draws import Floats, Integers, Truths, stream
from quant_platform.sources.simulated.happenings import (
    CASH_KINDS,
    UNIT_KINDS,
    Actions,
    known_before,
)
from quant_platform.sources.simulated.market import Market
from quant_platform.sources.simulated.publication import (
    AFTER_CLOSE,
    DAY,
    NOON,
    Publication,
)
from quant_platform.sources.simulated.roster import NEVER

INDEX = "SIM BROAD"
"""The one index: stocks above a size that moves with the market, settled every half year."""

_RENAME_BEFORE = 5
_INDEX_SIZE = 2.5e9
_INDEX_TOLD = 5  # path days before it changes
_EARNINGS_YIELD = 0.05


def securities(market: Market, news: Publication) -> pl.DataFrame:
    """Tell listings, new names and delistings."""
    own, count = market.paths.roster, market.count
    renamed = _rows(market, own.renamed[:count])
    parts = []
    for rows, kind in ((market.listed, 0), (renamed, 1), (market.delisted, 2)):
        security = np.flatnonzero((rows != NEVER) & (market.listed != NEVER))
        at = rows[security]
        parts.append(
            pl.DataFrame(
                {
                    "security": security,
                    "event": kind,
                    "listed_on": market.sessions[market.listed[security]],
                    "delisted_on": market.sessions[at],
                    "known_at": news.published[at],
                    "knowledge": news.known[at],
                    "is_new": at >= renamed[security],
                }
            )
        )
    rows_known = pl.concat(parts).sort("known_at", "security", "event")
    which = rows_known["security"]
    names = pl.Series([own.symbol[n] for n in range(count)])
    later = pl.Series([own.new_symbol[n] for n in range(count)])
    described = own.listing[:count].select(pl.all().gather(which))
    return pl.concat(
        [
            described,
            rows_known.select(
                pl.when("is_new")
                .then(later.gather(which))
                .otherwise(names.gather(which))
                .alias("symbol"),
                pl.col("listed_on").cast(pl.Int32).cast(pl.Date),
                pl.when(pl.col("event") == 2)
                .then("delisted_on")
                .cast(pl.Int32)
                .cast(pl.Date)
                .alias("delisted_on"),
                pl.col("known_at").cast(SECURITY_SCHEMA["known_at"]),
                "knowledge",
                known_at_basis=pl.lit("assumed", SECURITY_SCHEMA["known_at_basis"]),
            ).with_columns(exchange=pl.col("symbol").str.split(":").list.first()),
        ],
        how="horizontal",
    ).select(*SECURITY_SCHEMA, "knowledge")


def _rows(market: Market, path_day: Integers) -> Integers:
    rows = market.row_of(np.minimum(path_day, len(market.time.days)))
    return np.where(rows < len(market.sessions), rows, NEVER)


def _inside(market: Market, plan: Actions) -> tuple[Actions, Integers, Integers]:
    """Return what is told and takes effect on sessions of securities that are there."""
    told, ex = market.row_of(plan.announced), market.row_of(plan.ex)
    keep = (plan.security < market.count) & (ex < len(market.sessions)) & (told < ex)
    return plan.chosen(keep), told[keep], ex[keep]


def actions(market: Market, news: Publication) -> pl.DataFrame:
    """Tell changes of units, distributions, mergers, delistings and renames."""
    own, paths, count = market.paths.roster, market.paths, market.count
    parts = []

    def add(
        security: Integers,
        ex: Integers,
        kind: list[str],
        value: Floats,
        told: Integers,
        *,
        counterpart: list[str | None] | None = None,
    ) -> None:
        parts.append(
            pl.DataFrame(
                {
                    "security": security,
                    "session": market.sessions[ex],
                    "kind": pl.Series(kind, dtype=pl.String),
                    "value": pl.Series(value, dtype=pl.Float64).fill_nan(None),
                    "counterpart": pl.Series(counterpart or [None] * len(ex), dtype=pl.String),
                    "known_at": news.published[told],
                    "knowledge": news.known[told],
                }
            )
        )

    plan, told, ex = _inside(market, paths.splits)
    add(plan.security, ex, [UNIT_KINDS[kind] for kind in plan.kind], plan.value, told)
    plan, told, ex = _inside(market, paths.cash)
    price = paths.price_at_block(plan.security, plan.announced, plan.ex)
    amount = np.maximum(np.round(price * plan.value, 4), 1e-4)
    add(plan.security, ex, [CASH_KINDS[kind] for kind in plan.kind], amount, told)
    gone = np.flatnonzero((market.delisted != NEVER) & (market.listed != NEVER))
    bought = np.isfinite(own.premium[gone])
    ex = market.delisted[gone]
    deal = _rows(market, own.announced[gone])
    told = np.where(bought, np.minimum(deal, ex), ex)
    acquirer = [
        own.listing["security_id"][n - 1 if n else 1] if is_bought else None
        for n, is_bought in zip(gone.tolist(), bought.tolist(), strict=True)
    ]
    kind = np.where(bought, "merger", "delisting").tolist()
    add(gone, ex, kind, market.payouts(gone), told, counterpart=acquirer)
    moved = np.flatnonzero(_rows(market, own.renamed[:count]) != NEVER)
    ex = _rows(market, own.renamed[moved])
    names: list[str | None] = [own.new_symbol[n] for n in moved]
    nothing = np.full(len(moved), np.nan)
    add(
        moved,
        ex,
        ["rename"] * len(moved),
        nothing,
        np.maximum(ex - _RENAME_BEFORE, 0),
        counterpart=names,
    )
    rows = pl.concat(parts).sort("known_at", "session", "security", "kind")
    return rows.with_columns(
        own.listing["security_id"].gather(rows["security"]),
        pl.col("session").cast(pl.Int32).cast(pl.Date),
        pl.col("kind").cast(ACTION_SCHEMA["kind"]),
        pl.col("known_at").cast(ACTION_SCHEMA["known_at"]),
        known_at_basis=pl.lit("assumed", ACTION_SCHEMA["known_at_basis"]),
    ).select(*ACTION_SCHEMA, "knowledge")


def earnings(market: Market, news: Publication) -> pl.DataFrame:
    """Tell expected days, revised days and announced results of stocks."""
    own, told = market.paths.roster, market.paths.results
    mine = np.flatnonzero(told.security < market.count)
    security, day, felt = told.security[mine], told.day[mine], told.felt[mine]
    price = market.paths.price_at_block(security, felt, felt)
    estimate = price * _EARNINGS_YIELD / 4 * np.exp(-0.15 * told.surprise[mine])
    actual = np.round(estimate * (1 + 0.08 * told.surprise[mine]), 2)
    estimate = np.round(estimate, 2)
    first, second = (days[mine] for days in known_before(told))
    listed = market.time.days[np.minimum(own.listed[security], len(market.time.days) - 1)]
    revised = told.expected[mine] != day
    hour = np.where(told.before_open[mine], NOON, AFTER_CLOSE)
    quarter = told.quarter[mine]
    period = [f"{q // 4}Q{q % 4 + 1}" for q in quarter.tolist()]
    everything = pl.DataFrame(
        {
            "security": security,
            "period": pl.Series(period, dtype=pl.String),
            "day": day,
            "expected_on": told.expected[mine],
            "timing": pl.Series(
                np.where(told.before_open[mine], "pre", "post").tolist(), dtype=pl.String
            ),
            "estimate": estimate,
            "actual": actual,
            "first": first * DAY + NOON,
            "second": second * DAY + NOON,
            "told": day * DAY + hour,
            "is_old": first > listed,
            "revised": revised,
        }
    )
    expected, nothing = pl.lit("expected"), pl.lit(None, pl.Float64)
    rows = pl.concat(
        [
            everything.filter("is_old").select(
                "security",
                "period",
                "timing",
                "estimate",
                announced="expected_on",
                status=expected,
                actual=nothing,
                known_at="first",
            ),
            everything.filter("revised").select(
                "security",
                "period",
                "timing",
                "estimate",
                announced="day",
                status=expected,
                actual=nothing,
                known_at="second",
            ),
            everything.select(
                "security",
                "period",
                "timing",
                "estimate",
                announced="day",
                status=pl.lit("actual"),
                actual="actual",
                known_at="told",
            ),
        ],
        how="diagonal",
    ).sort("known_at", "security", "period")
    return rows.with_columns(
        own.listing["security_id"].gather(rows["security"]),
        pl.col("announced").cast(pl.Int32).cast(pl.Date).alias("announced_on"),
        pl.col("timing").cast(EARNINGS_SCHEMA["timing"]),
        pl.col("status").cast(EARNINGS_SCHEMA["status"]),
        pl.Series("knowledge", news.known_in(rows["known_at"].to_numpy())),
        pl.col("known_at").cast(EARNINGS_SCHEMA["known_at"]),
        known_at_basis=pl.lit("observed", EARNINGS_SCHEMA["known_at_basis"]),
    ).select(*EARNINGS_SCHEMA, "knowledge")


def membership(market: Market, news: Publication) -> pl.DataFrame:
    """Tell the stays of stocks in the index, settled at the beginning of each block."""
    own, paths, count = market.paths.roster, market.paths, market.count
    moves = paths.equity.climate.market.reshape(paths.blocks, BLOCK).sum(axis=1)
    bar = np.log(_INDEX_SIZE) + np.concatenate([[0.0], np.cumsum(moves)])
    size = paths.level[:, :count] + np.log(own.shares[:count])
    stocks = own.of_class("stock")[:count]
    begins = np.arange(paths.blocks) * BLOCK
    listed, announced = own.listed[:count], own.announced[:count]
    is_member = stocks & (size[:-1] > bar[:-1, None])
    is_member &= (begins[:, None] >= listed) & (begins[:, None] < announced)
    days = market.time.days
    parts: list[tuple[int, int, int, int]] = []
    for security in np.flatnonzero(is_member.any(axis=0)).tolist():
        member = np.concatenate([[False], is_member[:, security], [False]])
        edges = np.flatnonzero(np.diff(member.astype(np.int8)))
        for begin, end in edges.reshape(-1, 2).tolist():
            since = int(begins[begin])
            told = max(since - _INDEX_TOLD, 0)
            parts.append((security, int(days[since]), -1, int(days[told])))
            if end < paths.blocks:
                until = int(begins[end])
                left = int(own.delisted[security])
                if int(announced[security]) < until:
                    until = min(until, left)
                if until < len(days):
                    said = int(days[max(until - _INDEX_TOLD, told + 1)])
                    parts.append((security, int(days[since]), int(days[until - 1]), said))
    rows = pl.DataFrame(
        parts, schema=dict.fromkeys(("security", "since", "until", "told"), pl.Int64), orient="row"
    ).sort("told", "security", "since", "until")
    known = rows["told"].to_numpy() * DAY + AFTER_CLOSE
    return rows.select(
        own.listing["security_id"].gather(rows["security"]),
        pl.lit(INDEX).alias("index"),
        pl.col("since").cast(pl.Int32).cast(pl.Date).alias("valid_from"),
        pl.when(pl.col("until") >= 0).then("until").cast(pl.Int32).cast(pl.Date).alias("valid_to"),
        pl.Series("known_at", known).cast(MEMBERSHIP_SCHEMA["known_at"]),
        pl.Series("knowledge", news.known_in(known)),
        pl.lit("observed", MEMBERSHIP_SCHEMA["known_at_basis"]).alias("known_at_basis"),
    ).select(*MEMBERSHIP_SCHEMA, "knowledge")


def fund_facts(market: Market, news: Publication) -> pl.DataFrame:
    """Tell what issuers say at the end of each month that is over."""
    own, paths = market.paths.roster, market.paths
    months = market.sessions.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    ends = np.flatnonzero(np.diff(months))
    parts = []
    for n, fund in own.funds.items():
        if n >= market.count:
            continue
        flows = stream(market.seed, market.owner, "flows", 0, n).standard_normal(len(ends))
        trading: Truths = (ends >= market.listed[n]) & (ends < market.delisted[n])
        rows = ends[trading]
        # Money comes and goes by a thirtieth a month, and the fund grows with its price.
        grown = paths.level[market.time.index[rows] // BLOCK, n] - np.log(own.price[n])
        assets = fund.turnover * 12 * np.exp(0.033 * np.cumsum(flows)[trading] + grown)
        parts.append(
            pl.DataFrame(
                {
                    "security": np.full(len(rows), n),
                    "session": market.sessions[rows],
                    "aum": np.round(assets, -3),
                    "expense_ratio": np.full(len(rows), fund.fee),
                    "yield": np.full(len(rows), fund.distributed),
                    "issuer": [fund.issuer] * len(rows),
                    "category": [fund.category] * len(rows),
                },
                schema_overrides={"issuer": pl.String, "category": pl.String},
            )
        )
    if not parts:
        return pl.DataFrame(schema=FUND_FACT_SCHEMA).with_columns(knowledge=pl.lit(0, pl.Int64))
    everything = pl.concat(parts).sort("session", "security")
    known = (everything["session"].to_numpy() + 1) * DAY + NOON
    return everything.select(
        own.listing["security_id"].gather(everything["security"]),
        pl.col("session").cast(pl.Int32).cast(pl.Date),
        "aum",
        "expense_ratio",
        "yield",
        "issuer",
        "category",
        pl.Series("known_at", known).cast(FUND_FACT_SCHEMA["known_at"]),
        pl.Series("knowledge", news.known_in(known)),
        pl.lit("assumed", FUND_FACT_SCHEMA["known_at_basis"]).alias("known_at_basis"),
    ).select(*FUND_FACT_SCHEMA, "knowledge")


__all__ = ["INDEX", "actions", "earnings", "fund_facts", "membership", "securities"]
