"""How often gates fire, as tables: what is warned of, and all of them."""

from __future__ import annotations

import polars as pl

from quant_platform.reports.board import Board
from quant_platform.reports.fire_rates import ENOUGH, LONG, SECTION
from quant_platform.reports.notation import written
from quant_platform.reports.table import Table

FIRE_RATES = "Fire rates"
"""Title of the section."""


def warning_table(board: Board, checks: pl.DataFrame | None = None) -> Table:
    """Write the gates that do nothing, or nothing else.

    Parameters
    ----------
    board
        The figures of a session.
    checks
        How often the rules of the tables failed, as ``fire_rates.check_rates`` says.
    """
    rows = [
        [item, board.note(SECTION, item, "warned")]
        for item in board.items(SECTION)
        if board.value(SECTION, item, "warned")
    ]
    if checks is not None:
        rows += [
            [f"{row['table']}: {row['gate']}", row["warning"]]
            for row in checks.filter("warned").iter_rows(named=True)
        ]
    return Table(
        "Gates that tell nothing apart",
        ("Gate", "Remark"),
        rows,
        f"None: of those that were asked for {LONG} sessions and in {ENOUGH} cases, each that is "
        "there to choose has fired, and none fires every time.",
        text=frozenset({0, 1}),
    )


def rate_tables(board: Board, checks: pl.DataFrame | None = None) -> list[Table]:
    """Write how often each gate fired; the same parameters as :func:`warning_table`."""
    gates = [
        [item, board.written(SECTION, item, "rate"), board.note(SECTION, item, "rate")]
        for item in board.items(SECTION)
        if board.value(SECTION, item, "rate") is not None
    ]
    tables = [
        Table(
            "All gates",
            ("Gate", "Fired", "Cases"),
            gates,
            "No gate was asked in the last year.",
            text=frozenset({0, 2}),
        )
    ]
    if checks is not None:
        rules = [
            [
                f"{row['table']}: {row['gate']}",
                written(row["fired"] / row["asked"], "fraction"),
                f"{row['fired']} of {row['asked']} cases since {row['since']}",
            ]
            for row in checks.iter_rows(named=True)
        ]
        tables.append(
            Table(
                "Rules of the tables",
                ("Rule", "Failed", "Sessions"),
                rules,
                "No rule was asked in the last year.",
                text=frozenset({0, 2}),
            )
        )
    return tables
