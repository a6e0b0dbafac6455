"""Stays in indices, from intervals that files tell and from snapshots of all members.

**Intervals.** A row tells when a stay began and perhaps when it ended. Who joined was not known to
leave: an end that is told beside the beginning, without saying when it was published, is a row of
its own, known on its day at the earliest.

**Snapshots.** A file lists all members of an index on a day. It holds from the later of that day
and the day on which it became known, until the next snapshot holds; nothing is interpolated
backwards, and a snapshot that arrives when a newer one holds already changes nothing. So

1. the snapshots of an index are put in the order of the days from which they hold;
2. a member's stay begins with a snapshot that has it and follows one that has not;
3. it ends on the day before the next snapshot without it holds, which is known with that one, or
   from the beginning where that one had been announced by then.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

Ends = Callable[[pl.Series], pl.Series]
_INDEX = "index"


def stays(told: pl.DataFrame, known_end: Ends) -> pl.DataFrame:
    """Turn the rows of all files of members into published versions of stays.

    Parameters
    ----------
    told
        Rows of the shape ``membership``; ``snapshot`` marks those of snapshots, whose day is
        ``valid_from``.
    known_end
        When the end of a stay is assumed to be known, given its last day.

    Returns
    -------
    polars.DataFrame
        The same columns without ``snapshot``.
    """
    rows = told.drop("snapshot")
    whole = told["snapshot"]
    return pl.concat(
        [_of_intervals(rows.filter(~whole), known_end), _of_snapshots(rows.filter(whole))]
    )


def _of_intervals(rows: pl.DataFrame, known_end: Ends) -> pl.DataFrame:
    observed = pl.col("known_at_basis").cast(pl.String) == "observed"
    begun = rows.with_columns(valid_to=pl.when(observed).then("valid_to"))
    ended = rows.filter(pl.col("valid_to").is_not_null(), ~observed)
    return pl.concat([begun, ended.with_columns(known_at=known_end(ended["valid_to"]))])


def _of_snapshots(rows: pl.DataFrame) -> pl.DataFrame:
    known = ["known_at", "known_at_basis"]
    taken = (
        rows.group_by(_INDEX, "valid_from")
        .agg(pl.col(known).sort_by("known_at").last())
        .with_columns(holds=pl.max_horizontal("valid_from", pl.col("known_at").dt.date()))
        .sort(_INDEX, "holds", "valid_from")
        # Of those that hold from one day on the newest does, and an older one never after it.
        .filter(
            (pl.col("holds") != pl.col("holds").shift(-1).over(_INDEX)).fill_null(value=True),
            pl.col("valid_from") == pl.col("valid_from").cum_max().over(_INDEX),
        )
        .with_columns(
            order=pl.int_range(pl.len()).over(_INDEX),
            ends=pl.col("holds").shift(-1).over(_INDEX).dt.offset_by("-1d"),
            end_known_at=pl.col("known_at").shift(-1).over(_INDEX),
            end_basis=pl.col("known_at_basis").shift(-1).over(_INDEX),
        )
    )
    member = [_INDEX, "symbol"]
    listed = (
        rows.select(*member, "valid_from")
        .unique()
        .join(taken, on=[_INDEX, "valid_from"])
        .sort(*member, "order")
    )
    joins = (pl.col("order") != pl.col("order").shift(1).over(member) + 1).fill_null(value=True)
    spells = (
        listed.with_columns(spell=joins.cum_sum().over(member))
        .group_by(*member, "spell", maintain_order=True)
        .agg(
            pl.col("holds", *known).first(),
            pl.col("ends", "end_known_at", "end_basis").last(),
        )
        .rename({"holds": "valid_from"})
    )
    # What follows may have been announced before what it follows.
    foreseen = pl.col("end_known_at") <= pl.col("known_at")
    begun = spells.with_columns(valid_to=pl.when(foreseen).then("ends"))
    ended = spells.filter(~foreseen).with_columns(
        valid_to="ends", known_at="end_known_at", known_at_basis="end_basis"
    )
    return pl.concat([begun.select(rows.columns), ended.select(rows.columns)])
