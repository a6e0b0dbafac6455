"""Where things lie in the lake: the one place that knows its folders and file names.

::

    <root>/<table>/v<schema>/<partition column>=YYYY-MM-DD/part.parquet   current partition
    <root>/<table>/table.json                                      calendar and contract
    <root>/_blocked/<table>/v<schema>/…                            withdrawn by a blocking rule
    <root>/_superseded/<table>/v<schema>/…/<content hash>.parquet  replaced partitions
    <root>/_provenance/<table>.jsonl                               append-only log per table
    <root>/_provenance/<table>.pending                             sessions being written
    <root>/_locks/…                                                advisory locks
    <root>/quarantine/<table>/…                                    rejected rows, a table as well
    <root>/ledger/<type>/…                                         ledgers
    <root>/catalog.duckdb                                          views, opened read-only

Everything that is not a current partition starts with an underscore or has a name of its own, so
that a glob over the version folders finds the current rows and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from quant_platform.errors import LakeError
from quant_platform.lakehouse.contracts import Contract, contract_of

PART = "part.parquet"
DESCRIPTION = "table.json"


@dataclass(frozen=True)
class TableLayout:
    """Paths of one table in one lake."""

    root: Path
    table: str
    contract: Contract

    @classmethod
    def of(cls, root: Path, table: str) -> TableLayout:
        """Layout of a table by its name, refusing names that would leave the lake."""
        parts = table.split("/")
        if len(parts) < 2 or any(not p or p.startswith((".", "_")) for p in parts):
            raise LakeError(
                f"'{table}' is not a table name",
                expected="<branch>/<kind>, such as instruments/bars",
                mend="list the tables with 'quant doctor'",
            )
        return cls(root, table, contract_of(table))

    @property
    def folder(self) -> Path:
        """Folder of the current schema version's partitions."""
        return self.version_folder(self.contract.version)

    def version_folder(self, version: int) -> Path:
        """Folder of one schema version's partitions."""
        return self.root / self.table / f"v{version}"

    def _partition(self, session: date) -> str:
        return f"{self.contract.partition}={session.isoformat()}"

    def part(self, session: date, version: int | None = None) -> Path:
        """File of the current partition."""
        number = self.contract.version if version is None else version
        # Kept: each run asks for thousands of them several times, and a path is slow to make.
        kept = self._parts.get((session, number))
        if kept is None:
            kept = self.root.joinpath(self.table, f"v{number}", self._partition(session), PART)
            self._parts[session, number] = kept
        return kept

    @cached_property
    def _parts(self) -> dict[tuple[date, int], Path]:
        return {}

    def blocked(self, session: date, version: int | None = None) -> Path:
        """File of a partition that a blocking rule withdrew."""
        number = self.contract.version if version is None else version
        return self.root.joinpath(
            "_blocked", self.table, f"v{number}", self._partition(session), PART
        )

    def superseded_folder(self, session: date, version: int | None = None) -> Path:
        """Folder of the partition's earlier contents."""
        number = self.contract.version if version is None else version
        folder = self.root / "_superseded" / self.table / f"v{number}"
        return folder / self._partition(session)

    def files(self) -> list[Path]:
        """Every partition file of every schema version, the withdrawn ones included."""
        tops = (self.root / self.table, self.root / "_blocked" / self.table)
        return [path for top in tops for path in sorted(top.glob(f"v*/*/{PART}"))]

    @property
    def log(self) -> Path:
        """Append-only provenance log."""
        return self.root / "_provenance" / f"{self.table}.jsonl"

    @property
    def pending(self) -> Path:
        """List of the sessions that a writer is about to replace."""
        return self.root / "_provenance" / f"{self.table}.pending"

    @property
    def lock(self) -> Path:
        """Lock of the table's single writer."""
        return self.root / "_locks" / f"{self.table.replace('/', '.')}.lock"

    @property
    def description(self) -> Path:
        """What the table is: calendar, contract, grain."""
        return self.root / self.table / DESCRIPTION


def table_names(root: Path) -> Iterator[str]:
    """Names of the tables that a lake holds, in order."""
    yield from _names_below(root, "")


def _names_below(folder: Path, prefix: str) -> Iterator[str]:
    """Names of the tables below a folder; a table's own thousands of folders are not entered."""
    for child in sorted(folder.iterdir()):
        if child.name.startswith(("_", ".")) or not child.is_dir():
            continue
        name = f"{prefix}{child.name}"
        if (child / DESCRIPTION).is_file():
            yield name
        else:
            yield from _names_below(child, f"{name}/")
