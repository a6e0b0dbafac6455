"""The quality report of a folder: what its files hold, and what is wrong with them.

The rows go through the very hygiene that the lake's tables go through later (`ingest`, `doubts`),
so that the report promises what will be kept. A finding is of one of three weights:

- *refused*: nothing of the folder is imported, because taking it would put wrong numbers into every
  table behind it: dates that are shifted by a day, a newest session that is half there, a delivery
  most of which is impossible, a file that has lost rows since it was imported, or that has in other
  units now what the lake has taken in;
- *warning*: rows that will be in quarantine, sessions that are late or thin;
- *note*: what is as it should be and worth knowing.

Of a folder that was imported before, the sessions of its new files are looked at, with those just
before them to compare with; the others have been.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.market.doubts import doubts_of_actions, doubts_of_bars
from quant_platform.market.hygiene import Ingested, ingest
from quant_platform.market.import_findings import (
    Finding,
    Weight,
    of_adjusted,
    of_gone,
    of_lost,
    of_rescaled,
    of_withdrawn,
)
from quant_platform.market.import_reference import of_actions_and_bars, of_reference, within
from quant_platform.market.import_shape import (
    of_classes,
    of_undescribed,
    of_unended,
    of_unheard,
    of_unread,
)
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.sources.files import Manifest, Prepared
from quant_platform.sources.files.convert import with_security

_WEIGHTS: tuple[Weight, ...] = ("refused", "warning", "note")

_REJECTED_SHARE = 0.25
"""Share of the rows beyond which a folder is no market data; as checks.rejected_share."""
_SHIFTED_SHARE = 0.1
_WHOLE_LATE, _HALF_LATE = 0.99, 0.4
_THIN_SHARE = 0.5
_TRAILING = 20
_COMPARED = timedelta(days=45)
"""Days before what is new that are looked at again: more than the trailing sessions."""
_SATURDAY = 6
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class ImportReport:
    """What a folder holds.

    Parameters
    ----------
    facts
        Rows, symbols, sessions and span, by name.
    findings
        By weight, then by count.
    """

    facts: Mapping[str, int | str]
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> list[Finding]:
        """Why the folder can not be imported; none if it can."""
        return [finding for finding in self.findings if finding.weight == "refused"]


def report_of(
    prepared: Prepared,
    calendar: SessionCalendar,
    hygiene: HygieneSettings,
    before: Manifest | None = None,
    *,
    asset_classes: Collection[str] = (),
    symbols: Collection[str] | None = None,
) -> ImportReport:
    """Look a converted folder over.

    Parameters
    ----------
    prepared
        The folder.
    calendar
        Calendar of its sessions.
    hygiene
        Names the actions that somebody confirmed.
    before
        The import before, if there was one.
    asset_classes
        What the sleeve may hold; empty where no sleeve is named.
    symbols
        Symbols whose bars are fetched; None for all.
    """
    begin = None if prepared.new_from is None else prepared.new_from - _COMPARED
    bars_looked_at, actions = prepared.bars, prepared.reference.kinds["actions"]
    facts: dict[str, int | str] = {"files of bars": len(prepared.manifest.bars)}
    if begin is not None:
        bars_looked_at = bars_looked_at.filter(pl.col("session") >= begin)
        actions = actions.filter(pl.col("session") >= begin)
        facts["looked at from"] = str(begin)
    delivered = bars_looked_at.collect()
    findings: list[Finding] = list(of_gone(prepared.manifest, before))
    findings += of_lost(prepared.lost)
    findings += of_rescaled(prepared.rescaled)
    findings += of_withdrawn(prepared.withdrawn)
    findings += of_unread(prepared.unread)
    findings += of_unended(prepared.manifest, prepared.bars)
    findings += of_classes(prepared.reference.who.securities, asset_classes)
    findings += of_undescribed(prepared.undescribed)
    findings += of_unheard(prepared.reference, prepared.bars)
    findings += of_reference(prepared.reference.kinds, calendar, begin)
    if delivered.height:
        bars = with_security(delivered, prepared.reference.who.ids)
        sorted_out = ingest(bars, BARS, calendar, doubt=doubts_of_bars(bars.head(0), calendar))
        facts |= _facts(delivered, sorted_out)
        findings += _disorder(prepared.manifest)
        findings += _of_bars(delivered, sorted_out, calendar, symbols)
        findings += _of_actions(actions, sorted_out, calendar, hygiene)
        findings += _of_securities(prepared)
        findings += of_adjusted(delivered)
    elif not any(rows.height for rows in prepared.reference.kinds.values()):
        findings.append(
            Finding(
                "refused",
                "no rows",
                0,
                "no file of the folder is where the layout or the mapping expects it, or none has "
                "more than a header",
            )
        )
    for kind, rows in prepared.reference.kinds.items():
        if rows.height:
            facts[f"rows of {kind}"] = rows.height
    order = {weight: place for place, weight in enumerate(_WEIGHTS)}
    findings.sort(key=lambda finding: (order[finding.weight], -finding.count))
    return ImportReport(facts, tuple(findings))


def _facts(delivered: pl.DataFrame, sorted_out: Ingested) -> dict[str, int | str]:
    rows = sorted_out.rows
    return {
        "rows of bars": delivered.height,
        "kept": rows.height,
        "rejected": sorted_out.rejected.height,
        "symbols": delivered["symbol"].n_unique(),
        "securities": rows["security_id"].n_unique(),
        "sessions": rows["session"].n_unique(),
        "first": str(rows["session"].min() or "no row was kept"),
        "last": str(rows["session"].max() or "no row was kept"),
        "known as observed": _percent(
            int((delivered["known_at_basis"] == "observed").sum()), delivered.height
        ),
    }


def _disorder(manifest: Manifest) -> Iterator[Finding]:
    count = sum(entry.out_of_order for entry in manifest.bars)
    if count:
        yield Finding("note", "rows out of order", count, "they are sorted; nothing is lost")


def _of_bars(
    delivered: pl.DataFrame,
    sorted_out: Ingested,
    calendar: SessionCalendar,
    symbols: Collection[str] | None,
) -> Iterator[Finding]:
    yield from _rejections(delivered, sorted_out)
    yield from _outside(delivered, calendar)
    rows = sorted_out.rows
    yield from _late(rows)
    # What lags behind may well end half there, as who is gone does; the rest comes as late data.
    if symbols is None:
        yield from _thin(rows)
    yield from _gaps(rows, calendar)


def _rejections(delivered: pl.DataFrame, sorted_out: Ingested) -> Iterator[Finding]:
    rejected = sorted_out.rejected
    if rejected.height > _REJECTED_SHARE * delivered.height:
        yield Finding(
            "refused",
            "most of it is impossible",
            rejected.height,
            f"{_percent(rejected.height, delivered.height)} of the rows break their contract, "
            f"mostly {rejected['rule'].mode().sort()[0]}",
        )
    for rule, count, example in (
        rejected.filter(pl.col("rule") != "session_in_calendar")
        .group_by("rule")
        .agg(pl.len(), pl.col("raw").first())
        .sort("len", descending=True)
        .iter_rows()
    ):
        yield Finding("warning", f"rows that break {rule}", count, f"quarantined, as {example}")


def _outside(delivered: pl.DataFrame, calendar: SessionCalendar) -> Iterator[Finding]:
    """Rows on days without a session; whole weekdays of them are another time zone's dates."""
    days = delivered.group_by("session").len().sort("session")
    strays = days.join(calendar.frame().select("session"), on="session", how="anti")
    if not strays.height:
        return
    count = int(strays["len"].sum())
    on_weekend = strays.filter(pl.col("session").dt.weekday() >= _SATURDAY)
    weekend_rows = int(on_weekend["len"].sum())
    if weekend_rows > _SHIFTED_SHARE * delivered.height:
        per_weekday = dict(
            days.group_by(pl.col("session").dt.weekday()).agg(pl.col("len").sum()).iter_rows()
        )
        absent = [_WEEKDAYS[n - 1] for n in range(1, _SATURDAY) if not per_weekday.get(n)]
        yield Finding(
            "refused",
            "dates are shifted by a day",
            weekend_rows,
            "rows lie on the weekend"
            + (f" and none on a {absent[0]}" if absent else "")
            + ": they were dated in another time zone",
        )
        return
    named = ", ".join(str(day) for day in strays["session"].head(3))
    yield Finding(
        "warning",
        "rows outside the calendar",
        count,
        f"quarantined; {strays.height} days without a session: {named}"
        + (" …" if strays.height > 3 else ""),
    )


def _late(rows: pl.DataFrame) -> Iterator[Finding]:
    late = rows.with_columns(late=pl.col("knowledge_session") > pl.col("session"))
    sessions = late.group_by("session").agg(pl.len(), pl.col("late").sum())
    whole = sessions.filter(pl.col("late") >= _WHOLE_LATE * pl.col("len"))
    half = sessions.filter(
        (pl.col("late") >= _HALF_LATE * pl.col("len"))
        & (pl.col("late") < _WHOLE_LATE * pl.col("len"))
    )
    others = int(sessions["late"].sum()) - int(whole["late"].sum()) - int(half["late"].sum())
    for found, what in (
        (whole, "sessions published late as a whole"),
        (half, "sessions partly published late"),
    ):
        if found.height:
            named = ", ".join(str(day) for day in found["session"].sort().head(4))
            yield Finding(
                "warning",
                what,
                found.height,
                f"{found['late'].sum()} rows, read from when they were known on: {named}"
                + (" …" if found.height > 4 else ""),
            )
    if others:
        yield Finding("note", "single late rows", others, "read from when they were known on")


def _thin(rows: pl.DataFrame) -> Iterator[Finding]:
    """Sessions with far fewer rows than those before; the newest one may be half a file."""
    sessions = (
        rows.group_by("session")
        .len()
        .sort("session")
        .with_columns(
            usual=pl.col("len").cast(pl.Float64).shift(1).rolling_median(_TRAILING, min_samples=5)
        )
    )
    thin = sessions.filter(pl.col("len") < _THIN_SHARE * pl.col("usual"))
    if not thin.height:
        return
    newest = sessions["session"].max()
    last = thin.filter(pl.col("session") == newest)
    if last.height:
        yield Finding(
            "refused",
            "the newest session is half there",
            int(last["len"][0]),
            f"{newest!s} has {last['len'][0]} rows where {last['usual'][0]:.0f} are usual: fetch "
            "the rest of it",
        )
    earlier = thin.filter(pl.col("session") != newest)
    if earlier.height:
        yield Finding(
            "warning",
            "thin sessions",
            earlier.height,
            f"fewer than half the usual rows; the first is {earlier['session'][0]}",
        )


def _gaps(rows: pl.DataFrame, calendar: SessionCalendar) -> Iterator[Finding]:
    """Sessions without a bar between the first and the last one of a security."""
    ordinals = calendar.frame().select("session", "ordinal")
    spans = (
        rows.join(ordinals, on="session")
        .group_by("security_id")
        .agg(
            first=pl.col("ordinal").min(),
            last=pl.col("ordinal").max(),
            there=pl.col("ordinal").n_unique(),
        )
        .with_columns(lacking=pl.col("last") - pl.col("first") + 1 - pl.col("there"))
        .filter(pl.col("lacking") > 0)
    )
    if spans.height:
        worst = spans.sort("lacking", descending=True).row(0, named=True)
        yield Finding(
            "note",
            "sessions without a bar",
            int(spans["lacking"].sum()),
            f"in {spans.height} securities; most in {worst['security_id']}: {worst['lacking']}",
        )


def _of_actions(
    actions: pl.DataFrame,
    sorted_out: Ingested,
    calendar: SessionCalendar,
    hygiene: HygieneSettings,
) -> Iterator[Finding]:
    doubt = doubts_of_actions(sorted_out.rows, calendar, hygiene.confirmed_actions)
    judged = ingest(within(actions, calendar), ACTIONS, calendar, doubt=doubt)
    for rule, count, example in (
        judged.rejected.group_by("rule")
        .agg(pl.len(), pl.col("raw").first())
        .sort("len", descending=True)
        .iter_rows()
    ):
        what = (
            "actions that contradict the price"
            if rule == "contradicts_price"
            else f"actions that break {rule}"
        )
        yield Finding("warning", what, count, f"quarantined, as {example}")
    kinds = judged.rows.group_by(pl.col("kind").cast(pl.String)).len().sort("len", descending=True)
    for kind, count in kinds.iter_rows():
        yield Finding("note", f"actions: {kind}", count, "kept")
    yield from of_actions_and_bars(judged.rows, sorted_out.rows, calendar)


def _of_securities(prepared: Prepared) -> Iterator[Finding]:
    who = prepared.reference.who
    meanings = {
        "renamed": "the security goes on under another symbol and keeps its id",
        "merged": "holders are paid what the merger told, else the last traded price",
        "delisted": "holders are paid what the delisting told, else the last traded price",
        "never_traded": "listed and gone without a bar",
    }
    counts = dict(who.departures.group_by("became").len().iter_rows())
    for became, meaning in meanings.items():
        if counts.get(became):
            yield Finding("note", f"departures: {became}", counts[became], meaning)
    if who.listed_anew:
        yield Finding(
            "warning",
            "symbols that were told gone and are there again",
            who.listed_anew,
            "holders were paid; each goes on as another security from the day of its end",
        )
    if who.named_again:
        yield Finding(
            "note",
            "departed symbols whose name came back",
            who.named_again,
            "a company of that name appeared under another symbol in time",
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
