"""Law 4 on who is looked at: each gate fires on what it is about, and on no other.

The gates are those that a scanner of the graph lists itself (``scan_gates``). A rule compares a
column with a number: that number is put in the middle of what the screener holds, and the rule
must then fire on every row that lies beyond, and pass every other. The limits are put at one, the
first symbol is excluded, and of the pairs of a coin one is left. The screener's rows are those of a
filled lake.

A universe lists its screens as well (``universe_gates``). Where a screen compares with a number,
that is put in the middle; ``stale`` must fire on a security whose bars are taken away, an index on
one whose stays are.

A cross-section lists its floors and its rank (``cross_section_gates``). Each is asked alone, a
floor with the middle of what the feature tables hold, the rank with half: whoever lies beyond must
fire it, and nobody else be kept out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from quant_platform.orchestration.stage import Stage
from quant_platform.scanners.cross_section import RANK, cross_section_gates
from quant_platform.scanners.engine import scan_gates
from quant_platform.scanners.judgement import BASE_LIMIT, EXCLUDED, IDENTITY, LIMIT
from quant_platform.scanners.universe import universe_gates
from quant_platform.settings.cross_section import CrossSectionSettings
from quant_platform.settings.scan_filters import FilterSettings
from quant_platform.settings.scan_rules import rule_name
from quant_platform.settings.scanner import COMPOSITE, ScannerSettings, rules_of
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.planted import rows_of
from quant_platform_tests.laws.workshop import Workshop

LAW = "gates that fire"

_KEY = ("session", "security_id")
_SCANNED = 5
"""Sessions over which a scanner is tried."""


def check_scanner(workshop: Workshop, stage: Stage) -> None:
    """Require that each gate of a scanner fires on what it is about, and on nothing else.

    Parameters
    ----------
    workshop
        A workshop with a filled lake.
    stage
        The scanner.
    """
    sessions = workshop.lake.sessions(stage.table)[-_SCANNED:]
    wanted = stage.range_of(sessions)
    frames = {name: workshop.io.read(window, wanted) for name, window in stage.windows.items()}
    screener = frames["screener"].collect()
    for gate in scan_gates(stage.settings):
        name, alone, expected = _only(gate.name, stage, screener)
        made = stage.function(frames, alone, wanted)
        told = _asked(rows_of(made, stage), name)
        keys = told.filter(~pl.col("passed")).select(*_KEY)
        if not 0 < keys.height < told.height or not keys.equals(expected.select(*_KEY).sort(*_KEY)):
            found = f"gate '{gate.name}' fired on {keys.height} of {told.height} rows"
            raise LawBroken(LAW, stage.table, None, f"{found}, expected {expected.height} of them")


def check_universe(workshop: Workshop, stage: Stage) -> None:
    """Require that each screen of a universe fires on what it is about, and on nothing else.

    Parameters
    ----------
    workshop
        A workshop with a filled lake.
    stage
        The universe.
    """
    wanted = stage.range_of(workshop.lake.sessions(stage.table)[-_SCANNED:])
    frames = {name: workshop.io.read(window, wanted) for name, window in stage.windows.items()}
    for gate in universe_gates(stage.settings, stage.windows):
        honest = _asked(rows_of(stage.function(frames, stage.settings, wanted), stage), gate.name)
        changed, settings = dict(frames), stage.settings
        if gate.name in _TAKEN:
            kind = _TAKEN[gate.name]
            chosen = honest.filter("passed")["security_id"].min()
            changed[kind] = frames[kind].filter(pl.col("security_id") != chosen)
            beyond = ~pl.col("passed") | (pl.col("security_id") == chosen)
        elif gate.name in _NUMBERED:
            middle = float(honest["value"].median())
            settings = stage.settings.model_copy(update={_NUMBERED[gate.name]: middle})
            beyond = (pl.col("value") < middle).fill_null(True)
        else:
            found = f"nothing is known to make its gate '{gate.name}' fire; add it to filters.py"
            raise LawBroken(LAW, stage.table, None, found)
        told = _asked(rows_of(stage.function(changed, settings, wanted), stage), gate.name)
        fired = told.filter(~pl.col("passed")).select(*_KEY)
        expected = honest.filter(beyond).select(*_KEY)
        if not 0 < fired.height < told.height or not fired.equals(expected):
            found = f"gate '{gate.name}' fired on {fired.height} of {told.height} rows"
            raise LawBroken(LAW, stage.table, None, f"{found}, expected {expected.height} of them")


_TAKEN = {"stale": "bars", "index_member": "membership"}
"""Screens that fire on who has no rows of a kind."""
_NUMBERED = {"aum": "min_aum", "mean_volume": "min_mean_volume"}
"""Screens that compare with a setting."""


def check_cross_section(workshop: Workshop, stage: Stage) -> None:
    """Require that each gate of a cross-section keeps out whoever it is about, and nobody else.

    Parameters
    ----------
    workshop
        A workshop with filled universe and features.
    stage
        The cross-section.
    """
    universe = stage.windows["universe"].table
    wanted = stage.range_of(workshop.lake.sessions(universe)[-_SCANNED:])
    frames = {name: workshop.io.read(window, wanted) for name, window in stage.windows.items()}
    bare: CrossSectionSettings = stage.settings.model_copy(
        update={**{setting: None for setting, _ in _FLOORS.values()}, "selected_share": 1.0}
    )
    everybody = rows_of(stage.function(frames, bare, wanted), stage).sort(*_KEY)
    for gate in cross_section_gates(stage.settings):
        if gate.name == RANK.name:
            settings = bare.model_copy(update={"selected_share": 0.5})
            score = pl.col("composite_score")
            asked = everybody.filter(score.is_not_null())
            # The worst place that a score shares with its equals, the best being the first.
            place = score.rank("max", descending=True).over("session")
            beyond = asked.filter(place / pl.len().over("session") > 0.5)
        elif gate.name in _FLOORS:
            setting, table = _FLOORS[gate.name]
            number = pl.col(gate.name).cast(pl.Float64)
            value = number.abs() if setting in _CEILINGS else number
            told = frames[table].select(*_KEY, value=value).collect()
            asked = everybody.select(_KEY).join(told, on=_KEY, how="left", maintain_order="left")
            middle = float(asked["value"].median())
            settings = bare.model_copy(update={setting: middle})
            lies = pl.col("value") > middle if setting in _CEILINGS else pl.col("value") < middle
            beyond = asked.filter(lies.fill_null(True))
        else:
            found = f"nothing is known to make its gate '{gate.name}' fire; add it to filters.py"
            raise LawBroken(LAW, stage.table, None, found)
        made = rows_of(stage.function(frames, settings, wanted), stage)
        fired = _asked(made, gate.name).filter(~pl.col("passed")).select(*_KEY)
        kept_out = made.filter(~pl.col("selected")).join(asked, on=_KEY, how="semi").sort(*_KEY)
        expected = beyond.select(*_KEY)
        if not 0 < fired.height < asked.height or not fired.equals(expected):
            found = f"gate '{gate.name}' fired on {fired.height} of {asked.height} rows"
            raise LawBroken(LAW, stage.table, None, f"{found}, expected {expected.height} of them")
        if not kept_out.select(*_KEY).equals(expected):
            found = f"gate '{gate.name}' kept {kept_out.height} of {asked.height} rows out"
            raise LawBroken(LAW, stage.table, None, f"{found}, expected {expected.height} of them")


_FLOORS = {
    "trend_score": ("min_trend_score", "features_trend"),
    "adv_shares_20": ("min_adv_shares", "features_liquidity"),
    "adv_money_20": ("min_adv_money", "features_liquidity"),
    "dist_pct": ("max_distance_pct", "features_avwap"),
}
"""Setting of each floor, and the table that holds what it asks."""
_CEILINGS = ("max_distance_pct",)
"""Floors that bound a size from above."""


def _asked(rows: pl.DataFrame, gate: str) -> pl.DataFrame:
    """Rows with what one gate said of them, by key."""
    entries = rows.select(*_KEY, entry="passes").explode("entry").unnest("entry")
    return entries.filter(rule=gate).sort(*_KEY)


def _only(
    gate: str, stage: Stage, screener: pl.DataFrame
) -> tuple[str, ScannerSettings, pl.DataFrame]:
    """Return a scanner with one gate that divides what it looks at, and the rows beyond it.

    The gate's name comes first: a rule that stands alone is called by its comparison.
    """
    scanner: ScannerSettings = stage.settings
    everything = FilterSettings(left="close", operation="greater", right=0.0)
    screener = screener.filter(pl.col("asset_class").cast(pl.String) == scanner.asset_class)
    # Nothing but the gate stands between the screener and what is found.
    kept = {"name", "asset_class", "sort_by", "final_sort_by", "final_sort_order", "limit"}
    defaults = {
        key: field.get_default(call_default_factory=True)
        for key, field in ScannerSettings.model_fields.items()
        if key not in kept
    }
    given = {"filters": (everything,), "prefilter_limit": 100_000}
    bare = scanner.model_copy(update=defaults | given)
    if scanner.final_sort_by == COMPOSITE:
        bare = bare.model_copy(update={"final_sort_by": "close"})
    if gate == EXCLUDED:
        symbol = str(screener["symbol"].min())
        alone = bare.model_copy(update={"exclude_symbols": (symbol,)})
        return gate, alone, screener.filter(symbol=symbol)
    if gate == IDENTITY:
        pairs = screener.sort("session", "Value.Traded", descending=[False, True], nulls_last=True)
        place = pl.int_range(pl.len()).over("session", "base_currency")
        known = pl.col("base_currency").is_not_null()
        return gate, bare, pairs.filter(known, place > 0)
    if gate in (LIMIT, BASE_LIMIT):
        first = gate == BASE_LIMIT
        column = scanner.sort_by if first else bare.final_sort_by
        best = pl.col(column).cast(pl.Float64)
        ascending = (scanner.sort_order if first else scanner.final_sort_order) == "asc"
        order = best if ascending else -best
        # A second pair of a coin is no candidate of either cut.
        screener = screener.with_columns(
            coin=pl.coalesce("base_currency", "security_id"), liquid=-pl.col("Value.Traded")
        )
        pairs = screener.sort("session", "coin", "liquid", "security_id", nulls_last=True)
        screener = pairs.unique(["session", "coin"], keep="first", maintain_order=True)
        ranked = screener.with_columns(order=order).sort(
            "session", "order", "security_id", nulls_last=True
        )
        beyond = ranked.filter(pl.int_range(pl.len()).over("session") > 0)
        return gate, bare.model_copy(update={gate: 1}), beyond
    for rule in rules_of(scanner):
        if rule.name == gate and isinstance(rule.right, float):
            # A short history knows no ratings of 200 sessions: then the close is compared.
            left = rule.left if screener[rule.left].n_unique() > 2 else "close"
            middle = float(screener[left].cast(pl.Float64).median())
            divided = FilterSettings(left=left, operation=rule.comparison, right=middle)
            passes = BEYOND[rule.comparison](pl.col(left).cast(pl.Float64), middle)
            failing = screener.filter(~passes.fill_null(False))
            name = rule_name(left, rule.comparison)
            return name, bare.model_copy(update={"filters": (divided,)}), failing
    found = f"nothing is known to make its gate '{gate}' fire; add it to filters.py"
    raise LawBroken(LAW, stage.table, None, found)


BEYOND: Mapping[str, Callable[[pl.Expr, float], pl.Expr]] = {
    "greater": lambda value, middle: value > middle,
    "egreater": lambda value, middle: value >= middle,
    "less": lambda value, middle: value < middle,
    "eless": lambda value, middle: value <= middle,
    "equal": lambda value, middle: value == middle,
}
"""What passes each comparison, written again."""
