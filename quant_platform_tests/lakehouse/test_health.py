"""The health of a lake: each kind of damage is found, and a lost log is rebuilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import LakeError
from quant_platform.lakehouse.contracts import CONTRACTS, Contract
from quant_platform.lakehouse.health import examine, rebuild_log
from quant_platform.lakehouse.lake import Lake
from quant_platform_tests.lakehouse.small_lake import (
    SESSIONS,
    TREND_TABLE,
    open_lake,
    trend_frame,
    write,
)

DAYS = SESSIONS[:4]
BLOCKED = DAYS[2]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path)
    write(lake, TREND_TABLE, trend_frame(DAYS), verdicts={BLOCKED: "blocked"})
    return lake


def sentences(lake: Lake, *, deep: bool = False) -> list[str]:
    return [finding.sentence for finding in examine(lake, TREND_TABLE, deep=deep)]


def test_a_healthy_table_has_no_findings(lake: Lake) -> None:
    assert sentences(lake) == sentences(lake, deep=True) == []


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "sentence", "deep"),
    [
        (lambda path: path.unlink(), "is gone", False),
        (lambda path: path.write_bytes(b"short"), "is not what was written", False),
        (_flip, "changed after the write", True),
    ],
    ids=["gone", "short", "flipped"],
)
@pytest.mark.parametrize("session", [DAYS[1], BLOCKED], ids=["passed", "blocked"])
def test_damage_is_found(
    lake: Lake,
    spoil: Callable[[Path], None],
    sentence: str,
    deep: bool,
    session: object,
) -> None:
    layout = lake.layout(TREND_TABLE)
    path = layout.blocked(BLOCKED) if session == BLOCKED else layout.part(DAYS[1])
    spoil(path)
    (found,) = examine(lake, TREND_TABLE, deep=deep)
    assert sentence in found.sentence
    assert str(path) in found.sentence
    assert found.session == session
    if deep:
        assert sentences(lake) == []


def test_rows_that_are_not_those_of_the_log_are_found(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    text = layout.log.read_text()
    hashed = lake.provenance(TREND_TABLE, DAYS[0]).content_hash
    layout.log.write_text(text.replace(hashed, "0" * 64))
    (found,) = examine(Lake.open(lake.root), TREND_TABLE, deep=True)
    assert "are not those in the log" in found.sentence


def test_traces_of_a_crash_are_found(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    layout.pending.write_text(f"{DAYS[0]}")
    assert ["interrupted" in sentence for sentence in sentences(lake)] == [True]
    layout.pending.unlink()
    with layout.log.open("ab") as stream:
        stream.write(b'{"torn')
    assert ["torn line" in sentence for sentence in sentences(lake)] == [True]


def test_files_that_no_log_names_are_found(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    stray = layout.part(BLOCKED)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(layout.blocked(BLOCKED).read_bytes())
    assert [str(stray) in sentence for sentence in sentences(lake)] == [True]
    stray.unlink()
    layout.log.unlink()
    assert len(sentences(Lake.open(lake.root))) == len(DAYS)


def test_a_lost_log_is_rebuilt_with_blocked_sessions_and_without_strangers(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    before = lake.entries(TREND_TABLE)
    layout.log.rename(layout.log.with_suffix(".lost"))
    stranger = layout.part(SESSIONS[5])
    stranger.parent.mkdir()
    stranger.write_bytes(layout.part(DAYS[0]).read_bytes())
    unreadable = layout.part(SESSIONS[6])
    unreadable.parent.mkdir()
    unreadable.write_bytes(b"not parquet")
    survivor = Lake.open(lake.root, clock=lake.clock)
    assert rebuild_log(survivor, TREND_TABLE) == len(DAYS)
    assert survivor.entries(TREND_TABLE) == before
    assert survivor.scan(TREND_TABLE).collect()["session"].to_list() == [DAYS[0], DAYS[1], DAYS[3]]
    assert rebuild_log(survivor, TREND_TABLE) == 0


def test_a_rebuilt_log_takes_the_newest_schema_version(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = lake.layout(TREND_TABLE).part(DAYS[0])
    content = old.read_bytes()
    first = CONTRACTS["features_trend"]
    second = Contract(first.kind, first.schema, 2, first.grain, upgrades={1: lambda rows: rows})
    monkeypatch.setitem(CONTRACTS, "features_trend", second)
    later = Lake.open(lake.root, clock=lake.clock)
    write(later, TREND_TABLE, trend_frame([DAYS[0]], close=11.0))
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(content)
    later.layout(TREND_TABLE).log.unlink()
    survivor = Lake.open(lake.root, clock=lake.clock)
    assert rebuild_log(survivor, TREND_TABLE) == len(DAYS)
    versions = {day: entry.schema_version for day, entry in survivor.entries(TREND_TABLE).items()}
    assert versions == {DAYS[0]: 2, DAYS[1]: 1, BLOCKED: 1, DAYS[3]: 1}
    frame = survivor.scan(TREND_TABLE, [DAYS[0]]).collect()
    assert frame["close"].to_list() == [11.0]


def test_a_log_that_is_not_one_is_an_error(lake: Lake) -> None:
    lake.layout(TREND_TABLE).log.write_text("garbage\n")
    with pytest.raises(LakeError, match="not a provenance entry"):
        list(examine(Lake.open(lake.root), TREND_TABLE))


def test_a_rebuilt_log_does_not_touch_what_is_known(lake: Lake) -> None:
    layout = lake.layout(TREND_TABLE)
    lines = layout.log.read_bytes().splitlines(keepends=True)
    layout.log.write_bytes(b"".join(lines[:-1]))
    survivor = Lake.open(lake.root, clock=lake.clock)
    assert rebuild_log(survivor, TREND_TABLE) == 1
    assert layout.log.read_bytes().startswith(b"".join(lines[:-1]))
    assert pl.Series(survivor.sessions(TREND_TABLE)).to_list() == [DAYS[0], DAYS[1], DAYS[3]]
