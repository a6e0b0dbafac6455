"""Who runs which tests when several workers share them, and in which order they are handed out.

The fixtures of a file are made once: its tests stay on one worker. Some files share fixtures that
fill lakes: they stay together. Long work is handed out first, so that no worker is left with a long
file when the others have nothing to do.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

TESTS = "quant_platform_tests"
SHARING = {
    "chain": ("laws/test_accounting", "laws/test_alarms", "laws/test_chain", "laws/test_parity"),
    "evenings": (
        "orchestration/test_account_record",
        "orchestration/test_evening",
        "orchestration/test_plan_across_jobs",
    ),
    "filled": ("laws/test_nothing_lost", "laws/test_point_in_time", "laws/test_ranges"),
}
"""Files by the fixture that they share, the longest first."""
LONG = ("laws", "orchestration", "end_to_end", "cli")
"""Folders of long tests."""

_GROUP = {f"{TESTS}/{file}.py": name for name, files in SHARING.items() for file in files}


def together(test: str) -> str:
    """Name what a test stays together with: a fixture, or its file."""
    file = test.partition("::")[0]
    return _GROUP.get(file, file)


def turn(test: str) -> tuple[int, int]:
    """When a test's turn is; of equals, the one that is collected first comes first."""
    group = together(test)
    folder = test.removeprefix(f"{TESTS}/").partition("/")[0]
    first = list(SHARING).index(group) if group in SHARING else len(SHARING)
    return first, LONG.index(folder) if folder in LONG else len(LONG)


class Scheduling(LoadFileScheduling):
    """Hands out what stays together, in the order in which it was collected."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
