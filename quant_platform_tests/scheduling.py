"""Who runs which tests when several workers share them, and in which order they are handed out.

The fixtures of a file are made once: its tests stay on one worker. Two folders fill lakes that all
of their files share: such a folder stays together. Long work is handed out first, so that no worker
is left with a long file when the others have nothing to do.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

TESTS = "quant_platform_tests"
SHARING = (f"{TESTS}/laws", f"{TESTS}/orchestration")
LONG = (*SHARING, f"{TESTS}/end_to_end", f"{TESTS}/cli")


def together(test: str) -> str:
    """Name what a test stays together with: its file, or its folder."""
    file = test.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in SHARING else file


def turn(test: str) -> int:
    """When a test's turn is; of equals, the one that is collected first comes first."""
    folder = test.partition("::")[0].rpartition("/")[0]
    return LONG.index(folder) if folder in LONG else len(LONG)


class Scheduling(LoadFileScheduling):
    """Hands out what stays together, in the order in which it was collected."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)  # type: ignore[arg-type]

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
