"""Run benchmarks: ``python -m quant_platform_tests.bench [NAME …]``, all of them without a name.

Every module of this package that has a ``NAME`` and a ``run() -> BenchResult`` is a benchmark. The
exit code is 1 when a bar does not hold and 2 when there is no benchmark of that name.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Sequence

from dagster import BetaWarning, PreviewWarning
from rich.console import Console

from quant_platform_tests import bench
from quant_platform_tests.bench.report import BenchResult, show


def benchmarks() -> dict[str, Callable[[], BenchResult]]:
    """Find the benchmarks of this package."""
    found: dict[str, Callable[[], BenchResult]] = {}
    for module_info in pkgutil.iter_modules(bench.__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{bench.__name__}.{module_info.name}")
        if hasattr(module, "NAME") and hasattr(module, "run"):
            found[module.NAME] = module.run
    return found


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, or all, and return the exit code."""
    known = benchmarks()
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}\n")
        return 2
    for category in (BetaWarning, PreviewWarning):
        warnings.simplefilter("ignore", category)
    # Some benchmarks start processes; what Dagster warns of there would bury the table.
    os.environ["PYTHONWARNINGS"] = "ignore"
    console = Console(width=120)
    results = []
    for name in names or known:
        results.append(known[name]())
        show(results[-1], console)
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
