"""``crash``: kill −9 at 50 seeded random moments of a range run, and 50 of ledger appends.

After each kill the run is repeated to its end and examined (see ``end_to_end/killed_runs.py``). The
figures are counts; the bar is that not one of them found anything wrong.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import tempfile
from datetime import date
from pathlib import Path

from quant_platform_tests.bench.report import Bar, BenchResult
from quant_platform_tests.end_to_end.killed_runs import KilledRuns
from quant_platform_tests.lakehouse.ledgers import test_ledger_crash

NAME = "crash"
KILLS = 50
LAST = date(2022, 3, 31)
SEED = 20260101


def run() -> BenchResult:
    """Kill range runs and ledger writers, repeat them, and count what is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="bench_crash_"))
    chance = random.Random(SEED)
    problems: list[str] = []
    killed = halfway = 0
    try:
        killer = KilledRuns(folder, LAST)
        hashes, seconds = killer.undisturbed()
        whole = sum(len(days) for days in hashes.values())
        for number in range(KILLS):
            name = f"killed-{number}"
            outcome = killer.kill_and_rerun(name, chance.uniform(0, seconds), hashes)
            killed += outcome.killed
            halfway += 0 < outcome.stored < whole
            problems += [f"kill {number}: {problem}" for problem in outcome.problems]
            shutil.rmtree(folder / name)
        ledger_failures = _ledger_failures(folder)
    finally:
        shutil.rmtree(folder)
    figures = {
        "kills": KILLS,
        "killed_before_the_end": killed,
        "with_a_part_stored": halfway,
        "problems": len(problems),
        "ledger_kills": KILLS,
        "ledger_problems": len(ledger_failures),
        "undisturbed_seconds": seconds,
        "partitions": whole,
    }
    return BenchResult(
        NAME,
        ("what", "kills", "before the end", "with a part stored", "problems"),
        (
            ("range run", str(KILLS), str(killed), str(halfway), str(len(problems))),
            ("ledger appends", str(KILLS), str(KILLS), "", str(len(ledger_failures))),
        ),
        figures,
        {"problems": Bar(0, "at most"), "ledger_problems": Bar(0, "at most")},
        tuple([*problems, *ledger_failures][:20]),
    )


def _ledger_failures(folder: Path) -> list[str]:
    """Kill writers of a ledger; the test's own assertions say what is wrong."""
    context = multiprocessing.get_context("forkserver")
    failures = []
    for seed in range(KILLS):
        place = folder / f"ledger-{seed}"
        place.mkdir()
        try:
            test_ledger_crash.test_a_killed_writer_loses_and_doubles_nothing(place, context, seed)
        except AssertionError as failure:
            failures.append(f"ledger kill {seed}: {failure}")
    return failures
