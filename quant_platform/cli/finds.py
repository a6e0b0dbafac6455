"""What a scanner found on a session: read from its table, or computed from the stored screener.

1. Where the sleeve lists the scanner and its table holds the session, the stored rows are shown:
   they are what the chain decided by. Rows that other rules made than the file has now are told.
2. Else the engine that fills that table looks at the stored screener of the session, and the reason
   why nothing was stored is told.
3. The funnel counts, in the order in which the rules are asked: the securities of the screener
   (listed), those that got past names and the first cut (reached), and after each rule those that
   no rule so far has sent away. Symbols that the scanner ensures are never sent away; perpetuals
   that came with their pair are counted by themselves, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from polars import selectors as cs

from quant_platform.cli.held import Held
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.scanners.engine import scan, scan_gates
from quant_platform.scanners.judgement import BASE_LIMIT, LIMIT
from quant_platform.settings.scanner import ScannerSettings, rules_of

STORED, COMPUTED = "stored", "computed"


@dataclass(frozen=True)
class Find:
    """What one scanner found on one session.

    Parameters
    ----------
    scanner
        Its settings.
    sleeve, session
        Where and when it looked.
    basis
        ``stored`` or ``computed``.
    remark
        Why it was computed, or that other rules made what is stored; empty where all is as it
        should be.
    rows
        Rows of its scan, rejects included.
    screener
        Rows of the screener; None where it holds the session no more.
    """

    scanner: ScannerSettings
    sleeve: str
    session: date
    basis: str
    remark: str
    rows: pl.DataFrame
    screener: pl.DataFrame | None

    @property
    def found(self) -> pl.DataFrame:
        """What was found by rank, with the columns that the scanner's file wants shown."""
        key = ["session", "security_id"]
        found = self.rows.filter("passed").select(
            *key, "symbol", "rank", pl.col("admitted_by").cast(pl.String), "sort_value"
        )
        if self.screener is not None:
            shown = [name for name in self.scanner.columns if name != self.scanner.final_sort_by]
            found = found.join(self.screener.select(*key, *shown), on=key, how="left")
        return found.sort("rank", "security_id", nulls_last=True).with_columns(
            cs.float().fill_nan(None)
        )

    def funnel(self) -> dict[str, Any]:
        """Count who was left, from the screener to what was found."""
        attached = pl.col("admitted_by").cast(pl.String).eq_missing("counterpart")
        own = self.rows.filter(~attached)
        audit = (
            own.select(pl.col("passes").explode())
            .drop_nulls()
            .unnest("passes")
            .group_by("rule", maintain_order=True)
            .agg(asked=pl.len(), passed=pl.col("passed").sum())
        )
        failed = dict(own.drop_nulls("reason")["reason"].value_counts().iter_rows())
        # A check of a group sends nobody away by itself.
        checks = {rule.name for rule in rules_of(self.scanner) if rule.group}
        left, steps = own.height, []
        for step in audit.iter_rows(named=True):
            if step["rule"] not in checks:
                left -= failed.get(step["rule"], 0)
                steps.append({**step, "left": left})
        return {
            "listed": None if self.screener is None else self.screener.height,
            "reached": own.height,
            "rules": steps,
            "counterparts": self.rows.height - own.height,
            "found": int(self.rows["passed"].sum()),
        }


def find(held: Held, scanner: ScannerSettings, session: date, *, listed: bool) -> Find:
    """Return what a scanner found on a session of a sleeve.

    Parameters
    ----------
    held
        Tables of the sleeve.
    scanner
        The scanner.
    session
        A session of the sleeve's calendar.
    listed
        Whether the sleeve lists the scanner, so that its finds are stored.

    Raises
    ------
    LakeError
        When neither its scan nor the screener holds the session.
    """
    kind = f"scan_{scanner.name}"
    screener = held.rows("screener", session)
    stored = held.rows(kind, session) if listed else None
    if stored is not None:
        remark = _other_rules(stored, scanner)
        return Find(scanner, held.sleeve, session, STORED, remark, stored, screener)
    if screener is None:
        raise held.absent("screener", session)
    remark = f"{held.sleeve} does not list it"
    if listed:
        remark = f"'{held.table(kind)}' of {session}: {held.state(kind, session)}"
    calendar = held.lake.calendar(held.table("screener"))
    wanted = SessionRange(calendar, (session,), session)
    rows = scan({"screener": screener.lazy()}, scanner, wanted)
    return Find(scanner, held.sleeve, session, COMPUTED, remark, rows, screener)


def _other_rules(rows: pl.DataFrame, scanner: ScannerSettings) -> str:
    """Say so where stored rows were judged by other rules or thresholds than the file has now."""
    audit = rows.select(pl.col("passes").explode()).drop_nulls().unnest("passes")
    asked = dict(audit.select("rule", "threshold").iter_rows())
    rules = rules_of(scanner)
    now = {gate.name for gate in scan_gates(scanner)} | {rule.name for rule in rules}
    fixed = {
        rule.name: rule.right
        for rule in rules
        if not isinstance(rule.right, str) and not rule.by_exchange
    }
    bounds = {**fixed, LIMIT: scanner.limit, BASE_LIMIT: scanner.base_universe_limit}
    moved = {name for name, bound in asked.items() if name in bounds and bound != bounds[name]}
    # Not the limits: they are asked of those alone that are left.
    differs = {*(asked.keys() - now), *(fixed.keys() - asked.keys()), *moved}
    if rows.is_empty() or not differs:
        return ""
    return f"by other rules than its file has now: {', '.join(sorted(differs))}"
