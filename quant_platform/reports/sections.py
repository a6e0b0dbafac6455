"""The sections that page and Markdown share: tables of the figures of one session, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from quant_platform.reports.board import Board
from quant_platform.reports.figures import APPLIED, ASKED
from quant_platform.reports.notation import LABELS, label
from quant_platform.reports.rates import FIRE_RATES, warning_table
from quant_platform.reports.table import Table

STREAM_FIGURES = (
    "return_1",
    "return_21",
    "return_252",
    "return_all",
    "volatility",
    "drawdown",
)
ACCOUNT_FIGURES = (
    "equity",
    "profit",
    "earned",
    "costs",
    "cash",
    "positions",
    "return_1",
    "return_21",
    "return_252",
    "drawdown",
)


def figure_tables(board: Board, checks: pl.DataFrame | None = None) -> dict[str, list[Table]]:
    """Write all sections as tables, by title, in the order in which they are read.

    Parameters
    ----------
    board
        The figures.
    checks
        How often the rules of the tables failed, as ``fire_rates.check_rates`` says.
    """
    return {
        "Account": [_account(board)],
        "Profiles": [_profiles(board)],
        "Meta weights": _meta_weights(board),
        "Targets of tonight": [_listed(board, "targets"), _top_targets(board)],
        "Orders": [_matrix(board, "orders", ("buy", "sell"))],
        "Fills": [_matrix(board, "fills", ("buy", "sell", "all"))],
        "Slippage": [_matrix(board, "slippage", ("buy", "sell", "all"))],
        "Gates": [_gates(board)],
        FIRE_RATES: [warning_table(board, checks)],
        "Regime": [_regime(board)],
    }


def _account(board: Board) -> Table:
    rows = [
        [label(figure), board.written("equity", "account", figure)]
        for figure in ACCOUNT_FIGURES
        if ("equity", "account", figure) in board.rows
    ]
    whole = board.value("equity", "account", "equity") is not None
    notes = _notes(board, "equity", ["account"], ACCOUNT_FIGURES)
    return Table(
        "",
        ("Figure", "Value"),
        rows if whole else [],
        sentence(board.lacking("equity")),
        notes=notes,
    )


def _profiles(board: Board) -> Table:
    """One row for each stream: metas first, in each branch the best of the year first."""
    items = board.items("profiles")
    metas = {item.partition("/")[0] for item in board.items("meta_weights")}

    def rank(item: str) -> tuple[bool, str, float, str]:
        branch = item.partition("/")[0]
        whole = board.value("profiles", item, "return_all")
        return branch not in metas, branch, -(whole if whole is not None else -2.0), item

    items.sort(key=rank)
    rows = [
        [item, *(board.written("profiles", item, figure) for figure in STREAM_FIGURES)]
        for item in items
    ]
    return Table(
        "",
        ("Net return", *(label(figure) for figure in STREAM_FIGURES)),
        rows,
        "No sleeve and no meta is configured.",
        notes=_notes(board, "profiles", items, STREAM_FIGURES),
        strong=frozenset(n for n, item in enumerate(items) if item.partition("/")[0] in metas),
    )


def _meta_weights(board: Board) -> list[Table]:
    """One table for each meta: profiles by sleeves."""
    items = board.items("meta_weights")
    tables = []
    for meta in dict.fromkeys(item.partition("/")[0] for item in items):
        own = [item for item in items if item.partition("/")[0] == meta]
        sleeves = sorted({name for item in own for name in board.figures("meta_weights", item)})
        known = [name for name in sleeves if name != "weight"]
        rows = [
            [item.partition("/")[2], *(board.written("meta_weights", item, name) for name in known)]
            for item in own
            if known and "weight" not in board.figures("meta_weights", item)
        ]
        why = sentence(board.note("meta_weights", own[0], "weight"))
        notes = _notes(board, "meta_weights", own, sleeves)
        tables.append(
            Table(meta if "/" in own[0] else "", ("Profile", *known), rows, why, notes=notes)
        )
    return tables


def _listed(board: Board, section: str) -> Table:
    """Write a section of one item as a list of its figures."""
    item = board.items(section)[0]
    figures = _order(board.figures(section, item))
    rows = [[label(name), board.written(section, item, name)] for name in figures]
    whole = board.value(section, item, figures[0]) is not None
    notes = _notes(board, section, [item], figures)
    return Table(
        item if whole else "",
        ("Figure", "Value"),
        rows if whole else [],
        sentence(board.lacking(section)),
        notes=notes,
    )


def _top_targets(board: Board) -> Table:
    """Write the largest targets, largest first."""
    held = [
        item for item in board.items("top_targets") if board.value("top_targets", item, "requested")
    ]
    held.sort(key=lambda item: (-(board.value("top_targets", item, "requested") or 0.0), item))
    rows = [
        [
            board.note("top_targets", item, "requested"),
            item,
            board.written("top_targets", item, "requested"),
            board.written("top_targets", item, "weight"),
            board.note("top_targets", item, "weight"),
        ]
        for item in held
    ]
    return Table(
        "Largest targets",
        ("Symbol", "Security", label("requested"), label("weight"), "Remark"),
        rows,
        sentence(board.lacking("top_targets")),
        text=frozenset({0, 1, 4}),
    )


def _matrix(board: Board, section: str, items: Sequence[str]) -> Table:
    """Write a section as items by figures."""
    there = [item for item in items if item in board.items(section)]
    figures = _order(dict.fromkeys(name for item in there for name in board.figures(section, item)))
    rows = [
        [item, *(board.written(section, item, figure) for figure in figures)]
        for item in there
        if len(board.figures(section, item)) > 1
    ]
    return Table(
        "",
        ("", *(label(figure) for figure in figures)),
        rows,
        sentence(board.lacking(section)),
        notes=_notes(board, section, there, figures) if rows else (),
        strong=frozenset(n for n, item in enumerate(there) if item == "all"),
    )


def _gates(board: Board) -> Table:
    rows = []
    for item in board.items("gates"):
        for figure in _order(board.figures("gates", item)):
            note = board.note("gates", item, figure)
            rows.append([item, label(figure), board.written("gates", item, figure), note])
    rows.sort(key=lambda row: row[0] != "execution")
    whole = board.value("gates", "execution", "ready") is not None
    return Table(
        "",
        ("Gate", "Figure", "Value", "Remark"),
        rows if whole else [],
        sentence(board.note("gates", "execution", "ready")),
        text=frozenset({0, 1, 3}),
    )


def _regime(board: Board) -> Table:
    """One row for each figure, one column for each benchmark: the market's first."""
    throttles = {
        item: throttle
        for throttle in (APPLIED, ASKED)
        for item in board.items("regime")
        if board.value("regime", item, throttle) is not None
    }
    figures = _order(
        dict.fromkeys(name for item in throttles for name in board.figures("regime", item))
    )
    rows = [["Label in force", *(board.note("regime", *pair) for pair in throttles.items())]] + [
        [label(figure), *(board.written("regime", item, figure) for item in throttles)]
        for figure in figures
    ]
    silent = [
        note
        for item in board.items("regime")
        if (note := board.note("regime", item, APPLIED) or board.note("regime", item, ASKED))
    ]
    rest = [figure for figure in figures if figure not in (APPLIED, ASKED)]
    return Table(
        "",
        ("Figure", *throttles),
        rows if throttles else [],
        " ".join(map(sentence, silent)),
        notes=_notes(board, "regime", list(throttles), rest),
    )


def sentence(text: str) -> str:
    """Make a sentence of a note."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _order(figures: Iterable[str]) -> list[str]:
    """Figures in the order of their labels' list, others after them."""
    known = {figure: place for place, figure in enumerate(LABELS)}
    return sorted(figures, key=lambda figure: (known.get(figure, len(known)), figure))


def _notes(board: Board, section: str, items: Sequence[str], figures: Sequence[str]) -> list[str]:
    """Tell each note once, with the figures and the items that it is about."""
    about: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for item in items:
        for figure in figures:
            note = board.note(section, item, figure)
            if note:
                named = about.setdefault(note, ({}, {}))
                named[0][label(figure)] = None
                named[1][item] = None
    told = []
    for note, (names, owners) in about.items():
        whose = "" if len(owners) == len(items) else f" of {', '.join(owners)}"
        told.append(f"{', '.join(names)}{whose}: {note}")
    return told
