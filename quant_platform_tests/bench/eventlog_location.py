"""A code location with a chain whose result tells whether its chunks ran in order.

Every link stores one hash per session: the first from its own hash of the session before (carried
state), the others from the link before them in the same session. A chunk that runs before the one
it continues finds no hash to carry and writes ``absent`` into its own, so every later hash of every
link differs from those of an orderly run.

The environment says where the hashes go and how the chain is cut, because the processes that
Dagster starts load this module by themselves.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster import AssetExecutionContext

from quant_platform_tests.bench.eventlog_chain import CHAIN_LENGTH, sessions

FOLDER = "EVENTLOG_FOLDER"
"""Where the hashes are stored."""
LENGTH = "EVENTLOG_LENGTH"
"""Links of the chain."""
CHUNK = "EVENTLOG_CHUNK"
"""Sessions per run."""
DELAY = "EVENTLOG_DELAY"
"""Seconds that the first chunk sleeps."""


@dg.definitions
def chain() -> dg.Definitions:
    """Build the chain as the environment describes it."""
    length = int(os.environ.get(LENGTH, CHAIN_LENGTH))
    chunk = int(os.environ.get(CHUNK, "252"))
    partitions = sessions()
    assets = [_link(number, partitions, chunk) for number in range(length)]
    job = dg.define_asset_job(
        "chain", partitions_def=partitions, executor_def=dg.in_process_executor
    )
    return dg.Definitions(assets=assets, jobs=[job])


def stored_hashes(folder: Path) -> dict[str, dict[str, str]]:
    """Read back every link's hash of every session."""
    return {
        link.name: {
            session: value
            for file in sorted(link.glob("*.json"))
            for session, value in json.loads(file.read_text()).items()
        }
        for link in sorted(folder.iterdir())
    }


def _link(number: int, partitions: dg.DailyPartitionsDefinition, chunk: int) -> dg.AssetsDefinition:
    name = f"link_{number:02d}"
    session_before = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
    upstream = (
        dg.AssetDep(f"link_{number - 1:02d}")
        if number
        else dg.AssetDep(name, partition_mapping=session_before)
    )

    @dg.asset(
        name=name,
        partitions_def=partitions,
        deps=[upstream],
        code_version="1",
        backfill_policy=dg.BackfillPolicy.multi_run(chunk),
    )
    def link(context: AssetExecutionContext) -> None:
        folder, keys = Path(os.environ[FOLDER]), context.partition_keys
        if number == 0:
            if keys[0] == partitions.get_first_partition_key():
                time.sleep(float(os.environ.get(DELAY, "0")))
            hashes = _carried(folder / name, keys, _before(partitions, keys[0]))
        else:
            above = json.loads((folder / f"link_{number - 1:02d}" / _file(keys)).read_text())
            hashes = {key: _digest(above[key]) for key in keys}
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / _file(keys)).write_text(json.dumps(hashes))

    return link


def _carried(own: Path, keys: Sequence[str], before: str | None) -> dict[str, str]:
    found = [json.loads(file.read_text())[before] for file in own.glob(f"*_{before}.json")]
    last = found[0] if found else "absent" if before else "first"
    hashes = {}
    for key in keys:
        last = hashes[key] = _digest(f"{last}{key}")
    return hashes


def _before(partitions: dg.DailyPartitionsDefinition, key: str) -> str | None:
    keys: Sequence[str] = partitions.get_partition_keys()
    position = keys.index(key)
    return keys[position - 1] if position else None


def _file(keys: Sequence[str]) -> str:
    return f"{keys[0]}_{keys[-1]}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
