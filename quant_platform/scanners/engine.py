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

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.lakehouse.gates import Duty, Gate
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.scanners.audit import entry, first_failed
from quant_platform.settings.scanner import (
    COMPOSITE,
    Comparison,
    Rule,
    ScannerSettings,
    SortOrder,
    fields_of,
    names_asked,
    rules_of,
)
from quant_platform.settings.screener_fields import STABLE_BASES

EXCLUDED = "exclude_symbols"
"""Rule of the audit: the value is 1 for a symbol that the scanner excludes."""
IDENTITY = "identity"
"""Rule of the audit: the value is the place among the pairs of one coin that passed."""
BASE_LIMIT = "base_universe_limit"
"""Rule of the audit: the value is the place by the first cut among what passed so far."""
LIMIT = "limit"
"""Rule of the audit: the value is the rank among those that passed every other rule."""

DUTY: Duty = "choice"
"""Of every rule of a scanner: it is there to tell some securities from others."""
RESTING = (IDENTITY, BASE_LIMIT)
"""Rules that watch for what may not happen: two pairs of a coin, more than can be ranked."""

Vector = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_COMPARE: dict[Comparison, Callable[[Any, Any], Any]] = {
    "greater": np.greater,
    "egreater": np.greater_equal,
    "less": np.less,
    "eless": np.less_equal,
    "equal": np.equal,
}
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


def _places(groups: Places) -> Places:
    """Place of each row within its run of equal groups, from 1."""
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    number = np.arange(len(groups))
    begins = np.r_[True, groups[1:] != groups[:-1]]
    return np.asarray(number - np.maximum.accumulate(np.where(begins, number, 0)) + 1)


def _scanned(screened: Screened, settings: ScannerSettings) -> pl.DataFrame:
    """Take one scanner through its three layers."""
    order = screened.order(settings.sort_by, settings.sort_order)
    reached, attached = _reaching(screened, settings, order)
    index = np.flatnonzero(reached | attached)
    rows = screened.told[index]
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    judged = _Judged(rows, screened.session[index], position[index], reached[index], settings)
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
    reached[first[_places(screened.session[first]) <= settings.prefilter_limit]] = True
    named = [*settings.include_symbols, *settings.ensure_symbols]
    if named:
        reached |= own & screened.truths(pl.col("symbol").is_in(named))
    attached = np.zeros(len(own), dtype=np.bool_)
    if settings.attach_perp_counterparts:
        attached = own & screened.truths(pl.col("type") == "swap") & ~reached
    return reached, attached


class _Judged:
    """Rows before one scanner: what was asked of them so far, and who is still in."""

    def __init__(
        self,
        rows: pl.DataFrame,
        session: Places,
        position: Places,
        reached: Truths,
        settings: ScannerSettings,
    ) -> None:
        self.rows, self.session, self.position, self.reached = rows, session, position, reached
        self.entries: list[tuple[str, Truths, Vector, Vector | float]] = []
        """Name, verdict, value and threshold of each rule that was asked of every row."""
        self.tail: list[tuple[str, Truths, Vector, float]] = []
        """The same of the rules that were asked of those alone that were still in."""
        self.asked = np.zeros(len(session), dtype=np.int64)
        """How many rules of the tail each row was asked."""
        self.failed: list[tuple[str, Truths]] = []
        """What decides, in the order in which it was asked, and who failed it."""
        self.groups: dict[str, list[Truths]] = {}
        self.ensured = np.zeros(len(session), dtype=np.bool_)
        if settings.ensure_symbols:
            self.ensured = rows["symbol"].is_in(list(settings.ensure_symbols)).to_numpy()
        if settings.exclude_symbols:
            excluded = rows["symbol"].is_in(list(settings.exclude_symbols)).to_numpy()
            self.entries.append((EXCLUDED, ~excluded, excluded.astype(np.float64), 0.0))
            self.failed.append((EXCLUDED, excluded))
        self.inside = reached.copy()
        """Who is still in."""

    def ask(self, rule: Rule, value: Vector, right: Vector | float) -> None:
        """Ask a rule of every row."""
        threshold = right
        if rule.by_exchange:
            threshold = np.full(len(value), right)
            for exchange, least in rule.by_exchange.items():
                threshold[(self.rows["exchange"] == exchange).to_numpy()] = least
        passed = _COMPARE[rule.comparison](value, threshold) & ~np.isnan(value)
        self.entries.append((rule.name, passed, value, threshold))
        if rule.group:
            self.groups.setdefault(rule.group, []).append(passed)
        else:
            self.failed.append((rule.name, ~passed))

    def join_groups(self) -> None:
        """Ask of each group that one of its checks has passed."""
        for name, checks in self.groups.items():
            passing = np.sum(checks, axis=0).astype(np.float64)
            self.entries.append((name, passing >= 1, passing, 1.0))
            self.failed.append((name, passing < 1))

    def ensure(self) -> None:
        """Leave in who passed everything, and who is asked for by name."""
        for _, failed in self.failed:
            self.inside &= ~failed
        self.inside |= self.ensured

    def dedupe(self) -> None:
        """Leave of the pairs of one coin the first, an ensured one before the others."""
        base = self.rows["base_currency"].fill_null(self.rows["security_id"])
        codes = base.rank("dense").to_numpy().astype(np.int64)
        index = np.flatnonzero(self.inside)
        keys = (self.position, ~self.ensured, codes, self.session)
        ordered = index[np.lexsort(tuple(key[index] for key in keys))]
        count = int(codes.max(initial=0)) + 1
        place = np.zeros(len(codes), dtype=np.int64)
        place[ordered] = _places(self.session[ordered] * count + codes[ordered])
        self.cut(IDENTITY, place, 1)

    def places(self, key: npt.NDArray[Any]) -> Places:
        """Place of those still in by a key that ascends, within their session; 0 for others."""
        index = np.flatnonzero(self.inside)
        ordered = index[np.lexsort((key[index], self.session[index]))]
        place = np.zeros(len(key), dtype=np.int64)
        place[ordered] = _places(self.session[ordered])
        return place

    def cut(self, name: str, place: Places, most: int) -> None:
        """Ask of those still in whether their place is among the first."""
        within = place <= most
        self.tail.append((name, within, place.astype(np.float64), float(most)))
        self.asked += self.inside
        self.failed.append((name, self.inside & ~within))
        self.inside = self.inside & (within | self.ensured)

    def composite(self, columns: Sequence[Vector]) -> Vector:
        """Mean z-score of some columns among those still in."""
        total = np.zeros(len(self.session))
        count = int(self.session.max(initial=0)) + 1
        for column in columns:
            known = self.inside & ~np.isnan(column)
            groups, values = self.session[known], column[known]
            # Added up row by row: the same bytes wherever the range begins.
            size = np.maximum(np.bincount(groups, minlength=count), 1)
            mean = np.bincount(groups, values, minlength=count) / size
            apart = np.where(known, column - mean[self.session], np.nan)
            squares = np.bincount(groups, apart[known] ** 2, minlength=count)
            spread = np.sqrt(squares / np.maximum(size - 1, 1))
            own = spread[self.session]
            alike = own <= 1e-12 * np.maximum(np.abs(mean[self.session]), 1e-6)
            total = total + np.where(alike, 0.0 * apart, apart / np.where(alike, 1.0, own))
        return np.asarray(total / len(columns))

    def told(self, settings: ScannerSettings, value: Vector, rank: Places) -> pl.DataFrame:
        """Lay out what was found, rejects with it, in the columns of the contract."""
        found = self.inside.copy()
        counterpart = self._counterparts(found) if settings.attach_perp_counterparts else None
        kept = self.reached if counterpart is None else self.reached | counterpart
        reason = np.zeros(len(found), dtype=np.int64)
        for number, (_, failed) in reversed(list(enumerate(self.failed, start=1))):
            reason[failed] = number
        if counterpart is not None:
            found |= counterpart
        by_rules = found & (reason == 0)
        admitted = np.select([by_rules & self.reached, found & self.ensured, found], [1, 2, 3], 0)
        reason[found] = 0
        names = pl.Series([None, *(name for name, _ in self.failed)], dtype=pl.String)
        admissions = pl.Series([None, "rules", "ensured", "counterpart"], dtype=pl.String)
        columns: dict[str, Any] = {}
        audit = []
        for number, (name, passed, tested, bound) in enumerate([*self.entries, *self.tail]):
            columns[f"p{number}"], columns[f"v{number}"] = passed, tested
            threshold: float | pl.Expr = 0.0
            if isinstance(bound, np.ndarray):
                columns[f"t{number}"] = bound
                threshold = pl.col(f"t{number}").fill_nan(None)
            else:
                threshold = bound
            tested_as = pl.col(f"v{number}").fill_nan(None)
            audit.append(entry(name, pl.col(f"p{number}"), tested_as, threshold))
        asked = pl.Series(len(self.entries) + self.asked)
        schema = {name: column.dtype for name, column in SCAN.columns.items()}
        return (
            self.rows.select("session", "security_id", "symbol")
            .with_columns(
                pl.lit(settings.name).alias("scanner"),
                pl.Series("asked", asked),
                pl.Series("kept", kept),
                pl.Series("passed", found),
                admissions.gather(admitted).alias("admitted_by"),
                names.gather(reason).alias("reason"),
                pl.Series("rank", rank),
                pl.Series("sort_value", value).fill_nan(None),
                *(pl.Series(name, told) for name, told in columns.items()),
            )
            .filter("kept")
            .with_columns(
                # Arrays of structs are laid out in one go, lists of them row by row.
                passes=pl.concat_arr(audit).arr.to_list().list.head("asked"),
                rank=pl.when(pl.col("rank") > 0).then("rank"),
            )
            .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        )

    def _counterparts(self, found: Truths) -> Truths:
        """Perpetuals of the spot pairs that were found, on the same exchange."""
        key = ["session", "exchange", "base_currency"]
        told = self.rows.select(*key, "type").with_columns(found=pl.Series(found))
        spot = told.filter("found", pl.col("type") == "spot").select(key).unique()
        paired = told.select(key).join(
            spot.with_columns(paired=pl.lit(True)), on=key, how="left", maintain_order="left"
        )
        swap = (told["type"] == "swap").to_numpy()
        return np.asarray(paired["paired"].fill_null(False).to_numpy() & swap & ~found)


__all__ = [
    "BASE_LIMIT",
    "DUTY",
    "EXCLUDED",
    "IDENTITY",
    "LIMIT",
    "RESTING",
    "Screened",
    "duty_of",
    "entry",
    "first_failed",
    "scan",
    "scan_all",
    "scan_gates",
    "scan_windows",
]
