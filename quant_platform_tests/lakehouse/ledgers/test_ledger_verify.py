"""The verifier: silent on a whole ledger, and one finding for each kind of tampering."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.ledgers import Ledger, verify_ledgers
from quant_platform.lakehouse.ledgers.chain import Head, LedgerFolder
from quant_platform.lakehouse.ledgers.records import (
    LedgerLine,
    LedgerRecord,
    RecordType,
    checked,
)

DAYS = [date(2024, 3, day) for day in (1, 4, 5)]


def record(content: str, record_type: RecordType = "success", **payload: Any) -> LedgerRecord:
    return LedgerRecord(record_type, DAYS[0], "place", payload, "run-1", content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a lake with a ledger of three days with four lines each, one append per line."""
    root = tmp_path_factory.mktemp("lake")
    now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    ledger = Ledger(root, "orders", lambda: now)
    for day in DAYS:
        now = datetime.combine(day, now.timetz())
        for number in (1, 2):
            ledger.append(record(f"{day}-{number}", "intent", symbol="A", number=number))
            ledger.append(record(f"{day}-{number}", broker_id=number))
    return root


@pytest.fixture
def lake(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "lake")


def file_of(lake: Path, day: int) -> Path:
    return lake / "ledger" / "orders" / f"{DAYS[day].isoformat()}.jsonl"


def read(lake: Path, day: int) -> list[bytes]:
    return file_of(lake, day).read_bytes().splitlines(keepends=True)


def write(lake: Path, day: int, lines: list[bytes]) -> None:
    file_of(lake, day).write_bytes(b"".join(lines))


def problems(lake: Path) -> list[tuple[str, str, int | None]]:
    """Verify, and return what was found without its sentences."""
    (report,) = verify_ledgers(lake)
    for problem in report.problems:
        assert problem.sentence.startswith(problem.file)
        assert "\n" not in problem.sentence
    return [(problem.kind, problem.file, problem.line) for problem in report.problems]


def test_a_whole_ledger_has_no_problems(lake: Path) -> None:
    (report,) = verify_ledgers(lake)
    assert (report.files, report.lines, report.problems, report.set_aside) == (3, 12, (), ())


@pytest.mark.parametrize("day", [0, 1, 2])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_edited_value_is_one_altered_line(lake: Path, day: int, number: int) -> None:
    lines = read(lake, day)
    lines[number - 1] = lines[number - 1].replace(b"run-1", b"run-2")
    write(lake, day, lines)
    assert problems(lake) == [("altered", file_of(lake, day).name, number)]


def test_a_garbled_line_is_one_altered_line(lake: Path) -> None:
    lines = read(lake, 1)
    lines[1] = b"\x00" * (len(lines[1]) - 1) + b"\n"
    write(lake, 1, lines)
    found = problems(lake)
    # Line 2 of the day was the outcome of the intent in line 1.
    assert found == [
        ("altered", file_of(lake, 1).name, 2),
        ("orphan", file_of(lake, 1).name, 1),
    ]


def forged(line: bytes, **changes: Any) -> bytes:
    """Change a line and hash it anew, as somebody would who knows how ledgers work."""
    known = LedgerLine.from_json(line.rstrip(b"\n"))
    payload = known.payload | changes.pop("payload", {})
    values = {
        "seq": known.seq,
        "batch_seq": known.batch_seq,
        "ts_utc": known.ts_utc,
        "supersedes": known.supersedes,
        "prev_hash": known.prev_hash,
    } | changes
    told = LedgerRecord(
        known.record_type, known.session, known.action, payload, known.run_id, known.content_hash
    )
    return checked(told).seal(**values)[1] + b"\n"


def test_an_edited_line_with_a_new_hash_breaks_the_next_link(lake: Path) -> None:
    lines = read(lake, 1)
    lines[1] = forged(lines[1], payload={"broker_id": 99})
    write(lake, 1, lines)
    assert problems(lake) == [("broken link", file_of(lake, 1).name, 3)]


def test_an_edited_last_line_with_a_new_hash_is_not_the_line_of_head(lake: Path) -> None:
    lines = read(lake, 2)
    lines[3] = forged(lines[3], payload={"broker_id": 99})
    write(lake, 2, lines)
    assert problems(lake) == [("head", "HEAD", None)]


def test_a_first_line_that_names_an_earlier_one_is_no_start(lake: Path) -> None:
    lines = read(lake, 0)
    lines[0] = forged(lines[0], prev_hash="1" * 64)
    write(lake, 0, lines)
    assert problems(lake) == [
        ("missing start", file_of(lake, 0).name, 1),
        ("broken link", file_of(lake, 0).name, 2),
    ]


@pytest.mark.parametrize(
    ("day", "number", "expected"),
    [
        (0, 1, [("missing start", 0, 1)]),
        (1, 1, [("gap", 1, 1)]),
        (1, 2, [("gap", 1, 2), ("orphan", 1, 1)]),
        (1, 4, [("gap", 2, 1), ("orphan", 1, 3)]),
        (2, 4, [("truncated", None, None), ("orphan", 2, 3)]),
    ],
)
def test_a_deleted_line_is_missed(
    lake: Path, day: int, number: int, expected: list[tuple[str, int | None, int | None]]
) -> None:
    lines = read(lake, day)
    del lines[number - 1]
    write(lake, day, lines)
    assert problems(lake) == [
        (kind, "HEAD" if where is None else file_of(lake, where).name, line)
        for kind, where, line in expected
    ]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (0, [("missing start", 1, 1)]),
        (1, [("gap", 2, 1)]),
        (2, [("truncated", None, None)]),
    ],
)
def test_a_deleted_file_is_missed(
    lake: Path, day: int, expected: list[tuple[str, int | None, int | None]]
) -> None:
    file_of(lake, day).unlink()
    assert problems(lake) == [
        (kind, "HEAD" if where is None else file_of(lake, where).name, line)
        for kind, where, line in expected
    ]


def test_all_files_deleted_are_missed(lake: Path) -> None:
    for day in range(3):
        file_of(lake, day).unlink()
    assert problems(lake) == [("truncated", "HEAD", None)]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_lines_cut_off_the_end_are_missed(lake: Path, kept: int) -> None:
    write(lake, 2, read(lake, 2)[:kept])
    assert problems(lake)[0] == ("truncated", "HEAD", None)


def test_swapped_lines_are_out_of_order(lake: Path) -> None:
    lines = read(lake, 1)
    lines[1], lines[2] = lines[2], lines[1]
    write(lake, 1, lines)
    name = file_of(lake, 1).name
    assert problems(lake)[:2] == [("gap", name, 2), ("order", name, 3)]


def test_swapped_files_are_out_of_order(lake: Path) -> None:
    first, second = read(lake, 0), read(lake, 1)
    write(lake, 0, second)
    write(lake, 1, first)
    kinds = [kind for kind, _, _ in problems(lake)]
    assert {"missing start", "order", "misfiled"} <= set(kinds)


@pytest.mark.parametrize("day", [0, 1, 2])
def test_a_doubled_line_is_out_of_order(lake: Path, day: int) -> None:
    lines = read(lake, day)
    write(lake, day, [*lines[:2], lines[1], *lines[2:]])
    assert problems(lake) == [("order", file_of(lake, day).name, 3)]


def test_a_torn_line_is_reported_until_it_is_set_aside(lake: Path) -> None:
    lines = read(lake, 2)
    with file_of(lake, 2).open("ab") as stream:
        stream.write(lines[-1][:40])
    name = file_of(lake, 2).name
    assert problems(lake) == [("torn line", name, 5)]
    ledger = Ledger(lake, "orders", lambda: datetime(2024, 3, 6, tzinfo=UTC))
    assert [line.seq for line in ledger.lines()] == list(range(1, 13))

    ledger.append(record("after"))

    (report,) = verify_ledgers(lake)
    assert (report.problems, report.set_aside) == ((), (f"{name}.torn-1",))
    said = list(ledger.lines())[12]
    assert (said.record_type, said.action) == ("recovered", "torn_line")
    assert said.payload == {"set_aside": f"{name}.torn-1", "bytes": 40}


def test_a_line_cut_out_of_the_middle_is_torn(lake: Path) -> None:
    lines = read(lake, 0)
    write(lake, 0, [*lines[:3], lines[3][:-1]])
    found = problems(lake)
    assert found[0] == ("torn line", file_of(lake, 0).name, 4)
    assert ("gap", file_of(lake, 1).name, 1) in found


def test_head_behind_by_the_last_append_is_a_crash_and_is_repaired(lake: Path) -> None:
    lines = [line for day in range(3) for line in read(lake, day)]
    folder = LedgerFolder(lake, "orders")
    Head(11, json.loads(lines[10])["hash"]).write(folder)
    assert problems(lake) == []
    ledger = Ledger(lake, "orders", lambda: datetime(2024, 3, 6, tzinfo=UTC))
    assert ledger.append_many([]) == []
    assert Head.read(folder) == Head(12, json.loads(lines[11])["hash"])


@pytest.mark.parametrize("seq", [10, 1])
def test_head_behind_by_more_is_a_problem(lake: Path, seq: int) -> None:
    lines = [line for day in range(3) for line in read(lake, day)]
    Head(seq, json.loads(lines[seq - 1])["hash"]).write(LedgerFolder(lake, "orders"))
    assert problems(lake) == [("head", "HEAD", None)]


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b'{"seq":"12","hash":1}', b'{"hash":"short","seq":12}']
)
def test_head_missing_or_garbled_is_a_problem(lake: Path, content: bytes | None) -> None:
    head = lake / "ledger" / "orders" / "HEAD"
    if content is None:
        head.unlink()
    else:
        head.write_bytes(content)
    assert problems(lake) == [("head", "HEAD", None)]


def test_head_of_another_ledger_is_a_problem(lake: Path) -> None:
    Head(12, "a" * 64).write(LedgerFolder(lake, "orders"))
    assert problems(lake) == [("head", "HEAD", None)]


def test_intents_without_outcome_are_orphans(lake: Path) -> None:
    ledger = Ledger(lake, "orders", lambda: datetime(2024, 3, 5, 23, tzinfo=UTC))
    ledger.append(record("late", "intent"))
    assert problems(lake) == [("orphan", file_of(lake, 2).name, 5)]
    ledger.recover("run-2")
    assert problems(lake) == []


@pytest.mark.parametrize(
    ("content", "payload", "supersedes", "kind"),
    [
        ("2024-03-05-2", {"broker_id": 2}, None, "doubled"),
        ("2024-03-05-2", {"broker_id": 2}, 12, "doubled"),
        ("2024-03-05-2", {"broker_id": 3}, None, "supersedes"),
        ("2024-03-05-2", {"broker_id": 3}, 10, "supersedes"),
        ("new", {}, 12, "supersedes"),
        ("2024-03-05-2", {"broker_id": 3}, 12, None),
    ],
)
def test_a_chained_line_that_no_writer_would_write_is_found(
    lake: Path, content: str, payload: dict[str, Any], supersedes: int | None, kind: str | None
) -> None:
    head = Head.read(LedgerFolder(lake, "orders"))
    line, raw = checked(record(content, **payload)).seal(
        seq=13,
        batch_seq=13,
        ts_utc=datetime(2024, 3, 5, 23, tzinfo=UTC),
        supersedes=supersedes,
        prev_hash=head.hash,
    )
    write(lake, 2, [*read(lake, 2), raw + b"\n"])
    Head(13, line.hash).write(LedgerFolder(lake, "orders"))
    assert problems(lake) == ([] if kind is None else [(kind, file_of(lake, 2).name, 5)])


def test_a_withdrawal_of_nothing_is_found(lake: Path) -> None:
    Ledger(lake, "orders", lambda: datetime(2024, 3, 5, 23, tzinfo=UTC)).append(
        record("nothing", "withdrawn")
    )
    assert problems(lake) == [("supersedes", file_of(lake, 2).name, 5)]


def test_a_line_of_a_later_day_is_misfiled(lake: Path) -> None:
    file_of(lake, 1).rename(file_of(lake, 1).with_name("2024-03-02.jsonl"))
    assert problems(lake) == [("misfiled", "2024-03-02.jsonl", number) for number in range(1, 5)]


@pytest.mark.parametrize("name", ["2024-03-01 (copy).jsonl", "2024-13-01.jsonl", "notes.txt"])
def test_a_foreign_file_is_reported(lake: Path, name: str) -> None:
    shutil.copy(file_of(lake, 0), file_of(lake, 0).with_name(name))
    assert problems(lake) == [("foreign", name, None)]


def test_a_ledger_moved_out_of_sight_is_reported(lake: Path) -> None:
    (lake / "ledger" / "orders").rename(lake / "ledger" / "orders.old")
    with pytest.raises(LedgerError, match=r"orders\.old"):
        verify_ledgers(lake)


def drop(lines: list[bytes], at: int, _other: int) -> None:
    del lines[at]


def double(lines: list[bytes], at: int, other: int) -> None:
    lines.insert(other, lines[at])


def swap(lines: list[bytes], at: int, other: int) -> None:
    lines[at], lines[other] = lines[other], lines[at]


def edit(lines: list[bytes], at: int, other: int) -> None:
    line = lines[at]
    place = (other * 97) % (len(line) - 1)
    lines[at] = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]


def cut(lines: list[bytes], at: int, _other: int) -> None:
    del lines[at:]


@given(
    st.integers(0, 2), st.sampled_from([drop, double, swap, edit, cut]), st.permutations(range(4))
)
@settings(max_examples=80)
def test_any_tampering_is_found(
    whole: Path,
    tmp_path_factory: pytest.TempPathFactory,
    day: int,
    tamper: Callable[[list[bytes], int, int], None],
    places: list[int],
) -> None:
    lake = shutil.copytree(whole, tmp_path_factory.mktemp("tampered") / "lake")
    lines = read(lake, day)
    tamper(lines, places[0], places[1])
    write(lake, day, lines)
    assert problems(lake)


def test_a_clock_set_back_is_no_problem(lake: Path) -> None:
    ledger = Ledger(lake, "orders", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    ledger.append(record("early"))
    assert problems(lake) == []
    assert list(ledger.lines())[-1].ts_utc == datetime(2020, 1, 1, tzinfo=UTC)
    assert list(ledger.lines())[-2].ts_utc - timedelta(days=1) > datetime(2020, 1, 1, tzinfo=UTC)
