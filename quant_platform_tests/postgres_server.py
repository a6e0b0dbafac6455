"""A private Postgres server for a test: its own folder, a unix socket, stopped by its own process.

Postgres refuses to run as root; where the tests do, the server runs as ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0
OWNER = "quant"


def postgres_programs() -> Path | None:
    """Find the folder of ``initdb`` and ``postgres``; Debian keeps them out of the path."""
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = ([Path(on_path).resolve()] if on_path else []) + installed[::-1]
    return found[0].parent if found else None


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """Run a server for the length of the block.

    Parameters
    ----------
    programs
        Folder of ``initdb`` and ``postgres``.

    Yields
    ------
    str
        URL of its database, for SQLAlchemy with psycopg2.
    """
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", OWNER, "--auth=trust", "-E", "UTF8", "-N"],
            check=True,
            capture_output=True,
            cwd=folder,
            user=user,
        )
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                user=user,
            )
        try:
            url = f"postgresql+psycopg2://{OWNER}@/postgres?host={folder}"
            _wait(url, server, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # A fast shutdown: clients are disconnected.
            server.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg2

    until = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg2.connect(url.replace("+psycopg2", "")).close()
            return
        except psycopg2.OperationalError as error:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Postgres did not start: {log.read_text()}") from error
            time.sleep(0.1)
