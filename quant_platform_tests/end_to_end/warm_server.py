"""Imported by the fork server of ``killed_runs``: what every run needs and none should wait for.

The calendars are built here, once, and shared by the processes forked later.
"""

from __future__ import annotations

from pathlib import Path

from quant_platform.orchestration.graph import Overrides, build_graph
from quant_platform_tests.end_to_end import killed_runs
from quant_platform_tests.small_project import EVENING, small_settings

WARM = build_graph(small_settings(Path("unused")), Overrides(clock=lambda: EVENING))
READY = (WARM, killed_runs)
