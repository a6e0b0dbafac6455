"""File primitives: all or nothing, typed errors, and nothing torn goes unnoticed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.files import (
    append_lines,
    complete_lines,
    file_lock,
    set_aside_torn_tail,
    write_atomic,
)


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Let the kernel refuse larger files, as it does on a full volume."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as a user whom file permissions bind, since they do not bind root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_write_atomic_creates_folders_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "part"
    write_atomic(target, b"one")
    assert target.read_bytes() == b"one"
    write_atomic(target, b"")
    assert target.read_bytes() == b""
    assert files_of(target.parent) == {"part"}


def test_a_refused_write_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "part"
    write_atomic(target, b"old")
    with file_size_limit(1 << 16), pytest.raises(LakeError) as caught:
        write_atomic(target, b"x" * (1 << 17))
    assert str(target) in str(caught.value)
    assert caught.value.mend
    assert target.read_bytes() == b"old"
    assert files_of(tmp_path) == {"part"}


def test_a_refused_append_is_taken_back(tmp_path: Path) -> None:
    target = tmp_path / "log"
    append_lines(target, [b"kept"])
    with file_size_limit(1 << 16), pytest.raises(LakeError):
        append_lines(target, [b"x" * 1000] * 100)
    assert target.read_bytes() == b"kept\n"
    append_lines(target, [b"next"])
    assert complete_lines(target) == ([b"kept", b"next"], b"")


def take(lock: Path) -> None:
    with file_lock(lock, timeout=0):
        pass


@pytest.mark.parametrize(
    "operation",
    [
        take,
        complete_lines,
        set_aside_torn_tail,
        lambda path: write_atomic(path, b""),
        lambda path: append_lines(path, [b"a"]),
    ],
    ids=["lock", "read", "set aside", "write", "append"],
)
def test_what_the_system_refuses_is_a_lake_error(
    tmp_path: Path, operation: Callable[[Path], object]
) -> None:
    blocker = tmp_path / "file"
    blocker.write_bytes(b"")
    below = blocker / "below" / "x"
    with pytest.raises(LakeError) as caught:
        operation(below)
    assert str(below) in caught.value.found
    assert "move away the file" in caught.value.mend
    assert blocker.read_bytes() == b""


def test_a_folder_without_permission_is_a_lake_error(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    append_lines(folder / "log", [b"kept"])
    folder.chmod(0o555)
    (folder / "log").chmod(0o444)
    with unprivileged():
        with pytest.raises(LakeError, match="permission"):
            write_atomic(folder / "new", b"x")
        with pytest.raises(LakeError, match="permission"):
            append_lines(folder / "log", [b"x"])
        with pytest.raises(LakeError, match="permission"):
            take(folder / "lock")
    assert files_of(folder) == {"log"}
    assert complete_lines(folder / "log") == ([b"kept"], b"")


def test_lines_come_back_as_appended(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "log"
    assert complete_lines(log) == ([], b"")
    append_lines(log, [])
    assert not log.exists()
    append_lines(log, [b"one", b""])
    append_lines(log, ["zwei €".encode()])
    assert complete_lines(log) == ([b"one", b"", "zwei €".encode()], b"")
    with pytest.raises(ValueError, match="line end"):
        append_lines(log, [b"two\nlines"])


@pytest.mark.parametrize("whole", [[], [b"first"], [b"first", b"second"]])
@pytest.mark.parametrize("torn", [b"x", b'{"seq": 1', b"y" * 200_000])
def test_a_torn_line_is_kept_beside_its_file(
    tmp_path: Path, whole: list[bytes], torn: bytes
) -> None:
    log = tmp_path / "log"
    append_lines(log, whole)
    with log.open("ab") as stream:
        stream.write(torn)
    assert complete_lines(log) == (whole, torn)
    with pytest.raises(LakeError, match="torn"):
        append_lines(log, [b"more"])

    aside = set_aside_torn_tail(log)

    assert aside == tmp_path / "log.torn-1"
    assert aside.read_bytes() == torn
    assert complete_lines(log) == (whole, b"")
    assert set_aside_torn_tail(log) is None
    append_lines(log, [b"more"])
    assert complete_lines(log) == ([*whole, b"more"], b"")


def test_torn_lines_do_not_replace_each_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number, torn in enumerate([b"a", b"b"], start=1):
        with log.open("ab") as stream:
            stream.write(torn)
        assert set_aside_torn_tail(log) == tmp_path / f"log.torn-{number}"
    assert (tmp_path / "log.torn-1").read_bytes() == b"a"
    assert set_aside_torn_tail(tmp_path / "absent") is None


HOLD = """
import sys, time
from pathlib import Path
from quant_platform.lakehouse.files import file_lock
with file_lock(Path(sys.argv[1]), timeout=5, exclusive=sys.argv[2] == "exclusive"):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def other_process(path: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), kind], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_holder_of_a_lock_is_named_and_its_death_frees_it(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "table.lock"
    with other_process(lock, "exclusive") as holder:
        for exclusive in (True, False):
            with (
                pytest.raises(LakeError, match=f"process {holder.pid} ") as caught,
                file_lock(lock, timeout=0.01, exclusive=exclusive),
            ):
                pass
            assert str(lock) in caught.value.found
        holder.kill()
        holder.wait()
        with file_lock(lock, timeout=5):
            pass


def test_readers_share_and_keep_writers_out(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with other_process(lock, "shared"):
        with file_lock(lock, timeout=0, exclusive=False):
            pass
        with pytest.raises(LakeError, match="another process"), file_lock(lock, timeout=0):
            pass


def test_a_lock_is_not_reentrant_and_ends_with_its_block(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        file_lock(lock, timeout=0),
        pytest.raises(LakeError),
        file_lock(lock, timeout=0),
    ):
        pass
    with pytest.raises(RuntimeError), file_lock(lock, timeout=0):
        raise RuntimeError
    with file_lock(lock, timeout=0):
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(20):
            with file_lock(lock, timeout=30):
                number = int(counter.read_text())
                time.sleep(0)
                counter.write_text(str(number + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "80"
