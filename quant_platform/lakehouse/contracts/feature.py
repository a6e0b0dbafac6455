"""Lines of a feature table's contract: one line is one feature, with unit, warm-up and null rule.

What a line declares is said nowhere else. The look-back of the table, the rows that a function is
given, the cells that are null and the sentence in the documentation all derive from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dataframely as dy


def feature(
    description: str,
    unit: str,
    warm_up: int,
    *,
    of: str = "sessions",
    window: int = 0,
    state: int = 0,
    null: str = "",
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> dy.Float32:
    """Column of a feature.

    Parameters
    ----------
    description
        What it is, without unit and null rule.
    unit
        Unit of the value.
    warm_up
        Sessions up to the output session, itself included, that a value is made of. It is null
        before there are as many, and where too many of them have no bar.
    of
        What the warm-up counts: ``sessions``, or ``bars`` taken in by a recursion.
    window
        Sessions that its function is given, where that is more than the warm-up.
    state
        Sessions of ``features_state`` that it reads, the output session included.
    null
        When else it is null.
    least, above, most
        Bounds of the value; one without any is signed.
    """
    bounded = any(bound is not None for bound in (least, above, most))
    lacking = " or where bars are lacking" if of == "sessions" else ""
    told = (
        f"{description}, {unit}{'' if bounded else ', signed'}; "
        f"null before {warm_up} {of}{lacking}{f', {null}' if null else ''}."
    )
    return dy.Float32(
        nullable=True,
        min=least,
        min_exclusive=above,
        max=most,
        description=told,
        metadata={
            "unit": unit,
            "warm_up": warm_up,
            "window": max(window, warm_up),
            "state": state,
        },
    )


def label(
    description: str, names: Sequence[str], warm_up: int, *, window: int = 0, null: str = ""
) -> dy.Enum:
    """Column of a feature that is a name; its function returns the place of the name.

    Parameters
    ----------
    description
        What it is, without null rule.
    names
        The names, in the order of their places.
    warm_up, window, null
        As of `feature`.
    """
    told = f"null before {warm_up} sessions or where bars are lacking"
    return dy.Enum(
        list(names),
        nullable=True,
        description=f"{description}; {told}{f', {null}' if null else ''}.",
        metadata={"unit": "name", "warm_up": warm_up, "window": max(window, warm_up)},
    )


def carried(
    description: str,
    unit: str,
    *,
    least: float | None = None,
    above: float | None = None,
) -> dy.Float64:
    """Column of a recursion's state, Float64: a rounded one would make a restart differ.

    Parameters
    ----------
    description
        What it is, without its unit.
    unit
        ``price`` is divided by the ratio of a split, ``shares`` are multiplied by it; what has
        another unit does not see splits.
    least, above
        Bounds of the value; one without any is signed.
    """
    bounded = least is not None or above is not None
    return dy.Float64(
        min=least,
        min_exclusive=above,
        description=f"State: {description}, {unit}{'' if bounded else ', signed'}.",
        metadata={"carried": unit},
    )


def told(column: dy.Column, name: str, default: Any = None) -> Any:
    """Something that a contract's line declares.

    Parameters
    ----------
    column
        The line.
    name
        ``unit``, ``warm_up``, ``window``, ``state`` or ``carried``.
    default
        What is returned where the line does not say it.
    """
    return (column.metadata or {}).get(name, default)


def null_before(column: dy.Column) -> int | None:
    """Sessions before which a feature is null; None for a column that never is."""
    return int(told(column, "warm_up")) if column.nullable and told(column, "warm_up") else None
