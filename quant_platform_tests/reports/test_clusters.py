"""The picture of clusters: the tree from its stored joints, the squares, winners and vetoes."""

from __future__ import annotations

import base64
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from datetime import date

import numpy as np
import polars as pl
import pytest

from quant_platform.features.panel import Matrix
from quant_platform.lakehouse.contracts.clusters import CLUSTERS
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.reports.clusters import ABOVE, BELOW, cluster_chart, clusters_markdown

DAYS = [date(2023, 3, 1), date(2023, 3, 29)]
SVG = "{http://www.w3.org/2000/svg}"
THREE = np.array([[1.0, 0.75, -0.5], [0.75, 1.0, np.nan], [-0.5, np.nan, 1.0]])


def rows(matrix: Matrix = THREE, session: date = DAYS[1]) -> pl.DataFrame:
    """One session: the first two are a cluster, everybody else is alone."""
    count = len(matrix)
    made = [
        {
            "session": session,
            "security_id": f"s{place}",
            "symbol": f"NYSE:N{place}&",
            "cluster": max(place, 1),
            "size": 2 if place < 2 else 1,
            "cohesion": 0.6 if place < 2 else None,
            "homogeneous": False if place < 2 else None,
            "identity": f"s{place}",
            "leverage": 1.0,
            "follows": False,
            "returns": 200,
            "position": place + 1,
            "joined_at": None if not place else 0.2 + 0.01 * place,
            "correlations": [None if np.isnan(value) else value for value in line],
        }
        for place, line in enumerate(matrix.tolist())
    ]
    assert len(made) == count
    return pl.DataFrame(made, schema=CLUSTERS.empty().schema)


def decided(*said: tuple[str, bool, str | None]) -> pl.DataFrame:
    schema = SELECTION.empty().select("session", "security_id", "selected", "reason").schema
    return pl.DataFrame([(DAYS[1], *one) for one in said], schema=schema, orient="row")


def drawn(*arguments: object) -> ET.Element:
    return ET.fromstring(cluster_chart("Clusters", *arguments))


def texts(picture: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]


def pixels(picture: ET.Element) -> np.typing.NDArray[np.uint8]:
    """Decode the picture of squares: lines by columns by red, green, blue, opacity."""
    (image,) = picture.iter(f"{SVG}image")
    png = base64.b64decode(image.attrib["href"].partition(",")[2])
    width, height = struct.unpack(">II", png[16:24])
    place, data = 8, b""
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        body = png[place + 4 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(
            body
        )
        data += body[4:] if body[:4] == b"IDAT" else b""
        place += 12 + length
    lines = np.frombuffer(zlib.decompress(data), dtype=np.uint8).reshape(height, 1 + 4 * width)
    assert not lines[:, 0].any()
    assert (int(image.attrib["width"]), int(image.attrib["height"])) == (width, height)
    return lines[:, 1:].reshape(height, width, 4)


def test_each_pair_has_a_square_of_its_sign_and_strength() -> None:
    squares = pixels(drawn(rows()))
    cell = len(squares) // 3
    middle = squares[cell // 2 :: cell, cell // 2 :: cell]
    assert [tuple(one) for one in middle[0].tolist()] == [
        (*ABOVE, 255),
        (*ABOVE, round(0.75 * 255)),
        (*BELOW, round(0.5 * 255)),
    ]
    assert middle[1, 2, 3] == 0
    assert (squares[:cell, :cell] == middle[0, 0]).all()


def test_the_tree_is_that_of_the_stored_joints() -> None:
    """Three leaves: the first two join at the lower height, the third joins both."""
    (path,) = [p for p in drawn(rows()).iter(f"{SVG}path") if "line" in p.attrib["class"]]
    steps = re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H([\d.]+)", path.attrib["d"])
    (first, second) = [tuple(map(float, step)) for step in steps]
    leaf, low, high = first[0], first[2], second[2]
    assert first[4] == leaf > low > high
    assert second[0] == low
    assert second[4] == leaf
    assert second[1] == (first[1] + first[3]) / 2
    assert (leaf - low) / (leaf - high) == pytest.approx(0.21 / 0.22, abs=0.01)


def test_winners_and_vetoes_are_told_beside_their_names() -> None:
    said = decided(("s0", True, None), ("s1", False, "entropy<"), ("elsewhere", True, None))
    told = texts(drawn(rows(), said))
    assert "1 · N0& ● selected" in told
    assert "1 · N1& × entropy<" in told
    assert "2 · N2&" in told
    assert not [text for text in texts(drawn(rows())) if "selected" in text or "×" in text]


def test_each_cluster_is_framed() -> None:
    frames = [one for one in drawn(rows()).iter(f"{SVG}rect") if "class" not in one.attrib]
    sides = [int(one.attrib["width"]) for one in frames]
    assert sides[0] == 2 * sides[1]
    assert frames[0][0].text == "cluster 1: 2, cohesion 0.60"


def test_many_candidates_are_drawn_without_names() -> None:
    many = np.full((300, 300), 0.5)
    np.fill_diagonal(many, 1.0)
    told = texts(drawn(rows(many)))
    assert not [text for text in told if "N7&" in text]
    assert len(cluster_chart("Clusters", rows(many))) < 200_000


def test_one_candidate_is_a_square() -> None:
    assert (pixels(drawn(rows(np.ones((1, 1)))))[..., 3] == 255).all()


def test_the_newest_session_is_told_with_its_loose_clusters_and_followers() -> None:
    follows = pl.col("security_id") == "s2"
    newest = rows().with_columns(
        leader=pl.when(follows).then(pl.lit("s0")),
        leader_lag=pl.when(follows).then(pl.lit(3, pl.UInt32)),
        leader_correlation=pl.when(follows).then(-0.25),
        leader_band=pl.when(follows).then(0.2),
        follows=follows,
    )
    told = clusters_markdown(pl.concat([rows(session=DAYS[0]), newest]))
    plain = re.sub(r"\\(.)", r"\1", told)
    assert "29 March 2023" in plain.splitlines()[0]
    assert "3 candidates in 2 clusters" in plain
    assert "| 1 | N0&, N1& | 2 | 0.60 | loose |" in plain
    assert "| NYSE:N2& | NYSE:N0& | 3 | -0.25 | 0.20 |" in plain
    assert "Who follows whom" not in clusters_markdown(rows())


def test_nothing_is_said_of_nothing() -> None:
    assert clusters_markdown(CLUSTERS.empty()) == ""
