"""Where the known answers' data are: they belong to others and are not part of the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

VARIABLE = "QUANT_KNOWN_ANSWERS"
REAL_DATA = "QUANT_REAL_DATA"
SHARED = Path(__file__).resolve().parents[3] / "shared"
BESIDE = SHARED / "known_answers"


RECORDED = Path(__file__).resolve().parents[3] / "shared" / "vendor" / "tradingview"


def recorded_scan(name: str) -> dict[str, dict[str, float]]:
    """Columns of a recorded scan by symbol; the test is skipped where it is not at hand.

    Parameters
    ----------
    name
        File beside the vendor's other recordings.
    """
    scan = json.loads(recorded_file(name).read_text())
    columns = scan["request"]["columns"]
    return {row["s"]: dict(zip(columns, row["d"], strict=True)) for row in scan["response"]["data"]}


def recorded_file(name: str) -> Path:
    """File that the vendor of scans published, or a recording of its answers; skipped without.

    Parameters
    ----------
    name
        File among them.
    """
    path = Path(os.environ.get("QUANT_RECORDED_SCANS", RECORDED)) / name
    if not path.is_file():
        pytest.skip(f"{name} is not here; QUANT_RECORDED_SCANS names the folder of recorded scans")
    return path


def known_answer(name: str) -> Path:
    """File of a known answer; the test is skipped where the data are not at hand.

    Parameters
    ----------
    name
        Path below the folder that ``QUANT_KNOWN_ANSWERS`` names.
    """
    path = Path(os.environ.get(VARIABLE, BESIDE)) / name
    if not path.is_file():
        pytest.skip(f"{name} of the known answers is not here; {VARIABLE} names their folder")
    return path


def real_data(name: str) -> Path:
    """File of the real market data; the test is skipped where they are not at hand.

    Parameters
    ----------
    name
        Path below the folder that ``QUANT_REAL_DATA`` names.
    """
    path = Path(os.environ.get(REAL_DATA, SHARED / "data")) / name
    if not path.is_file():
        pytest.skip(f"{name} of the real data is not here; {REAL_DATA} names their folder")
    return path
