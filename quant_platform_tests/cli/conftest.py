"""A project that has decided once, for the commands that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from quant_platform_tests.cli.command_line import quant
from quant_platform_tests.end_to_end.projects import lay_out

DECIDED = date(2022, 4, 25)
"""The one rebalance session of `decided`."""
LAST = date(2022, 4, 27)
"""Its last session."""


@pytest.fixture(scope="session")
def _decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill the US stocks up to some days after their first decision."""
    folder = tmp_path_factory.mktemp("decided")
    lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        _size(patch)
        span = ("--from", "2022-01-03", "--to", LAST.isoformat())
        answer = quant(folder, "backfill", "--job", "us_daily", *span, "--json")
    assert answer.code == 0, answer.err
    return folder


@pytest.fixture
def decided(_decided: Path) -> Iterator[Path]:
    """Project with the US stocks around their first decision; nobody may change it."""
    with pytest.MonkeyPatch.context() as patch:
        _size(patch)
        yield _decided


def _size(patch: pytest.MonkeyPatch) -> None:
    """Enough names for a decision, and a walk-forward that begins once averages of 60 exist."""
    patch.setenv("QUANT_SLEEVES__INSTRUMENTS__SYMBOLS", "40")
    patch.setenv("QUANT_PLATFORM__WALK_FORWARD_START", "2022-04-18")
