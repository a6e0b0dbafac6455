"""What the UI shows of a family of features: coverage, distribution, an example."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from datetime import date

import polars as pl

from quant_platform.lakehouse.contracts.cross_section import CROSS_SECTION
from quant_platform.lakehouse.contracts.features_liquidity import FEATURES_LIQUIDITY
from quant_platform.reports.feature_family import family_markdown

DAYS = [date(2023, 3, 1), date(2023, 3, 2)]


def rows() -> pl.DataFrame:
    """Make 101 securities on two sessions; on the later one half of them have no spread."""
    made = pl.DataFrame(
        [
            {
                "session": day,
                "security_id": f"s{number:03}",
                "adv_shares_20": float(number) if day == DAYS[1] else 7.0,
                "spread_20": None if number % 2 == 0 else 0.01,
                "liquidity_bucket": "small" if number < 100 else "mega",
            }
            for day in DAYS
            for number in range(101)
        ]
    )
    return pl.concat([FEATURES_LIQUIDITY.empty(), made.cast(schema(made))], how="diagonal")


def schema(made: pl.DataFrame) -> dict[str, pl.DataType]:
    """Types of the contract for the columns that there are."""
    columns = FEATURES_LIQUIDITY.columns
    unknown = [name for name in made.columns if name not in columns]
    assert not unknown
    return {name: columns[name].dtype for name in made.columns}


def test_numbers_are_those_of_the_newest_session() -> None:
    told = family_markdown("features_liquidity", rows())
    lines = [re.sub(r"\\(.)", r"\1", line) for line in told.splitlines()]
    (volume,) = [line for line in lines if line.startswith("| adv_shares_20")]
    assert [cell.strip() for cell in volume.strip("|").split("|")][2:] == [
        "100.0%",
        "5",
        "50",
        "95",
        "1",
    ]
    (spread,) = [line for line in lines if line.startswith("| spread_20")]
    assert "49.5%" in spread
    (nothing,) = [line for line in lines if line.startswith("| amihud_20")]
    assert "0.0%" in nothing
    # The first security that has a spread is the example.
    assert "the dot is s001" in told
    assert "| small | 100 |" in lines
    assert "| mega | 1 |" in lines


def test_the_picture_has_a_line_for_each_number() -> None:
    told = family_markdown("features_liquidity", rows())
    (picture,) = re.findall(r"base64,([^)]+)\)", told)
    root = ET.fromstring(base64.b64decode(picture))
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"adv_shares_20", "spread_20", "amihud_20"} <= set(names)
    assert "liquidity_bucket" not in names
    dots = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(dots) == 2


def test_a_cross_section_is_described_like_a_family() -> None:
    made = pl.concat(
        [
            CROSS_SECTION.empty(),
            pl.DataFrame(
                {
                    "session": [DAYS[0]] * 4,
                    "security_id": list("abcd"),
                    "composite_score": [1.5, 0.5, -2.0, None],
                    "rank_basis": ["relative"] * 3 + ["absolute"],
                }
            ).cast({"rank_basis": CROSS_SECTION.columns["rank_basis"].dtype}),
        ],
        how="diagonal",
    )
    lines = [line.replace("\\", "") for line in family_markdown("cross_section", made).splitlines()]
    (score,) = [line for line in lines if line.startswith("| composite_score")]
    assert "75.0%" in score
    assert "| relative | 3 |" in lines


def test_no_rows_are_not_described() -> None:
    assert family_markdown("features_liquidity", FEATURES_LIQUIDITY.empty()) == ""
