"""Law 2, one range is many days: the same bytes, verdicts and inputs for any cut of a range.

1. A segment of history is made again in single days, in chunks, and all at once over its own old
   rows; each must equal the range that filled the lake. What could not be made must agree as well.
2. A function that treats securities apart from each other gives each the same rows whichever others
   are there. That holds for every table with a ``security_id`` unless it says why not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl

from quant_platform.lakehouse.lake import Lake
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws.broken import LawBroken, require_same, require_told
from quant_platform_tests.laws.planted import rows_of
from quant_platform_tests.laws.workshop import Workshop

DAYS = "one range is many days"
APART = "securities apart"

_BOOK = "orders are paid from the same cash and weighed against the same equity"
TOGETHER: Mapping[str, str] = {
    "cross_section": "every security is held against the others of its session",
    "scan": "a scanner ranks what it finds and keeps the best",
    "scan_liquidity_audit": "a fund has its place among those that are looked over",
    "features_beta": "a beta is to the benchmark, whose returns must be there",
    "clusters": "a tree joins the candidates of a session by their correlations",
    "selection": "candidates are ranked against each other and the best are kept",
    "weights": "the weights of a profile share one whole",
    "holdings": "what is held is a share of the profile's value, which all holdings make",
    "meta/target_portfolio": "every security of every sleeve shares one whole",
    "risk_controls": "one exposure scales all targets, by the volatility of all of them",
    **dict.fromkeys(("orders_plan", "orders", "fills"), _BOOK),
}
"""Kinds of tables whose function looks across securities, each with the reason."""

Segment = tuple[date, date]


def check_range_equals_chunks(
    workshop: Workshop,
    segments: Sequence[Segment],
    *,
    chunks: Sequence[int],
    absent: Collection[tuple[str, date]] = (),
) -> None:
    """Make segments of history again in chunks of several sizes.

    Parameters
    ----------
    workshop
        A workshop whose lake was filled in one range.
    segments
        First and last day of each segment; the lake before it is taken as it is.
    chunks
        Days per chunk; 1 for single days.
    absent
        Partitions that were taken away when the lake was filled.
    """
    for first, last in segments:
        for chunk in chunks:
            again = workshop.compose("chunks", workshop.before(first), (first, last))
            again.make_all(first, last, chunk=chunk, absent=absent)
            how = f"in chunks of {chunk} from {first}"
            require_same(DAYS, workshop.lake, again.lake, workshop.days(first, last), how)


def check_beginning(
    workshop: Workshop, first: date, day: date, last: date, *, only: str | None = None
) -> None:
    """Make ranges that begin on different days: both tell the same of the days that they share.

    Cheaper than chunks, for nothing is stored: what the later range carries on is the lake's own.

    Parameters
    ----------
    workshop
        A workshop with a filled lake.
    first, last
        Days that bound the longer range.
    day
        Day within it on which the shorter one begins.
    only
        Table to judge, if not all of them.
    """
    for call in workshop.calls if only is None else [workshop.call(only)]:
        longer = workshop.sessions(call[0], first, last)
        shorter = [session for session in longer if session >= day]
        if shorter:
            expected, found = (workshop.computed(call, days) for days in (longer, shorter))
            require_told(DAYS, expected, found, shorter, f"in a range from {day}", only=only)


def check_made_over_again(workshop: Workshop, segments: Sequence[Segment]) -> None:
    """Make segments over their own old rows: nothing may change, inside or after them."""
    everything = {table: list(workshop.lake.entries(table)) for table in workshop.tables}
    for first, last in segments:
        again = workshop.compose("over", lambda _table, _session: workshop.lake, (first, last))
        again.make_all(first, last)
        how = f"over its own rows from {first} to {last}"
        require_same(DAYS, workshop.lake, again.lake, everything, how)


def check_securities_apart(workshop: Workshop, segment: Segment) -> None:
    """Make every table from subsets of the securities, and compare the rows that remain.

    Parameters
    ----------
    workshop
        A workshop with a filled lake.
    segment
        First and last day to make.
    """
    for stage in workshop.stages:
        kind = stage.contract.kind
        sessions = workshop.sessions(stage, *segment)
        if "security_id" not in stage.contract.columns or kind in TOGETHER or not sessions:
            continue
        whole = _stored(workshop.lake, stage, sessions)
        names = whole["security_id"].unique().sort()
        for subset in (names.gather_every(2), names[:1], names.gather_every(3, offset=1)):
            chosen = pl.col("security_id").is_in(subset.implode())
            wanted = stage.range_of(sessions)
            frames = {
                name: _of_securities(workshop.io.read(window, wanted), chosen)
                for name, window in stage.windows.items()
            }
            made = stage.function(frames, stage.settings, wanted)
            rows = rows_of(made, stage)
            found = rows.select(whole.columns).filter(chosen).sort(stage.contract.key)
            expected = whole.filter(chosen)
            if not found.equals(expected):
                raise LawBroken(
                    APART,
                    stage.table,
                    _first_unequal(expected, found, stage.contract.partition),
                    f"rows of {len(subset)} of {len(names)} securities differ when the others are "
                    f"absent; if '{kind}' must look across securities, say so in TOGETHER",
                )


def _of_securities(frame: pl.LazyFrame, chosen: pl.Expr) -> pl.LazyFrame:
    """Rows of some securities; all rows of a table that is not about securities."""
    return frame.filter(chosen) if "security_id" in frame.collect_schema() else frame


def _stored(lake: Lake, stage: Stage, sessions: Sequence[date]) -> pl.DataFrame:
    """Read the stored rows of sessions, by key."""
    return lake.scan(stage.table, sessions).collect().sort(stage.contract.key)


def _first_unequal(expected: pl.DataFrame, found: pl.DataFrame, partition: str) -> date | None:
    days = sorted({*expected[partition], *found[partition]})
    for day in days:
        of_day = pl.col(partition) == day
        if not expected.filter(of_day).equals(found.filter(of_day)):
            return date.fromisoformat(str(day))
    return None
