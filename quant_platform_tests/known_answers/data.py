"""Where the known answers' data are: they belong to others and are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "QUANT_KNOWN_ANSWERS"
REAL_DATA = "QUANT_REAL_DATA"
SHARED = Path(__file__).resolve().parents[3] / "shared"
BESIDE = SHARED / "known_answers"


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
