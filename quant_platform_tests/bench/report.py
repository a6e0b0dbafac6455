"""What a benchmark returns, and how it is shown: a table for people, one JSON line for machines."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Bar:
    """A promise about one figure.

    Parameters
    ----------
    limit
        The value the figure is held against.
    kind
        Whether the figure must be at most or at least the limit, or equal to it.
    """

    limit: float | bool | str
    kind: Literal["at most", "at least", "is"]

    def holds(self, figure: Any) -> bool:
        """Tell whether a measured figure keeps the promise."""
        if self.kind == "at most":
            return bool(figure <= self.limit)
        if self.kind == "at least":
            return bool(figure >= self.limit)
        return bool(figure == self.limit)


@dataclass(frozen=True)
class BenchResult:
    """The outcome of one benchmark.

    Parameters
    ----------
    name
        Name by which it is called.
    columns, rows
        The table: measured medians and ratios, ready for reading.
    figures
        Everything measured, by name, for the JSON line.
    bars
        The promises, by the name of their figure.
    notes
        Sentences under the table: what was left out and why.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    bars: Mapping[str, Bar]
    notes: Sequence[str] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether every promise is kept."""
        return all(bar.holds(self.figures[name]) for name, bar in self.bars.items())

    def json_line(self) -> str:
        """Return the machine's line."""
        return json.dumps(
            {
                "name": self.name,
                "figures": dict(self.figures),
                "bars": {
                    name: {"kind": bar.kind, "limit": bar.limit, "holds": bar.holds(figure)}
                    for name, bar in self.bars.items()
                    for figure in (self.figures[name],)
                },
                "holds": self.holds,
            }
        )


def show(result: BenchResult, console: Console) -> None:
    """Print the table, the bars, the notes and, last, the JSON line."""
    table = Table(*result.columns, title=result.name)
    for row in result.rows:
        table.add_row(*row)
    console.print(table)
    bars = Table("figure", "measured", "bar", "holds")
    for name, bar in result.bars.items():
        figure = result.figures[name]
        measured = f"{figure:.3g}" if isinstance(figure, float) else str(figure)
        verdict = "yes" if bar.holds(figure) else "NO"
        bars.add_row(name, measured, f"{bar.kind} {bar.limit}", verdict)
    console.print(bars)
    for note in result.notes:
        console.print(note)
    console.file.write(result.json_line() + "\n")
    console.file.flush()


def python_loop_ms() -> float:
    """Time a fixed loop of pure Python: how fast this machine is at this moment.

    Milliseconds per partition are milliseconds of Python, so two results are comparable only
    beside this number. A desktop of 2024 takes about 60.
    """
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        sum(number * number for number in range(1_000_000))
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)
