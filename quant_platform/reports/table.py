"""A table of text, written as HTML or as Markdown; whatever comes from data is escaped here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


@dataclass(frozen=True)
class Table:
    """Cells that are already written.

    Parameters
    ----------
    title
        What the rows are.
    head
        Names of the columns.
    rows
        The cells, the most important row first.
    empty
        What is said where there is no row: why.
    text
        Places of the columns that hold words; the others hold numbers. The first always does.
    notes
        What single numbers lack.
    strong
        Places of the rows that stand out.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = ""
    text: frozenset[int] = frozenset({0})
    notes: Sequence[str] = ()
    strong: frozenset[int] = frozenset()

    def html(self, most: int = 0) -> str:
        """Write the table as HTML.

        Parameters
        ----------
        most
            Rows that are shown at once, the rest on demand; 0 for all.
        """
        if not self.rows:
            return heading(self.title) + f'<p class="empty">{escape(self.empty)}</p>'
        first = self.rows[:most] if most else self.rows
        rest = self.rows[len(first) :]
        parts = [heading(self.title), self._html_rows(first, 0)]
        if rest:
            parts.append(f"<details><summary>{len(rest)} more</summary>")
            parts.append(f"{self._html_rows(rest, len(first))}</details>")
        return "".join([*parts, notes_html(self.notes)])

    def _html_rows(self, rows: Sequence[Sequence[str]], start: int) -> str:
        head = "".join(
            f'<th scope="col"{self._kind(place)}>{escape(name)}</th>'
            for place, name in enumerate(self.head)
        )
        body = []
        for number, row in enumerate(rows, start):
            cells = "".join(
                f'<th scope="row">{escape(cell)}</th>'
                if place == 0
                else f"<td{self._kind(place)}>{escape(cell)}</td>"
                for place, cell in enumerate(row)
            )
            strong = ' class="strong"' if number in self.strong else ""
            body.append(f"<tr{strong}>{cells}</tr>")
        pair = ' class="pair"' if len(self.head) == 2 else ""
        return (
            f'<div class="scroll"><table{pair}><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>"
        )

    def _kind(self, place: int) -> str:
        return ' class="text"' if place in self.text else ""

    def markdown(self) -> str:
        """Write the table as Markdown of GitHub's kind."""
        parts = [f"**{markdown_text(self.title)}**\n"] if self.title else []
        if not self.rows:
            return "\n".join([*parts, f"{markdown_text(self.empty)}\n"])
        lines = [
            _markdown_row(self.head),
            _markdown_row(
                ["---" if place in self.text else "---:" for place in range(len(self.head))], False
            ),
            *(_markdown_row(row) for row in self.rows),
        ]
        parts.append("\n".join(lines) + "\n")
        if self.notes:
            parts.append("\n".join(f"- {markdown_text(note)}" for note in self.notes) + "\n")
        return "\n".join(parts)


def heading(title: str) -> str:
    """Write the title of a table; nothing for none."""
    return f"<h3>{escape(title)}</h3>" if title else ""


def notes_html(notes: Sequence[str]) -> str:
    """Write notes as a list; nothing for none."""
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>'


def markdown_text(text: str) -> str:
    """Escape what Markdown would take for marks; a line stays one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split(" "))).replace("\n", " ").replace("\r", " ")


def _markdown_row(cells: Sequence[str], plain: bool = True) -> str:
    return "| " + " | ".join(markdown_text(cell) if plain else cell for cell in cells) + " |"
