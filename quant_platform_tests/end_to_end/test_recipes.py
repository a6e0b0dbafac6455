"""The recipes of docs/how-to, followed by machine: what a document shows is what is done here.

A fenced block is a step. Of ``bash`` blocks the lines are run: ``cp`` as it stands, ``quant`` on
the project (``quant run`` up to this market's last day), ``make`` by its lines in the Makefile. A
``diff`` block names a file, and in it the lines that go must be there, once, before those that come
take their place. Whatever a recipe does not show is not done.

The market is small and its look-backs are short, all by environment variables, as a user sets them.
It is filled once; a recipe is followed on a copy. Partitions are replaced and never changed in
place, so that copies may share their files.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Entry
from quant_platform_tests.cli.command_line import SYMBOLS, quant
from quant_platform_tests.end_to_end.projects import environment, lay_out
from quant_platform_tests.small_project import REPOSITORY

HOW_TO = REPOSITORY / "docs" / "how-to"
SLEEVES = ("crypto", "etfs", "instruments")


def short(sleeve: str) -> dict[str, str]:
    """Look-backs of a few sessions for a sleeve."""
    prefix = f"QUANT_SLEEVES__{sleeve.upper()}__"
    return {
        f"{prefix}SELECTION__LOOKBACK_SESSIONS": "3",
        f"{prefix}PORTFOLIO__LOOKBACK": "3",
        f"{prefix}PORTFOLIO__MIN_ROWS": "2",
        # Nobody has 20 bars yet.
        f"{prefix}SELECTION__VETOES__IDLE_SESSIONS": "null",
        # Three days of a wild coin are no year.
        f"{prefix}SELECTION__VETOES__ANNUAL_VOLATILITY": "5.0",
    }


FIRST, DECIDED, LAST = date(2022, 1, 3), date(2022, 1, 11), "2022-01-12"
MARKET = {
    # Everything from the first session on: one run for each job.
    "QUANT_PLATFORM__WALK_FORWARD_START": FIRST.isoformat(),
    "QUANT_EXECUTION__OPENED": FIRST.isoformat(),
    # A mean of volumes takes longer than these few sessions.
    "QUANT_SLEEVES__ETFS__UNIVERSE__MIN_MEAN_VOLUME": "null",
    "QUANT_PLATFORM__REBALANCE__STEP": "1",
    "QUANT_METAS__META__TRAIN": "3",
    "QUANT_METAS__META__MIN_JOINT": "2",
    # Without its presets a scanner asks for nothing that takes a month to know.
    **{
        f"QUANT_SCANNERS__{name.upper()}__{key}": value
        for name in ("binance_spot_trend", "etf_equity_momentum", "us_trend")
        for key, value in {
            "BASE_PRESET": "null",
            "EXCHANGES": "[BINANCE]" if name.startswith("binance") else "[]",
            "FILTERS": "[{left: close, operation: egreater, right: 0}]",
            "LIMIT": "25",
        }.items()
    },
    **{name: value for sleeve in SLEEVES for name, value in short(sleeve).items()},
}
"""Settings of the small market."""


@dataclass
class Reader:
    """Somebody who has a project and follows a document to the letter.

    Parameters
    ----------
    folder
        The project.
    settings
        Variables of the environment that make the market small.
    last
        Last day of ``quant run``.
    """

    folder: Path
    settings: dict[str, str]
    last: str = LAST

    def quant(self, *arguments: str) -> str:
        """Run ``quant``; return what it printed."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.settings.items():
                patch.setenv(name, value)
            answer = quant(self.folder, *arguments)
        assert answer.code == 0, answer.err
        return answer.out

    def python(self, *arguments: str) -> str:
        """Run this Python; return what it printed."""
        raise AssertionError(f"python {arguments} is for who has the package at hand")

    def follow(self, document: str, heading: str) -> list[str]:
        """Do every step of a document below one of its headings; return what queries printed."""
        answers = []
        for language, block in steps(document, heading):
            if language == "diff":
                edit(self.folder, block)
                continue
            for line in block.splitlines():
                command, *arguments = shlex.split(line)
                if command == "cp":
                    source, target = (self.folder / name for name in arguments)
                    assert not target.exists()
                    shutil.copy(source, target)
                elif command == "make":
                    self._make(*arguments)
                elif command == "quant" and arguments == ["run"]:
                    self.quant("run", "--to", self.last, "--json")
                elif command == "quant" and arguments[0] == "sql":
                    answers.append(self.quant(*arguments, "--json"))
                else:
                    raise AssertionError(f"{document}: nobody knows how to do {line!r}")
        return answers

    def _make(self, target: str) -> None:
        """Run the commands of one of the Makefile's targets."""
        rules = (REPOSITORY / "Makefile").read_text()
        found = re.search(rf"^{target}:.*\n((?:\t.+\n)+)", rules, re.MULTILINE)
        assert found is not None, target
        for line in found[1].splitlines():
            program, *arguments = shlex.split(line)
            if program == "$(BIN)/quant":
                self.quant(*arguments)
            else:
                assert program == "$(BIN)/python", line
                self.python(*arguments)

    @property
    def lake(self) -> Lake:
        """Lake of the project."""
        return Lake.open(self.folder / "lakehouse")

    def stored(self, *branches: str) -> dict[tuple[str, date], Entry]:
        """Provenance of each stored session of these branches' tables."""
        return {
            (table, session): entry
            for table in self.lake.tables()
            if table.split("/")[0] in branches
            for session, entry in self.lake.entries(table).items()
        }

    def rows(self, table: str, session: date = DECIDED) -> pl.DataFrame:
        """Rows of a session."""
        return self.lake.scan(table, [session]).collect()

    def touched(self, before: Mapping[tuple[str, date], Entry]) -> set[str]:
        """Tables of which a stored session was made again."""
        now = self.stored(*{table.split("/")[0] for table, _ in before})
        return {
            table
            for (table, session), entry in before.items()
            if now[table, session].stamp.run_id != entry.stamp.run_id
        }

    def altered(self, before: Mapping[tuple[str, date], Entry]) -> set[str]:
        """Tables of which a stored session came out different."""
        now = self.stored(*{table.split("/")[0] for table, _ in before})
        return {
            table
            for (table, session), entry in before.items()
            if now[table, session].content_hash != entry.content_hash
        }


def steps(document: str, heading: str) -> Iterator[tuple[str, str]]:
    """Yield language and text of the fenced blocks below a heading."""
    sections = re.split(r"^## (.+)\n", (HOW_TO / document).read_text(), flags=re.MULTILINE)
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    found = re.findall(r"^```(\w+)\n(.*?)^```$", told[heading], re.MULTILINE | re.DOTALL)
    assert found, f"{document}: {heading} shows nothing to do"
    yield from found


def edit(folder: Path, block: str) -> None:
    """Make the edits of a ``diff`` block; each must fit in exactly one place."""
    head, _, body = block.partition("\n")
    path = folder / head.removeprefix("--- ")
    text = path.read_text()
    for hunk in body.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in f" {mark}") for mark in "-+")
        assert text.count(old) == 1, f"{path.name} has {text.count(old)} places for:\n{old}"
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes") / "filled"
    folder.mkdir()
    lay_out(folder, sleeves=SLEEVES)
    Reader(folder, MARKET).quant("run", "--to", LAST, "--json")
    return folder


@pytest.fixture
def reader(filled: Path, tmp_path: Path) -> Reader:
    return Reader(copy_of(filled, tmp_path / "project"), dict(MARKET))


def copy_of(filled: Path, folder: Path) -> Path:
    def share(source: str, target: str) -> None:
        if source.endswith(".parquet"):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(filled, folder, copy_function=share)
    return folder


def kinds(lake: Lake, branch: str) -> set[str]:
    return {name for known, _, name in (t.partition("/") for t in lake.tables()) if known == branch}


def test_a_sleeve_is_a_file_and_joins_the_meta_by_a_line(reader: Reader) -> None:
    before = reader.stored(*SLEEVES, "market", "meta", "execution")
    assert {table.split("/")[0] for table, _ in before} == {*SLEEVES, "market", "meta", "execution"}
    reader.settings |= short("bluechips")
    (names,) = reader.follow("add-a-sleeve.md", "The file")

    assert kinds(reader.lake, "bluechips") == kinds(reader.lake, "instruments")
    for kind in kinds(reader.lake, "bluechips"):
        days = [reader.lake.sessions(f"{sleeve}/{kind}") for sleeve in ("bluechips", "instruments")]
        assert days[0] == days[1] != []
    assert reader.rows("bluechips/securities", FIRST)["security_id"].n_unique() > SYMBOLS
    profiles = {row["profile"]: row["names"] for row in map(json.loads, names.splitlines())}
    assert profiles.keys() == {"equal_weight", "hrp", "min_variance"}
    assert min(profiles.values()) > 1
    assert reader.touched(before) == set()

    (weights,) = reader.follow("add-a-sleeve.md", "Into the meta")
    held = {row["sleeve"] for row in map(json.loads, weights.splitlines())}
    assert held == {"bluechips", *SLEEVES}
    # The account's past is a record: it follows the new meta from the next evening on.
    assert {table.split("/")[0] for table in reader.touched(before)} == {"meta"}
    targets = reader.rows("meta/target_portfolio")["security_id"]
    assert targets.str.starts_with("bluechips-").any()


def test_a_scanner_is_a_file_and_a_name(tmp_path: Path) -> None:
    """Numbers as shipped, so that there must be history: 22 sessions for a volatility."""
    lay_out(tmp_path, sleeves=("instruments",))
    settings = {
        "QUANT_PLATFORM__WALK_FORWARD_START": "2022-02-03",
        # Enough stocks that some are listed, liquid and a little oversold.
        "QUANT_SLEEVES__INSTRUMENTS__SYMBOLS": "24",
    }
    reader = Reader(tmp_path, settings, "2022-02-08")
    reader.quant("run", "--to", reader.last, "--json")
    before = reader.stored("instruments")
    scans, candidates = reader.follow("add-a-scanner.md", "The file")

    sessions = reader.lake.sessions("instruments/scan_mild_reversion")
    assert sessions == reader.lake.sessions("instruments/scan_mean_reversion")
    assert len(sessions) == 4
    audit = [json.loads(line) for line in scans.splitlines()]
    found = {row["symbol"] for row in audit if row["passed"]}
    assert found
    assert found < {row["symbol"] for row in audit}  # rejects are kept
    named = {row["symbol"]: row["scanners"] for row in map(json.loads, candidates.splitlines())}
    assert {symbol for symbol, names in named.items() if "mild_reversion" in names} == found
    rows = reader.rows("instruments/scan_mild_reversion", sessions[-1])
    asked = rows.filter("passed")["passes"].explode().struct.unnest()
    thresholds = dict(zip(asked["rule"], asked["threshold"], strict=True))
    numbers = ("RSI less", "Volatility.M eless", "limit")
    assert [thresholds[rule] for rule in numbers] == [50, 0.08, 20]
    assert reader.touched(before) <= {
        f"instruments/{kind}"
        for kind in (
            *("candidates", "scan_overlap", "features_garch", "clusters", "selection"),
            *("weights", "holdings", "profile_returns"),
        )
    }
    assert "instruments/candidates" in reader.touched(before)


class Editor(Reader):
    """Reader with the package itself in the project's folder, which is what runs there."""

    def quant(self, *arguments: str) -> str:
        """Run ``quant`` in a process of its own; return what it printed."""
        return self.python("-m", "quant_platform.cli", *arguments)

    def python(self, *arguments: str) -> str:
        """Run this Python on the package in the folder; return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={
                **environment(self.folder, SYMBOLS),
                **self.settings,
                "PYTHONPATH": str(self.folder),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def editor(filled: Path, tmp_path: Path) -> Editor:
    folder = copy_of(filled, tmp_path / "project")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "quant_platform", folder / "quant_platform", ignore=ignore)
    shutil.copytree(REPOSITORY / "docs", folder / "docs")
    return Editor(folder, MARKET)


@pytest.mark.slow
def test_a_profile_is_a_function_and_its_name(editor: Editor) -> None:
    before, shipped = editor.stored(*SLEEVES), contents(editor.folder)
    editor.follow("add-a-profile.md", "The method")
    (returns,) = editor.follow("add-a-profile.md", "Into the tournament")

    assert {name for name, _ in contents(editor.folder) ^ shipped} == {
        "assets_config/meta/meta.yaml",
        *(f"assets_config/sleeves/{sleeve}.yaml" for sleeve in SLEEVES),
        "quant_platform/portfolio/profiles.py",
        "quant_platform/settings/portfolio.py",
        "docs/reference/configuration.md",
        "docs/reference/schemas/meta.json",
        "docs/reference/schemas/sleeve.json",
    }
    sessions = {r["profile"]: r["sessions"] for r in map(json.loads, returns.splitlines())}
    assert sessions.keys() == {"equal_weight", "hrp", "inverse_volatility", "min_variance"}
    assert len(set(sessions.values())) == 1
    for sleeve in SLEEVES:
        weights = own(editor.rows(f"{sleeve}/weights"))
        assert weights["weight"].sum() == pytest.approx(1)
        assert set(weights["requested"]) == {"inverse_volatility"}
        assert own(editor.rows(f"{sleeve}/profile_returns")).height == 1
    actual = pl.concat(editor.rows(f"{sleeve}/weights") for sleeve in SLEEVES)
    assert own(actual)["actual"].str.starts_with("inverse_volatility").any()
    for kind in ("returns", "weights", "target_portfolio", "holdings", "portfolio_returns"):
        assert own(editor.rows(f"meta/{kind}")).height > 0
    altered = {table.split("/")[1] for table in editor.altered(before)}
    assert altered == {"weights", "holdings", "profile_returns"}


def own(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("profile") == "inverse_volatility")


def contents(folder: Path) -> set[tuple[str, bytes]]:
    """Files of the project and what is in them; the data and what Python leaves behind apart."""
    return {
        (str(file.relative_to(folder)), file.read_bytes())
        for part in ("assets_config", "quant_platform", "docs")
        for file in (folder / part).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_an_edit_that_fits_nowhere_is_refused(tmp_path: Path) -> None:
    """The twin: a document that has fallen behind the files fails."""
    file = tmp_path / "meta.yaml"
    file.write_text("members: [crypto]\n")
    with pytest.raises(AssertionError, match="0 places"):
        edit(tmp_path, "--- meta.yaml\n-members: [etfs]\n+members: [crypto, etfs]\n")
    file.write_text("a: 1\na: 1\n")
    with pytest.raises(AssertionError, match="2 places"):
        edit(tmp_path, "--- meta.yaml\n-a: 1\n+a: 2\n")
