"""What a scanner asked of its rows: verdicts, values and thresholds, and who is still in.

1. Rules are asked of every row, checks of a group join, ensured symbols come back.
2. The tail (identity, limits) is asked of those alone that are still in.
3. The verdicts are laid out as the audit ``passes`` of the contract, rejects with their reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.scanners.audit import entry
from quant_platform.settings.scan_rules import Comparison, Rule
from quant_platform.settings.scanner import ScannerSettings

EXCLUDED = "exclude_symbols"
"""Rule of the audit: the value is 1 for a symbol that the scanner excludes."""
IDENTITY = "identity"
"""Rule of the audit: the value is the place among the pairs of one coin that passed."""
BASE_LIMIT = "base_universe_limit"
"""Rule of the audit: the value is the place by the first cut among what passed so far."""
LIMIT = "limit"
"""Rule of the audit: the value is the rank among those that passed every other rule."""

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


def places_within(groups: Places) -> Places:
    """Place of each row within its run of equal groups, from 1."""
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    number = np.arange(len(groups))
    begins = np.r_[True, groups[1:] != groups[:-1]]
    return np.asarray(number - np.maximum.accumulate(np.where(begins, number, 0)) + 1)


class Judged:
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
        place[ordered] = places_within(self.session[ordered] * count + codes[ordered])
        self.cut(IDENTITY, place, 1)

    def places(self, key: npt.NDArray[Any]) -> Places:
        """Place of those still in by a key that ascends, within their session; 0 for others."""
        index = np.flatnonzero(self.inside)
        ordered = index[np.lexsort((key[index], self.session[index]))]
        place = np.zeros(len(key), dtype=np.int64)
        place[ordered] = places_within(self.session[ordered])
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
