"""The path of one security through a sleeve's session, from the universe to its weights.

1. *universe*: whether every screen passed, else the first that did not.
2. *screener*: whether there was a row to look at.
3. *scan_<name>* of each scanner that the sleeve lists: found and in which place; else the first
   rule that failed with its value and threshold; else why it did not reach the rules.
4. *candidates*: who found it.
5. *clusters* and *selection* of the decision in force: the rebalance session that the session's
   selection names. Another session than the asked one is named with what it says.
6. *weights*: what each profile wants to hold.

A table that holds nothing of the session says whether it was blocked or never made; that is no
decision, and ``state`` is then null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from quant_platform.cli.held import Held
from quant_platform.settings.scanner import ScannerSettings, names_asked
from quant_platform.settings.screener_fields import STABLE_BASES

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """What one table says of a security.

    Parameters
    ----------
    stage
        Kind of the table, such as ``scan_us_trend``.
    session
        Session that is told about: that of the decision for what a rebalance session decided.
    passed
        Whether it went on from here; None where nobody decided.
    told
        Why, in a few words.
    detail
        Row of the table; empty where there is none.
    """

    stage: str
    session: date
    passed: bool | None
    told: str
    detail: Row = field(default_factory=dict)


def explain(
    held: Held, scanners: Sequence[ScannerSettings], security: str, session: date
) -> list[Step]:
    """Follow a security through a session of a sleeve.

    Parameters
    ----------
    held
        Tables of the sleeve.
    scanners
        The scanners that the sleeve lists.
    security
        Its ``security_id``.
    session
        A session of the sleeve's calendar.

    Returns
    -------
    list of Step
        In the order of the chain.
    """
    of = _Security(held, security)
    steps = [of.step("universe", session, _universe, "it is not listed")]
    screener = of.row("screener", session)
    absent = "no row: outside of the universe, or without a bar"
    steps.append(of.step("screener", session, _screener, absent))
    for scanner in scanners:
        absent = unreached(scanner, screener)
        steps.append(of.step(f"scan_{scanner.name}", session, _scan, absent))
    steps.append(of.step("candidates", session, _candidate, "no scanner found it"))
    decided = _decided_on(held, session)
    if decided is None:
        steps.append(_none_decided(held, "clusters", session))
        steps.append(_none_decided(held, "selection", session))
    else:
        unknown = f"it was no candidate of the decision of {decided}"
        steps.append(of.step("clusters", decided, of.cluster, unknown))
        steps.append(of.step("selection", decided, _selection, unknown))
    return [*steps, of.weights(session)]


@dataclass(frozen=True)
class _Security:
    """One security in the tables of a sleeve."""

    held: Held
    security: str

    def row(self, kind: str, session: date) -> Row | None:
        """Row of the security; None where there is none."""
        rows = self.held.rows(kind, session)
        own = [] if rows is None else self._own(rows).to_dicts()
        return own[0] if own else None

    def _own(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(pl.col("security_id") == self.security)

    def step(self, kind: str, session: date, tell: Any, absent: str) -> Step:
        """Tell what a table says; ``tell`` turns a row into whether it passed, and why."""
        state = self.held.state(kind, session)
        if state != "held":
            return Step(kind, session, None, f"{state} on {session}")
        row = self.row(kind, session)
        if row is None:
            return Step(kind, session, False, absent)
        passed, told = tell(row)
        return Step(kind, session, passed, told, row)

    def cluster(self, row: Row) -> tuple[bool, str]:
        """Tell which bet it is part of."""
        rows = self.held.rows("clusters", row["session"])
        assert rows is not None
        symbols = dict(rows.select("security_id", "symbol").iter_rows())
        told = f"cluster {row['cluster']}, members: {row['size']}"
        if row["cohesion"] is not None:
            told += f", cohesion {number(row['cohesion'])}"
        if row["twin_of"] is not None:
            told += f", the same thing as {symbols.get(row['twin_of'], row['twin_of'])}"
        if row["follows"]:
            leader = symbols.get(row["leader"], row["leader"])
            told += f", follows {leader} by {row['leader_lag']} sessions"
        return True, told

    def weights(self, session: date) -> Step:
        """Tell what the profiles want of it."""
        state = self.held.state("weights", session)
        rows = self.held.rows("weights", session)
        if rows is None:
            return Step("weights", session, None, f"{state} on {session}")
        own = self._own(rows).sort("profile").to_dicts()
        wanted = [row for row in own if row["weight"] > 0]
        told = "; ".join(_weight(row) for row in wanted) or "no profile wants it"
        return Step("weights", session, bool(wanted), told, {"profiles": own} if own else {})


def _decided_on(held: Held, session: date) -> date | None:
    """Rebalance session whose decision is in force, as the session's selection names it."""
    rows = held.rows("selection", session)
    found = None if rows is None else rows["decided_on"].max()
    return found if isinstance(found, date) else None


def _none_decided(held: Held, kind: str, session: date) -> Step:
    state = held.state("selection", session)
    if state != "held":
        return Step(kind, session, None, f"selection is {state} on {session}")
    return Step(kind, session, None, f"no decision names a security on {session}")


# -- what a row says -------------------------------------------------------------------------------


def _universe(row: Row) -> tuple[bool, str]:
    if row["included"]:
        return True, "every screen passed"
    return False, _failed(row["passes"], row["reason"], "passed", failing=False)


def _screener(row: Row) -> tuple[bool, str]:
    told = f"close {number(row['close'])}, values of {row['actual']}"
    if row["fallback"]:
        told += f" in the place of {row['requested']}: {row['fallback']}"
    return True, told


def _scan(row: Row) -> tuple[bool, str]:
    missed = [entry["rule"] for entry in row["passes"] if not entry["passed"]]
    if not row["passed"]:
        told = _failed(row["passes"], row["reason"], "passed", failing=False)
        more = [rule for rule in missed if rule != row["reason"]]
        return False, told + (f"; also failed: {', '.join(more)}" if more else "")
    told = f"found by {row['admitted_by']}"
    if row["rank"] is not None:
        told += f", rank {row['rank']}"
    if row["sort_value"] is not None:
        told += f", sort value {number(row['sort_value'])}"
    if row["admitted_by"] != "rules" and missed:
        told += f", though it failed {', '.join(missed)}"
    return True, told


def unreached(scanner: ScannerSettings, row: Row | None) -> str:
    """Say why a security did not reach a scanner's rules, from its row of the screener."""
    if row is None:
        return "not looked at: it has no row in the screener"
    reasons = [*_outside(scanner, row)]
    if reasons:
        return f"not looked at: {reasons[0]}"
    return (
        f"behind the first cut: not among the first {scanner.prefilter_limit} by {scanner.sort_by}"
    )


def _outside(scanner: ScannerSettings, row: Row) -> Iterator[str]:
    if row["asset_class"] != scanner.asset_class:
        yield f"it is {row['asset_class']}, and the scanner looks at {scanner.asset_class}"
    for rule in names_asked(scanner):
        if row[rule.left] is None or (row[rule.left] in rule.names) != rule.among:
            yield f"{rule.left} is {row[rule.left]}"
    if scanner.symbols and row["symbol"] not in scanner.symbols:
        yield "it is not among the scanner's symbols"
    if scanner.exclude_stable_bases and (row["base_currency"] or "") in {*STABLE_BASES, ""}:
        yield f"its base is {row['base_currency']}"


def _candidate(row: Row) -> tuple[bool, str]:
    told = f"found by {', '.join(row['scanners'])}"
    if row["composite_rank"] is not None:
        told += f", composite rank {number(row['composite_rank'])}"
    return True, told


def _selection(row: Row) -> tuple[bool, str]:
    told = [row["direction"] or "no direction"]
    told.append("no score" if row["score"] is None else f"score {number(row['score'])}")
    if row["rank"] is not None:
        told.append(f"rank {row['rank']}")
    fired = [veto["rule"] for veto in row["vetoes"] if veto["fired"]]
    if row["selected"]:
        past = "" if row["passed"] else f" past {', '.join(fired)}"
        told.append(f"admitted by {row['admitted']}{past}")
        return True, ", ".join(told)
    told.append(f"not selected: {_failed(row['vetoes'], row['reason'], 'fired', failing=True)}")
    more = [rule for rule in fired if rule != row["reason"]]
    return False, ", ".join(told) + (f"; also fired: {', '.join(more)}" if more else "")


def _weight(row: Row) -> str:
    told = f"{row['profile']} {number(row['weight'])}"
    return told if row["actual"] == row["requested"] else f"{told} (by {row['actual']})"


def _failed(audit: Sequence[Row], reason: str | None, verdict: str, *, failing: bool) -> str:
    """Write the entry of an audit that decided, with its value and threshold."""
    for entry in audit:
        if entry["rule"] == reason and entry[verdict] == failing:
            value = "no value" if entry["value"] is None else number(entry["value"])
            if entry["threshold"] is None:
                return f"{reason}: {value}"
            return f"{reason}: {value} against {number(entry['threshold'])}"
    return str(reason)


def number(value: float) -> str:
    """Write a number with the digits that a person reads."""
    return f"{value:.6g}"
