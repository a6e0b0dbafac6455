"""Imported by the fork server of ``killed_runs``: what every run needs and none should wait for.

The calendars are built here, once, and shared by the processes forked later. A fork has the
threads' locks and not the threads: had an import started the pool of Polars, every run would wait
for it for ever.
"""

from __future__ import annotations

import re
from pathlib import Path

from quant_platform.orchestration.graph import Overrides, build_graph
from quant_platform_tests.end_to_end import killed_runs
from quant_platform_tests.small_project import EVENING, small_settings

WARM = build_graph(small_settings(Path("unused")), Overrides(clock=lambda: EVENING))
READY = (WARM, killed_runs)

STARTED = [name for task in Path("/proc/self/task").glob("*/comm") for name in [task.read_text()]]
if any(re.match(r"polars-\d", name) for name in STARTED):
    raise RuntimeError("importing quant_platform or building the graph ran a query of Polars")
