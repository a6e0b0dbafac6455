"""Law 6, provenance: each partition says what made it, and what it says is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

import polars as pl

from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.inputs import NOTHING, input_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Entry
from quant_platform.lakehouse.store import read_footer
from quant_platform.lakehouse.windows import contiguous
from quant_platform.orchestration.stage import Stage
from quant_platform_tests.laws.broken import LawBroken

LAW = "provenance"


def check_provenance(lake: Lake, stages: Sequence[Stage], is_run: Callable[[str], bool]) -> None:
    """Require complete and true provenance of every partition, quarantines included.

    Parameters
    ----------
    lake
        A filled lake.
    stages
        Stages that filled it, with the code and the settings that they have now.
    is_run
        Whether a run of that id is known to the instance.
    """
    for stage in stages:
        entries = lake.entries(stage.table)
        if not entries:
            raise LawBroken(LAW, stage.table, None, "the lake has no partition of it")
        for entry in entries.values():
            _require_complete(entry, is_run, stage.first_day)
            _require_current(stage, entry)
        _require_footers(lake, stage.table)
        _require_content(lake, stage.table)
        _require_inputs(lake, stage)
        quarantine = f"quarantine/{stage.table}"
        if lake.layout(quarantine).log.exists():
            for entry in lake.entries(quarantine).values():
                _require_complete(entry, is_run, stage.first_day)
            _require_footers(lake, quarantine)
            _require_content(lake, quarantine)


def _require_complete(entry: Entry, is_run: Callable[[str], bool], begins: date) -> None:
    hashes = {"content_hash": entry.content_hash, "input_hash": entry.input_hash}
    empty = (entry.rows, entry.verdict, entry.input_hash) == (0, "passed", NOTHING)
    if entry.session < begins and not empty:
        raise LawBroken(LAW, entry.table, entry.session, f"it should be empty before {begins}")
    if entry.session < begins:
        del hashes["input_hash"]
    texts = vars(entry.stamp) | hashes
    for name, text in texts.items():
        if not text:
            raise LawBroken(LAW, entry.table, entry.session, f"its {name} is empty")
    for name, text in hashes.items():
        if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
            raise LawBroken(LAW, entry.table, entry.session, f"its {name} {text!r} is no SHA-256")
    if datetime.fromisoformat(entry.stamp.written_at).tzinfo is None:
        raise LawBroken(LAW, entry.table, entry.session, "written_at has no time zone")
    if not is_run(entry.stamp.run_id):
        found = f"its run {entry.stamp.run_id} is unknown to the instance"
        raise LawBroken(LAW, entry.table, entry.session, found)


def _require_current(stage: Stage, entry: Entry) -> None:
    expected = {
        "code version": (stage.code_version, entry.stamp.code_version),
        "config hash": (stage.config_hash, entry.stamp.config_hash),
        "schema version": (stage.contract.version, entry.schema_version),
    }
    for name, (wanted, found) in expected.items():
        if wanted != found:
            raise LawBroken(LAW, stage.table, entry.session, f"its {name} is {found}, not {wanted}")
    rules = {rule.name for rule in stage.contract.rules}
    told = {outcome["rule"] for outcome in entry.outcomes}
    if entry.session < stage.first_day:
        rules = set()
    if told != rules and not (entry.verdict == "blocked" and told == {"upstream"}):
        raise LawBroken(LAW, stage.table, entry.session, f"outcomes of {told}, not of {rules}")


def _require_footers(lake: Lake, table: str) -> None:
    """Require that each file carries the log's line about it: today's, or the one it confirmed."""
    log, store = lake.log(table), lake.store(table)
    history: dict[date, list[Entry]] = {}
    for session in lake.entries(table):
        history[session] = log.history(session)
    for session, lines in history.items():
        if not lines[-1].filed:
            if lines[-1].rows:
                raise LawBroken(LAW, table, session, "it has rows and no file")
            continue
        footer = read_footer(store.file_of(lines[-1]))
        if footer not in lines:
            raise LawBroken(LAW, table, session, "the file's footer is not what the log says")
        if not store.sound(lines[-1]):
            raise LawBroken(LAW, table, session, "the file's checksum is not what the log says")
        if footer.content_hash != lines[-1].content_hash:
            raise LawBroken(LAW, table, session, "footer and log disagree on the content hash")


def _require_content(lake: Lake, table: str) -> None:
    """Require that content hashes and row counts are those of the rows in the files."""
    contract, store = lake.layout(table).contract, lake.store(table)
    entries = lake.entries(table)
    parts = []
    for session, entry in entries.items():
        rows = contract.empty()
        if entry.filed:
            rows = pl.read_parquet(store.file_of(entry), hive_partitioning=False)
        if rows.height != entry.rows or not (rows[contract.partition] == session).all():
            found = f"its file holds {rows.height} rows or another session, not {entry.rows} rows"
            raise LawBroken(LAW, table, session, found)
        parts.append(rows)
    hashes = partition_hashes(pl.concat(parts), contract.key, contract.partition)
    nothing = frame_hash(contract.empty(), contract.key)
    for session, entry in entries.items():
        if entry.content_hash != hashes.get(session, nothing):
            raise LawBroken(LAW, table, session, "its content hash is not that of its rows")


def _require_inputs(lake: Lake, stage: Stage) -> None:
    """Require that input hashes are those of the inputs as they are stored."""
    entries = {d: e for d, e in lake.entries(stage.table).items() if d >= stage.first_day}
    for run in contiguous(stage.calendar, list(entries)):
        wanted = stage.range_of(list(run))
        expected = input_hashes(lake, stage.windows, wanted, grid=stage.grid)
        for session in run:
            if entries[session].input_hash != expected[session]:
                found = "its input hash is not that of its inputs as they are stored"
                raise LawBroken(LAW, stage.table, session, found)
