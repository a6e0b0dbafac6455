"""A folder that is delivered again and again, and a lake that takes in sessions in between."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from quant_platform.market.import_report import ImportReport, report_of
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.sources.files import Again, FilesSource, FolderReader, ImportStore, read_mapping
from quant_platform_tests.sources.files.folders import FIRST, SLEEVE, write
from quant_platform_tests.sources.markets import NYSE


@dataclass
class Deliveries:
    """One import after the other, as ``quant import`` makes them."""

    root: Path
    mapping: str | None = None
    told: date | None = field(default=None, init=False)
    hours: int = 10

    def now(self) -> datetime:
        """Return when the next import is made: some hours after the last session taken in."""
        return NYSE.cutoff(self.told or FIRST) + timedelta(hours=self.hours)

    def deliver(
        self,
        tables: dict[str, pl.DataFrame | str],
        symbols: Collection[str] | None = None,
    ) -> ImportReport:
        """Write files and import them; nothing is taken in if the report refuses it."""
        folder = write(self.root / "in", tables)
        path = None
        if self.mapping is not None:
            path = self.root / "mapping.yaml"
            path.write_text(self.mapping, encoding="utf-8")
        reader = FolderReader(folder, read_mapping(path), NYSE, {"bars": 30})
        store = ImportStore.of(self.root / "lake", SLEEVE)
        before = store.manifest()
        again = None if self.told is None else Again(NYSE.cutoff(self.told), self.now(), symbols)
        prepared = store.prepare(reader, before, again)
        report = report_of(prepared, NYSE, HygieneSettings(), before)
        if not report.refusals:
            store.commit(prepared, self.now())
        return report

    def take(self, session: date) -> None:
        """Have the lake take in everything up to a session."""
        self.told = session

    def known(self, kind: str, session: date) -> pl.DataFrame:
        """Rows of a kind that are known at the cutoff of a session."""
        source = FilesSource(self.root / "lake", (SLEEVE,))
        answer = getattr(source, kind)(NYSE, SLEEVE, NYSE.between(FIRST, session))
        assert isinstance(answer, pl.DataFrame)
        return answer
