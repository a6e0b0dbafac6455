"""The few file operations that survive a crash; the store and the ledgers use no others.

A process can be killed and a disk can fill between any two system calls, so each operation leaves
either what was there before or all of what was asked for:

- :func:`write_atomic` writes beside the target, makes the bytes durable, then takes the name.
- :func:`append_lines` appends whole lines with one write and takes a refused write back.
- :func:`complete_lines` and :func:`set_aside_torn_tail` tell finished lines from the one that a
  crash cut short, and keep the latter beside the file.
- :func:`file_lock` keeps writers apart; the kernel releases it when its holder dies.

Whatever the operating system refuses becomes a :class:`~quant_platform.errors.LakeError` that names
the path and the mend.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from quant_platform.errors import LakeError

_MENDS = {
    errno.ENOSPC: "free space on its volume and run again",
    errno.EDQUOT: "free space in the quota of this user and run again",
    errno.EFBIG: "raise the file size limit of this process and run again",
    errno.EACCES: "give this user permission to it",
    errno.EPERM: "give this user permission to it",
    errno.EROFS: "mount its volume for writing, or choose another lake root",
    errno.ENOTDIR: "move away the file that stands where a folder is needed",
    errno.EISDIR: "move away the folder that stands where a file is needed",
    errno.ENOENT: "restore it, or check the lake root",
    errno.EMFILE: "raise the limit of open files of this process",
}
_LIBC = ctypes.CDLL(None, use_errno=True)
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.02
_PROCESS_ID_WIDTH = 12


@contextmanager
def file_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a LakeError with the path and the mend.

    Parameters
    ----------
    path
        The file or folder the block works on.
    doing
        What the block does with it, as in "cannot <doing> <path>".
    """
    try:
        yield
    except OSError as error:
        # The block may work on more than the path; the system says on what it failed.
        at = f" ({error.filename})" if error.filename not in (None, str(path), path) else ""
        raise LakeError(
            f"cannot {doing} {path}: {error.strerror or error}{at}",
            mend=_MENDS.get(error.errno or 0, "check the volume that holds it"),
        ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Give a file new content in one step; a crash leaves the old content or the new one.

    The folder is created when absent. A crash may leave a file named ``.<name>.<random>.tmp``
    beside the target, which nothing reads.

    Parameters
    ----------
    path
        The file to create or replace.
    content
        All of its bytes.

    Raises
    ------
    LakeError
        The file cannot be written; what was there before is untouched.
    """
    with file_errors(path, "write"):
        _make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
        try:
            with temporary.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


@contextmanager
def file_lock(path: Path, *, timeout: float, exclusive: bool = True) -> Iterator[None]:
    """Hold an advisory lock on a file for the length of the block.

    The lock belongs to this call, not to the process: another thread waits like another process
    does, and taking the same lock again inside the block is not possible: it times out. The lock
    file stays; removing it would let two holders lock two files of the same name.

    Parameters
    ----------
    path
        The lock file, created when absent.
    timeout
        Seconds to wait for other holders; 0 tries once.
    exclusive
        Whether to keep everybody out (a writer) or only writers (a reader).

    Raises
    ------
    LakeError
        Somebody else held the lock for all of ``timeout``; names the process where it is known.
    """
    with file_errors(path, "lock"):
        _make_folder(path.parent)
        # A reader opens for reading, so that a read-only lake can still be read.
        access = os.O_RDWR if exclusive else os.O_RDONLY
        descriptor = os.open(path, access | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _wait_for_lock(path, descriptor, timeout, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        if exclusive:
            # Only for the message of whoever waits in vain; the lock itself is the kernel's. Of a
            # fixed width, because ext4 flushes a file that is truncated and rewritten.
            with suppress(OSError):
                os.pwrite(descriptor, f"{os.getpid():<{_PROCESS_ID_WIDTH}}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines durably with a single write; the caller holds the file's lock.

    Parameters
    ----------
    path
        The file, created when absent together with its folder.
    lines
        Lines without their line ends.

    Raises
    ------
    LakeError
        The file ends in a torn line, or the lines cannot be written; a refused write is taken
        back, so that the file is as it was.
    """
    if any(b"\n" in line for line in lines):
        raise ValueError("a line must not contain a line end")
    if not lines:
        return
    content = b"\n".join(lines) + b"\n"
    with file_errors(path, "append to"):
        _make_folder(path.parent)
        is_new = not path.exists()
        with path.open("ab+", buffering=0) as stream:
            descriptor = stream.fileno()
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                raise LakeError(
                    f"{path} ends in a torn line",
                    expected="a line end",
                    mend="set the torn line aside before appending",
                )
            try:
                _write_all(descriptor, content)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        if is_new:
            _sync_folder(path.parent)


def complete_lines(path: Path) -> tuple[list[bytes], bytes]:
    """Read a file of lines.

    Parameters
    ----------
    path
        The file; an absent file has no lines.

    Returns
    -------
    tuple[list[bytes], bytes]
        The finished lines without their line ends, and what follows the last line end: empty, or
        the line that a crash cut short.
    """
    with file_errors(path, "read"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return [], b""
    *lines, tail = content.split(b"\n")
    return lines, tail


def set_aside_torn_tail(path: Path) -> Path | None:
    """Move a torn last line to ``<name>.torn-<n>`` beside its file; the caller holds the lock.

    The copy is durable before the file is cut, so a crash in between leaves the torn line twice
    and never not at all.

    Parameters
    ----------
    path
        The file of lines; it may be absent.

    Returns
    -------
    pathlib.Path or None
        Where the torn line is now, or None if the file ends in a whole line.
    """
    with file_errors(path, "set aside the torn line of"):
        try:
            with path.open("rb+") as stream:
                size = stream.seek(0, os.SEEK_END)
                whole = _end_of_last_line(stream.fileno(), size)
                if whole == size:
                    return None
                torn = os.pread(stream.fileno(), size - whole, whole)
                aside = _free_name(path)
                write_atomic(aside, torn)
                stream.truncate(whole)
                os.fsync(stream.fileno())
                return aside
        except FileNotFoundError:
            return None


def sync_volume(folder: Path) -> None:
    """Make durable all that was written on a folder's volume, by whomever.

    For many new files at once: one flush costs as much as those of two or three files.

    Parameters
    ----------
    folder
        A folder of the volume.

    Raises
    ------
    OSError
        The volume could not take all of it.
    """
    syncfs = getattr(_LIBC, "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, each durable in the one above."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wait_for_lock(path: Path, descriptor: int, timeout: float, kind: int) -> None:
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LakeError(
                    f"{path} is locked by {_holder(descriptor)} for more than {timeout:g} s",
                    mend="wait for it to finish, or end it, and run again",
                ) from None
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            return


def _holder(descriptor: int) -> str:
    """Name the process that wrote its id into the lock file, if it is still alive."""
    text = os.pread(descriptor, _PROCESS_ID_WIDTH, 0).decode(errors="replace").strip()
    if text.isdigit():
        try:
            os.kill(int(text), 0)
        except ProcessLookupError:
            pass
        except PermissionError:
            return f"process {text} of another user"
        else:
            return f"process {text}"
    return "another process"


def _write_all(descriptor: int, content: bytes) -> None:
    """Write everything; a volume that is nearly full takes a part before it refuses the rest."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Return the offset after the last line end, reading from the end of the file."""
    block = 1 << 16
    stop = size
    while stop > 0:
        start = max(0, stop - block)
        found = os.pread(descriptor, stop - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.torn-{number}")).exists():
        number += 1
    return aside
