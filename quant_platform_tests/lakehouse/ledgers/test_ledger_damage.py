"""A ledger does not go on where its end is broken, and is not troubled by a write that failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from quant_platform.errors import LakeError, LedgerError
from quant_platform.lakehouse.files import file_lock
from quant_platform.lakehouse.ledgers import Ledger
from quant_platform_tests.lakehouse.ledgers.small_ledger import Clock, assert_whole, record


def damage_last_line(folder: Path) -> None:
    file = max(folder.glob("*.jsonl"))
    file.write_bytes(file.read_bytes().replace(b'"c2"', b'"c9"'))


def cut_last_line(folder: Path) -> None:
    file = max(folder.glob("*.jsonl"))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def remove_files(folder: Path) -> None:
    for file in folder.glob("*.jsonl"):
        file.unlink()


def remove_head(folder: Path) -> None:
    (folder / "HEAD").unlink()


def garble_head(folder: Path) -> None:
    (folder / "HEAD").write_text("{}")


def swap_lines(folder: Path) -> None:
    file = max(folder.glob("*.jsonl"))
    file.write_bytes(b"".join(reversed(file.read_bytes().splitlines(keepends=True))))


@pytest.mark.parametrize(
    "damage",
    [damage_last_line, cut_last_line, remove_files, remove_head, garble_head, swap_lines],
)
@pytest.mark.parametrize("warm", [True, False], ids=["open ledger", "new ledger"])
def test_nothing_is_appended_to_a_broken_end(
    tmp_path: Path, clock: Clock, damage: Callable[[Path], None], *, warm: bool
) -> None:
    ledger = Ledger(tmp_path, "orders", clock)
    ledger.append(record("c1", place="c1"))
    ledger.append(record("c2", place="c2"))
    folder = tmp_path / "ledger" / "orders"
    damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if not warm:
        ledger = Ledger(tmp_path, "orders", clock)
    if warm and damage in (damage_last_line, swap_lines):
        # An open ledger does not read again what it has read; the verifier does.
        ledger.append(record("c3"))
    else:
        with pytest.raises(LedgerError, match="quant ledger verify"):
            ledger.append(record("c3"))
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert ledger.verify().problems


def test_an_append_that_fails_is_not_remembered(
    ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    ledger.append(record("c1"))
    (tmp_path / "ledger" / "orders" / "2024-03-03.jsonl").mkdir()
    clock.now += timedelta(days=1)
    with pytest.raises(LakeError):
        ledger.append(record("c2"))
    (tmp_path / "ledger" / "orders" / "2024-03-03.jsonl").rmdir()
    assert ledger.append(record("c2")).is_new
    assert_whole(ledger, 2)


def test_reading_needs_no_lock_and_verifying_waits_for_nobody_else(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.append(record("c1"))
    lock = tmp_path / "_locks" / "ledger.orders.lock"
    with file_lock(lock, timeout=0):
        assert len(list(ledger.lines())) == 1
        assert ledger.tail(1)[0].seq == 1
    with file_lock(lock, timeout=0, exclusive=False):
        assert_whole(ledger, 1)


def test_a_read_only_copy_without_locks_can_be_verified(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(record("c1"))
    (tmp_path / "_locks" / "ledger.orders.lock").unlink()
    (tmp_path / "_locks").rmdir()
    assert_whole(ledger, 1)
    assert not (tmp_path / "_locks").exists()
