"""Columns that several contracts share.

Every published table tells whose row it is and since when it was known; every table whose rows are
judged holds what was asked of them.

They are functions, not a base schema, because a schema's own columns come after inherited ones and
the stored order of a table is part of its contract.
"""

from __future__ import annotations

import dataframely as dy


def knowledge_session(*, before_history: bool = False) -> dy.Date:
    """Partition column of a table from outside.

    Parameters
    ----------
    before_history
        Whether the first partition also takes what was known before history began.
    """
    first = "; the first of history holds all that was known before it" if before_history else ""
    return dy.Date(
        description=f"Partition: first session whose cutoff is at or after known_at{first}."
    )


def security_id() -> dy.String:
    """Key of the security that a published row is about."""
    return dy.String(
        primary_key=True, min_length=1, description="Stable key of the security for every join."
    )


def known_at(what: str = "version", remark: str = "") -> dy.Datetime:
    """When a row could be known, part of its key because a later version is another row.

    Parameters
    ----------
    what
        What became known, in the words of the table.
    remark
        What else is to be said of it.
    """
    return dy.Datetime(
        primary_key=True,
        time_zone="UTC",
        time_unit="us",
        description=f"When this {what} became publicly available, UTC{remark}.",
    )


def requested() -> dy.String:
    """Where the sleeve wants the values of a screener row from."""
    return dy.String(
        min_length=1, description="Where the values were to come from: features or tradingview."
    )


def actual() -> dy.String:
    """Where the values of a screener row are from."""
    return dy.String(
        min_length=1, description="Where the values are from: features or tradingview."
    )


def fallback() -> dy.String:
    """Why that is not where they were to come from."""
    return dy.String(
        nullable=True,
        description="Why they are not from where they were to come: no_snapshot, too_few (rows of "
        "it fit), not_in_it, other_close; null where they are.",
    )


def known_at_basis() -> dy.Enum:
    """Whether ``known_at`` was seen or is assumed."""
    return dy.Enum(
        ["observed", "assumed"],
        description="observed: seen when it was published; assumed: session close plus a lag.",
    )


def passes(every: str) -> dy.List:
    """Audit of a row that was judged: each question with its answer.

    Parameters
    ----------
    every
        What is asked, in the words of the table.
    """
    return dy.List(
        dy.Struct(
            {
                "rule": dy.String(),
                "passed": dy.Bool(),
                "value": dy.Float64(nullable=True),
                "threshold": dy.Float64(nullable=True),
            }
        ),
        description=f"{every}, with the value tested and the threshold; a null value never passes.",
    )
