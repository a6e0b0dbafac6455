"""The command line in this process: settings from a folder, output and exit code in hand."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from quant_platform.cli.main import invoke
from quant_platform_tests.end_to_end.projects import environment

SYMBOLS = 4


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its output as JSON; nothing else may be in it."""
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        """Its output as JSON, one value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def quant(folder: Path, *arguments: str) -> Answer:
    """Run ``quant`` with arguments on the project in a folder."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment(folder, SYMBOLS).items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["quant", *arguments])
        code = invoke(list(arguments))
    return Answer(code, out.getvalue(), err.getvalue())


@contextmanager
def instance_of(folder: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance of the project in a folder."""
    home = folder / "dagster_home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
