"""The provenance log: append-only, read as far as it is whole, last line of a session counts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_platform.errors import LakeError
from quant_platform.lakehouse.provenance import Entry, ProvenanceLog, outcome_frame
from quant_platform.lakehouse.rules import OUTCOME_SCHEMA
from quant_platform_tests.lakehouse.small_lake import SESSIONS, stamp

OUTCOME = {
    "rule": "row_count",
    "severity": "warning",
    "passed": True,
    "value": 0.1 + 0.2,
    "threshold": 0.5,
    "cause": "a 'quoted' \n cause \u2028 …",
}


def entry(session: date = SESSIONS[0], content: str = "c1") -> Entry:
    return Entry(
        table="instruments/bars",
        session=session,
        schema_version=1,
        content_hash=content,
        input_hash="i1",
        rows=3,
        size=100,
        verdict="passed",
        stamp=stamp(),
        outcomes=(OUTCOME,),
        checksum="f" * 64,
    )


@pytest.fixture
def log(tmp_path: Path) -> ProvenanceLog:
    return ProvenanceLog(tmp_path / "bars.jsonl")


@given(
    note=st.text(),
    value=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    cause=st.one_of(st.none(), st.text()),
    rows=st.integers(0, 2**40),
)
def test_an_entry_survives_its_line(
    note: str, value: float | None, cause: str | None, rows: int
) -> None:
    outcome = OUTCOME | {"value": value, "cause": cause}
    before = replace(entry(), note=note, rows=rows, outcomes=(outcome,))
    line = before.to_json()
    assert Entry.from_json(line) == before
    assert len(line.encode().splitlines()) == 1


def test_the_last_line_of_a_session_counts(log: ProvenanceLog) -> None:
    assert log.latest() == {}
    log.append([entry(content="c1"), entry(SESSIONS[1])])
    log.append([entry(content="c2")])
    log.append([])
    for reader in (log, ProvenanceLog(log.path)):
        found = reader.latest()
        assert {day: found[day].content_hash for day in found} == {
            SESSIONS[0]: "c2",
            SESSIONS[1]: "c1",
        }
    assert [e.content_hash for e in log.history(SESSIONS[0])] == ["c1", "c2"]
    assert log.history(SESSIONS[5]) == []


def test_a_reader_follows_what_others_append(log: ProvenanceLog) -> None:
    other = ProvenanceLog(log.path)
    for number in range(4):
        log.append([entry(content=f"c{number}"), entry(SESSIONS[number + 1])])
        assert other.latest()[SESSIONS[0]].content_hash == f"c{number}"
        assert len(other.latest()) == number + 2


def test_a_log_that_was_moved_away_or_replaced_is_read_anew(log: ProvenanceLog) -> None:
    log.append([entry(content="c1"), entry(SESSIONS[1])])
    assert len(log.latest()) == 2
    aside = log.path.rename(log.path.with_suffix(".aside"))
    assert log.latest() == {}
    log.append([entry(content="other")])
    assert [e.content_hash for e in log.latest().values()] == ["other"]
    aside.replace(log.path)
    assert log.latest()[SESSIONS[0]].content_hash == "c1"
    assert len(log.latest()) == 2


def test_a_torn_last_line_is_not_read_and_set_aside_by_the_next_writer(log: ProvenanceLog) -> None:
    log.append([entry(content="c1")])
    whole = log.path.read_bytes()
    torn = entry(content="c2").to_json().encode()[:40]
    log.path.write_bytes(whole + torn)
    assert log.latest()[SESSIONS[0]].content_hash == "c1"
    assert [e.content_hash for e in log.history(SESSIONS[0])] == ["c1"]
    aside = log.append([entry(content="c3")])
    assert aside is not None
    assert aside.read_bytes() == torn
    assert log.latest()[SESSIONS[0]].content_hash == "c3"
    assert log.path.read_bytes().startswith(whole)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"",
        b'{"session":"2024-01-02"}',
        b'{"session":"2024-13-99"}',
        b"[]",
        b"null",
        b"\xff\xfe",
    ],
)
def test_a_broken_line_is_a_sentence(log: ProvenanceLog, line: bytes) -> None:
    log.append([entry(SESSIONS[3])])
    with log.path.open("ab") as stream:
        stream.write(line + b"\n")
    for reading in (log.latest, lambda: log.history(SESSIONS[0])):
        with pytest.raises(LakeError, match=r"line 2 of .* is not a provenance entry") as told:
            reading()
        assert "doctor --repair" in str(told.value)


def test_a_later_line_says_where_in_the_file_it_is(log: ProvenanceLog) -> None:
    log.append([entry(day) for day in SESSIONS[:4]])
    log.latest()
    with log.path.open("ab") as stream:
        stream.write(b"garbage\n")
    with pytest.raises(LakeError, match="line 5 of"):
        log.latest()


def test_unknown_fields_of_a_line_are_refused(log: ProvenanceLog) -> None:
    record = json.loads(entry().to_json()) | {"surplus": 1}
    log.path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    with pytest.raises(LakeError, match="not a provenance entry"):
        log.latest()


def test_a_log_that_cannot_be_read_is_a_sentence(log: ProvenanceLog) -> None:
    log.path.mkdir()
    with pytest.raises(LakeError, match="cannot read"):
        log.latest()


@pytest.mark.parametrize("changed", ["input_hash", "code_version", "config_hash"])
def test_made_by_compares_inputs_code_and_settings(changed: str) -> None:
    made = {"input_hash": "i1", "code_version": "code-1", "config_hash": "config-1"}
    assert entry().made_by(**made)
    assert not entry().made_by(**(made | {changed: "other"}))


def test_outcomes_become_rows_of_the_checks_table() -> None:
    frame = outcome_frame([entry(SESSIONS[0]), replace(entry(SESSIONS[1]), outcomes=())])
    assert frame.schema == OUTCOME_SCHEMA
    assert frame.to_dicts() == [{"session": SESSIONS[0], **OUTCOME}]
    assert outcome_frame([]).schema == OUTCOME_SCHEMA
