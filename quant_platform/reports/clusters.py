"""The clusters of a rebalance session: tree, correlations, and what selection made of them.

1. The candidates stand in the order of the tree's leaves. On the left the tree: two branches join
   at their distance. The stored heights of neighbours are the whole tree: the lowest joint that is
   left always joins the two branches beside it.
2. In the middle the correlations, a square for each pair: orange above zero, blue below, the
   stronger the deeper, nothing where two have no correlation. Each cluster is framed.
3. On the right the symbols, with a dot for who was selected and the reason of who was not. Where
   there are too many to be read, names are left out.
4. Below, the clusters in numbers, those first whose members do not move together; and who follows
   whom.

The squares are one picture of pixels inside the drawing: a square as an element of its own would
make megabytes of three hundred candidates.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import date
from html import escape

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.reports.chart import data_uri
from quant_platform.reports.notation import NOTHING, long_date
from quant_platform.reports.style import CHART_STYLE, STANDALONE_STYLE
from quant_platform.reports.table import Table

TREE, SIDE, NAMES, GAP = 120, 480, 190, 8
"""Widths of the tree, of the correlations and of the names, and what is between them."""
TOP, BOTTOM = 44, 8
LARGEST, READABLE = 22, 9
"""Largest side of a square, and the smallest beside which a name can be read."""
BELOW, ABOVE = (0, 102, 166), (213, 94, 0)
"""Colours of correlations, those of Okabe and Ito."""

Heights = Sequence[float]


def clusters_markdown(clusters: pl.DataFrame, selection: pl.DataFrame | None = None) -> str:
    """Describe the newest session of clusters; empty text where there is none.

    Parameters
    ----------
    clusters
        Rows of ``clusters``.
    selection
        Rows of ``selection``: who of these candidates was selected, and why others were not.
    """
    if not clusters.height:
        return ""
    session: date = max(clusters["session"].unique())
    rows = clusters.filter(pl.col("session") == session).sort("position")
    title = f"Clusters, {long_date(session)}"
    decided = None
    if selection is not None:
        decided = selection.filter(pl.col("session") == session)
    counts = f"{rows.height} candidates in {rows['cluster'].n_unique()} clusters"
    return "\n".join(
        [
            f"**{title}**: {counts}.\n",
            f"![{title}]({data_uri(cluster_chart(title, rows, decided))})\n",
            _numbers(rows).markdown(),
            *([_followers(rows).markdown()] if rows["follows"].any() else []),
        ]
    )


def cluster_chart(title: str, rows: pl.DataFrame, selection: pl.DataFrame | None = None) -> str:
    """Draw tree, correlations and names, as SVG that brings its style.

    Parameters
    ----------
    title
        What is drawn; also read aloud by screen readers.
    rows
        Rows of one session of ``clusters``, by position.
    selection
        Rows of ``selection`` of that session, if winners and vetoes are to be shown.
    """
    cell = max(min(SIDE // rows.height, LARGEST), 1)
    side = cell * rows.height
    left, right = TREE + GAP, TREE + GAP + side
    width = max(right + GAP + NAMES, 560)
    height = TOP + side + BOTTOM
    matrix = np.array(rows["correlations"].to_list(), dtype=np.float64)
    joined = rows["joined_at"].to_list()[1:]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>',
        f"<style>{STANDALONE_STYLE}{CHART_STYLE}</style>",
        f'<rect class="back" width="{width}" height="{height}"/>',
        f'<text class="title" x="0" y="16">{escape(title)}</text>',
        f'<text x="0" y="36">distance up to {max(joined, default=0.0):.2f}</text>',
        f'<text x="{left}" y="36"><tspan style="fill:rgb{BELOW}">■</tspan> below zero '
        f'<tspan style="fill:rgb{ABOVE}">■</tspan> above</text>',
        f'<path class="line c0" style="stroke-width:1" d="{_tree(joined, cell)}"/>',
        f'<image x="{left}" y="{TOP}" width="{side}" height="{side}" '
        f'href="{_picture(matrix, cell)}"/>',
        *_frames(rows, cell, left),
    ]
    if cell >= READABLE:
        parts += _names(rows, selection, cell, right + GAP)
    return "".join([*parts, "</svg>"])


def _tree(joined: Heights, cell: int) -> str:
    """Path of the tree's branches: leaves on the right, the last joint on the left."""
    highest = max(joined, default=0.0) or 1.0

    def across(height: float) -> float:
        return round(TREE * (1 - 0.96 * height / highest), 1)

    count = len(joined) + 1
    # Of each branch its first and last leaf know where it stands and how high it joined.
    middle = [TOP + cell * (place + 0.5) for place in range(count)]
    height, first, last = [0.0] * count, list(range(count)), list(range(count))
    path = []
    for place in sorted(range(count - 1), key=lambda gap: joined[gap]):
        begin, end, own = first[place], last[place + 1], joined[place]
        upper, lower = middle[place], middle[place + 1]
        path.append(
            f"M{across(height[place])} {upper:g}H{across(own)}V{lower:g}"
            f"H{across(height[place + 1])}"
        )
        first[end], last[begin] = begin, end
        for leaf in (begin, end):
            middle[leaf], height[leaf] = round((upper + lower) / 2, 1), own
    return "".join(path)


def _picture(correlations: npt.NDArray[np.float64], cell: int) -> str:
    """Return the correlations as a picture of pixels, by its address."""
    known = np.nan_to_num(correlations)
    pixels = np.empty((*known.shape, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(known[..., None] < 0, BELOW, ABOVE)
    pixels[..., 3] = np.round(np.abs(np.clip(known, -1, 1)) * 255)
    large = np.repeat(np.repeat(pixels, cell, axis=0), cell, axis=1)
    height, width = large.shape[:2]
    # Each line of a PNG begins with its filter: none.
    lines = np.concatenate(
        [np.zeros((height, 1), dtype=np.uint8), large.reshape(height, width * 4)], axis=1
    )
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _frames(rows: pl.DataFrame, cell: int, left: int) -> list[str]:
    """Frame of each cluster, with its number and cohesion."""
    frames = []
    for cluster, own in rows.group_by("cluster", maintain_order=True):
        begin, side = (own["position"][0] - 1) * cell, own.height * cell
        told = f"cluster {cluster[0]}: {own.height}, cohesion {_number(own['cohesion'][0])}"
        frames.append(
            f'<rect x="{left + begin}" y="{TOP + begin}" width="{side}" height="{side}" '
            f'style="fill:none;stroke:var(--text);stroke-width:1.2"><title>{told}</title></rect>'
        )
    return frames


def _names(rows: pl.DataFrame, selection: pl.DataFrame | None, cell: int, left: int) -> list[str]:
    """Symbols along the leaves, with what selection said of each."""
    said = {}
    if selection is not None:
        told = selection.select("security_id", "selected", "reason").iter_rows()
        said = {name: (won, reason) for name, won, reason in told}
    size = f'style="font-size:{min(cell - 1, 12)}px"'
    names = []
    for place, (security, symbol, cluster) in enumerate(
        rows.select("security_id", "symbol", "cluster").iter_rows()
    ):
        at = TOP + cell * (place + 0.5) + min(cell - 1, 12) * 0.36
        won, reason = said.get(security, (False, None))
        text = f"{cluster} · {symbol.partition(':')[2] or symbol}"
        names.append(
            f'<text class="name" x="{left}" y="{at:.1f}" {size}>{escape(text)}'
            + ('<tspan style="fill:var(--good)"> ● selected</tspan>' if won else "")
            + (f'<tspan style="fill:var(--bad)"> × {escape(reason)}</tspan>' if reason else "")
            + "</text>"
        )
    return names


def _numbers(rows: pl.DataFrame) -> Table:
    """Write the clusters of more than one in numbers."""
    told = (
        rows.group_by("cluster", maintain_order=True)
        .agg(
            pl.first("size", "cohesion", "homogeneous"),
            members=pl.col("symbol").str.replace(r"^[^:]*:", ""),
        )
        .filter(pl.col("size") > 1)
        .sort("cohesion", "cluster", nulls_last=True)
    )
    lines = [
        (
            str(row["cluster"]),
            ", ".join(row["members"]),
            str(row["size"]),
            _number(row["cohesion"]),
            {True: "one bet", False: "loose", None: NOTHING}[row["homogeneous"]],
        )
        for row in told.iter_rows(named=True)
    ]
    loose = frozenset(place for place, line in enumerate(lines) if line[-1] == "loose")
    head = ("cluster", "members", "size", "cohesion", "judged")
    return Table(
        "Clusters of more than one",
        head,
        lines,
        "every candidate is a cluster of its own",
        frozenset({0, 1, 4}),
        [f"cohesion is below the limit in {len(loose)} of them"] if loose else [],
        loose,
    )


def _followers(rows: pl.DataFrame) -> Table:
    """Write who follows whom."""
    symbols = dict(rows.select("security_id", "symbol").iter_rows())
    lines = [
        (
            row["symbol"],
            symbols[row["leader"]],
            str(row["leader_lag"]),
            f"{row['leader_correlation']:+.2f}",
            f"{row['leader_band']:.2f}",
        )
        for row in rows.filter("follows").iter_rows(named=True)
    ]
    head = ("follower", "leader", "sessions later", "correlation", "noise up to")
    return Table("Who follows whom", head, lines, text=frozenset({0, 1}))


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
