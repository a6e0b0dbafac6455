"""The scanner engine: three layers, one audit.

1. *Scan layer*: what a scanner looks at. Its asset class, markets, exchanges, quotes and questions
   about names say who is eligible; those are sorted by ``sort_by`` (liquidity in every shipped
   scanner) and cut at ``prefilter_limit``, so that no ranking can starve liquidity. Symbols that
   the file includes or ensures are looked at in any case. Who is cut here leaves no trace.
2. *Filter layer*: every rule is asked of everything that is left, in the order of
   ``settings.scanner.rules_of``. The audit ``passes`` holds each with its value and threshold, and
   rejects are kept: "why is X not in" is one query. A value that is null passes nothing. Of a group
   (checks joined by OR) one must pass. Ensured symbols come back whatever they failed. Of the pairs
   of one coin, spot and perpetual, the first by ``sort_by`` stays: one identity, one bet.
3. *Rank layer*: of what is left the first ``base_universe_limit`` by ``sort_by`` are ranked, by
   ``final_sort_by`` or by the mean z-score of the composite's columns, and cut at ``limit``.
   Identity and the two limits are asked of those alone that reached them; the entry in the audit
   has the place as its value. Ensured symbols are ranked and never cut. The perpetuals of found
   pairs are attached last, where the file says so.

Null sorts last, ties go by ``security_id``. The rows are sorted once for all scanners of a range,
and once for each first cut; everything else is arithmetic on arrays. A session looks at its own
rows only, and sums are taken in their order, so a range of sessions is its single days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from quant_platform.lakehouse.gates import Duty, Gate
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.scanners.judgement import (
    BASE_LIMIT,
    EXCLUDED,
    IDENTITY,
    LIMIT,
    Judged,
    Places,
    Truths,
    Vector,
    places_within,
)
from quant_platform.settings.scanner import (
    COMPOSITE,
    ScannerSettings,
    SortOrder,
    fields_of,
    names_asked,
    rules_of,
)
from quant_platform.settings.screener_fields import STABLE_BASES

DUTY: Duty = "choice"
"""Of every rule of a scanner: it is there to tell some securities from others."""
RESTING = (IDENTITY, BASE_LIMIT)
"""Rules that watch for what may not happen: two pairs of a coin, more than can be ranked."""

_NAMES = ("symbol", "exchange", "type", "sector", "category", "brand", "issuer")
_TOLD = ("session", "security_id", "symbol", "exchange", "type", "base_currency")
_TEXT = (*_NAMES, "base_currency", "currency")


def scan_windows(settings: ScannerSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``scan_<name>`` depends on."""
    return {"screener": Window("screener")}


def scan(
    frames: Mapping[str, pl.LazyFrame], settings: ScannerSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``scan_<name>`` for a range.

    Parameters
    ----------
    frames
        ``screener``: the range.
    settings
        The scanner.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security that reached the filters, by session and security.
    """
    (made,) = scan_all(frames, [settings], wanted)
    return made


def scan_all(
    frames: Mapping[str, pl.LazyFrame], scanners: Sequence[ScannerSettings], wanted: SessionRange
) -> list[pl.DataFrame]:
    """Compute several scanners over one reading of the screener; see `scan`."""
    screened = Screened(frames["screener"], scanners, wanted)
    return [_scanned(screened, scanner) for scanner in scanners]


def scan_gates(settings: ScannerSettings) -> list[Gate]:
    """Every gate of a scanner that stands in its audit, in the order in which they are asked."""
    names = [EXCLUDED] if settings.exclude_symbols else []
    names += [rule.name for rule in rules_of(settings) if not rule.group]
    names += dict.fromkeys(rule.group for rule in rules_of(settings) if rule.group)
    return [Gate(name, duty_of(name)) for name in (*names, *_tail(settings))]


def duty_of(rule: str) -> Duty:
    """Whether a rule may rest."""
    return "guard" if rule in RESTING else DUTY


def _tail(settings: ScannerSettings) -> list[str]:
    """Rules that are asked of those alone that passed every one before."""
    names = [IDENTITY] if settings.asset_class == "crypto" else []
    names += [BASE_LIMIT] if settings.base_universe_limit is not None else []
    return [*names, LIMIT]


class Screened:
    """The screener of a range, sorted once for every scanner that looks at it.

    Parameters
    ----------
    screener
        Rows of the range, in any order.
    scanners
        Who will look at it: columns that none of them reads are not loaded.
    wanted
        Sessions that are looked at.
    """

    def __init__(
        self, screener: pl.LazyFrame, scanners: Sequence[ScannerSettings], wanted: SessionRange
    ) -> None:
        numbers = dict.fromkeys(name for scanner in scanners for name in fields_of(scanner))
        key = ["session", "security_id"]
        self.rows = (
            screener.filter(pl.col("session").is_between(wanted.first, wanted.last))
            .select(
                *key,
                pl.col("asset_class").cast(pl.String),
                *_TEXT,
                # NaN is no number, and compares as no number does.
                *(pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in numbers),
            )
            .sort(key)
            .collect()
        )
        self.told = self.rows.select(_TOLD)
        self.session = self.rows["session"].rle_id().to_numpy().astype(np.int64)
        self._numbers: dict[str, Vector] = {}
        self._orders: dict[tuple[str, SortOrder], Places] = {}

    def number(self, name: str) -> Vector:
        """Return a column of numbers; NaN where there is none."""
        if name not in self._numbers:
            self._numbers[name] = self.rows[name].to_numpy()
        return self._numbers[name]

    def truths(self, told: pl.Expr) -> Truths:
        """Ask something of each row; nothing is no."""
        return np.asarray(self.rows.select(told.fill_null(False)).to_series().to_numpy())

    def order(self, by: str, order: SortOrder) -> Places:
        """Rows by session and column, null last, ties by security."""
        if (by, order) not in self._orders:
            key = _sort_key(self.number(by), order)
            # Rows are by security already, and the sort is stable.
            self._orders[by, order] = np.lexsort((key, self.session))
        return self._orders[by, order]


def _sort_key(values: Vector, order: SortOrder) -> Vector:
    """Values that ascend where the column is sorted; those that are none come last."""
    return np.where(np.isnan(values), np.inf, -values if order == "desc" else values)


def _scanned(screened: Screened, settings: ScannerSettings) -> pl.DataFrame:
    """Take one scanner through its three layers."""
    order = screened.order(settings.sort_by, settings.sort_order)
    reached, attached = _reaching(screened, settings, order)
    index = np.flatnonzero(reached | attached)
    rows = screened.told[index]
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    judged = Judged(rows, screened.session[index], position[index], reached[index], settings)
    for rule in rules_of(settings):
        right = screened.number(rule.right)[index] if isinstance(rule.right, str) else rule.right
        judged.ask(rule, screened.number(rule.left)[index], right)
    judged.join_groups()
    judged.ensure()
    if settings.asset_class == "crypto":
        judged.dedupe()
    if settings.base_universe_limit is not None:
        judged.cut(BASE_LIMIT, judged.places(judged.position), settings.base_universe_limit)
    by = settings.final_sort_by
    value = (
        judged.composite([screened.number(name)[index] for name in _composite(settings)])
        if by == COMPOSITE
        else screened.number(by)[index]
    )
    rank = judged.places(_sort_key(value, settings.final_sort_order))
    judged.cut(LIMIT, rank, settings.limit)
    return judged.told(settings, value, rank)


def _composite(settings: ScannerSettings) -> Sequence[str]:
    return settings.momentum_composite_fields


def _reaching(
    screened: Screened, settings: ScannerSettings, order: Places
) -> tuple[Truths, Truths]:
    """Layer 1: the securities that come first by ``sort_by``; and perpetuals that may be attached.

    Returns
    -------
    reached, attached
        Which rows are asked the rules; which are there only because their pair may be found.
    """
    own = screened.truths(pl.col("asset_class") == settings.asset_class)
    asked = [
        pl.col(rule.left).is_in(list(rule.names))
        if rule.among
        else pl.col(rule.left).is_in(list(rule.names)).not_()
        for rule in names_asked(settings)
    ]
    if settings.symbols:
        asked.append(pl.col("symbol").is_in(list(settings.symbols)))
    if settings.exclude_stable_bases:
        asked.append(pl.col("base_currency").is_in(sorted(STABLE_BASES)).not_())
    eligible = own & screened.truths(pl.all_horizontal(asked)) if asked else own
    first = order[eligible[order]]
    reached = np.zeros(len(own), dtype=np.bool_)
    reached[first[places_within(screened.session[first]) <= settings.prefilter_limit]] = True
    named = [*settings.include_symbols, *settings.ensure_symbols]
    if named:
        reached |= own & screened.truths(pl.col("symbol").is_in(named))
    attached = np.zeros(len(own), dtype=np.bool_)
    if settings.attach_perp_counterparts:
        attached = own & screened.truths(pl.col("type") == "swap") & ~reached
    return reached, attached
