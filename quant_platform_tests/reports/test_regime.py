"""The regime in the report: the ribbon behind the benchmark, and the figures of every market."""

from __future__ import annotations

from datetime import date, timedelta
from xml.etree import ElementTree

import polars as pl
import pytest

from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.reports.chart import BANDS, Line, Ribbon, line_chart
from quant_platform.reports.figures import APPLIED, ASKED
from quant_platform.reports.regime import LABELS, regime_charts
from quant_platform.reports.scope import YEAR
from quant_platform_tests.regimes.markets import PLAIN
from quant_platform_tests.reports.evenings import SCOPE, SESSIONS, figure, report, tables_of

NAME = "{http://www.w3.org/2000/svg}"
DAYS = [date(2024, 1, 2) + timedelta(days=number) for number in range(6)]
VALUES = [0.0, 0.1, 0.2, 0.1, 0.0, 0.1]


def bands(svg: str) -> list[tuple[str, float, float, str]]:
    """Class, left end, width and words of each band behind the lines."""
    return [
        (
            rect.attrib["class"].split()[-1],
            float(rect.attrib["x"]),
            float(rect.attrib["width"]),
            "".join(rect.itertext()),
        )
        for rect in ElementTree.fromstring(svg).iter(f"{NAME}rect")
        if rect.find(f"{NAME}title") is not None
    ]


def test_the_labels_are_those_of_the_contract_and_each_has_a_colour() -> None:
    (categories,) = {tuple(REGIME.columns[name].categories) for name in ("label", "e1_label")}
    assert categories == LABELS
    assert len(LABELS) <= BANDS


def test_each_stretch_of_a_label_is_a_band_and_neighbours_meet() -> None:
    ribbon = Ribbon(LABELS, ["RISK_ON", "RISK_ON", "STRESSED", None, "RISK_ON", "RISK_ON"])
    assert ribbon.stretches == [(0, 1, "RISK_ON"), (2, 2, "STRESSED"), (4, 5, "RISK_ON")]
    svg = line_chart("x", DAYS, [Line("a", VALUES)], "fraction", ribbon)
    drawn = bands(svg)
    assert [colour for colour, *_ in drawn] == ["b0", "b3", "b0"]
    assert drawn[0][1] + drawn[0][2] == pytest.approx(drawn[1][1], abs=0.11)
    assert drawn[1][3] == f"STRESSED from {DAYS[2]} to {DAYS[2]}"
    words = ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{NAME}text")]
    assert {"RISK_ON", "STRESSED"} <= set(words)
    assert not {"NEUTRAL", "RISK_OFF"} & set(words)
    assert bands(line_chart("x", DAYS, [Line("a", VALUES)], "fraction")) == []


def test_the_benchmark_is_drawn_over_the_labels_in_force() -> None:
    (svg,) = regime_charts(PLAIN)
    last = PLAIN.tail(YEAR)
    drawn = bands(svg)
    runs = last["label"].cast(pl.String).rle().struct.field("value").to_list()
    assert [words.partition(" ")[0] for *_, words in drawn] == runs
    assert len(set(runs)) == 4
    title = "".join(ElementTree.fromstring(svg).find(f"{NAME}title").itertext())
    assert "by E1" in title
    # The last value is what the closes came to.
    returns = last["session_return"].to_list()[1:]
    level = 1.0
    for value in returns:
        level *= 1 + value
    assert f"{abs(level - 1) * 100:.2f}" in svg


def test_what_nothing_has_confirmed_has_no_colour() -> None:
    (svg,) = regime_charts(PLAIN.head(203))
    assert bands(svg) == []
    assert regime_charts(PLAIN.head(1)) == []
    assert regime_charts(PLAIN.head(0)) == []


def test_another_market_is_reported_and_says_that_nothing_applies_it() -> None:
    day = SESSIONS[5]
    own = PLAIN.row(350, named=True) | {"session": day, "benchmark": "btc", "symbol": "COIN:BTC"}
    other = pl.DataFrame([own], schema=PLAIN.schema)
    scope = SCOPE.model_copy(update={"other_regimes": ("crypto",)})
    made = report(tables_of() | {"regime_crypto": other}, scope, SESSIONS[:8])
    rows = made.filter(pl.col("item") == "COIN:BTC", session=day)
    assert APPLIED not in rows["figure"]
    asked = figure(made, day, "regime", "COIN:BTC", ASKED)
    assert (asked["value"], asked["note"]) == (own["risk_multiplier"], own["label"])
    assert figure(made, day, "regime", "COIN:BTC", "growth")["note"] == own["quadrant_label"]
    assert figure(made, day, "regime", "COIN:BTC", "e2_score")["value"] == own["e2_score"]
    # A day between two sessions counts for the second, a session's own row for it alone.
    friday = next(at for at in range(7) if (SESSIONS[at + 1] - SESSIONS[at]).days == 3)
    monday = SESSIONS[friday + 1]
    weekend = other.with_columns(session=pl.lit(monday - timedelta(days=1)))
    told = report(tables_of() | {"regime_crypto": weekend}, scope, SESSIONS[:8])
    assert told.filter(pl.col("item") == "COIN:BTC")["session"].unique().to_list() == [monday]
    plain = report(tables_of(), SCOPE, SESSIONS[:8])
    assert made.filter(pl.col("item") != "COIN:BTC").equals(plain)
