"""``quant ui``: the Dagster UI and daemon over this project's instance."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from quant_platform.cli.project import Project

app = typer.Typer(add_completion=False)


@app.command()
def ui_command() -> None:
    """Start the Dagster UI and its daemon on the address in platform.ui; stop with Ctrl-C."""
    project = Project.open()
    settings = project.settings
    project.instance.dispose()
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["QUANT_PROJECT"] = str(settings.project_root)
    os.chdir(settings.project_root)
    # Dagster warns of its own beta features at each definition; nothing a user could act upon.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    address = settings.platform.ui
    typer.echo(f"Dagster UI on http://{address.host}:{address.port}")
    dagster = str(Path(sys.executable).with_name("dagster"))
    arguments = ["dev", "-w", "workspace.yaml", "-h", address.host, "-p", str(address.port)]
    os.execv(dagster, [dagster, *arguments])  # noqa: S606 - no shell, fixed program
