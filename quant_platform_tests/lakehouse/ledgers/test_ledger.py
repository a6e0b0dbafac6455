"""Ledgers: appending, saying a thing once, actions, days, and reading back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import polars as pl
import pytest

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.ledgers import LEDGER_TYPES, Ledger, verify_ledgers
from quant_platform.lakehouse.ledgers.records import NO_HASH, LedgerRecord
from quant_platform_tests.lakehouse.ledgers.small_ledger import (
    SESSION,
    START,
    Clock,
    assert_whole,
    record,
)


def types(ledger: Ledger) -> list[str]:
    return [line.record_type for line in ledger.lines()]


def test_lines_are_chained_and_read_back(ledger: Ledger, tmp_path: Path) -> None:
    payload = {"price": 0.1 + 0.2, "quantity": 10**20, "name": "Köln 株", "none": None}
    first = ledger.append(record("c1", **payload))
    second, third = ledger.append_many([record("c2"), record("c3", tags=["a", {"b": 1.0}])])
    assert (first.is_new, second.is_new, third.is_new) == (True, True, True)
    assert [line.seq for line in ledger.lines()] == [1, 2, 3]
    assert list(ledger.lines()) == [first.line, second.line, third.line]
    assert first.line.payload == payload
    assert first.line.prev_hash == NO_HASH
    assert second.line.prev_hash == first.line.hash
    assert third.line.prev_hash == second.line.hash
    assert (second.line.batch_seq, third.line.batch_seq) == (2, 2)
    assert_whole(ledger, 3)

    (file,) = (tmp_path / "ledger" / "orders").glob("*.jsonl")
    assert file.name == "2024-03-02.jsonl"
    for raw in file.read_text(encoding="utf-8").splitlines():
        body = json.loads(raw)
        assert list(body) == sorted(body)
        assert raw == json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def test_a_ledger_nobody_wrote_is_empty(ledger: Ledger, tmp_path: Path) -> None:
    assert list(ledger.lines()) == []
    assert ledger.tail(5) == []
    assert ledger.frame().height == 0
    assert_whole(ledger, 0)
    assert verify_ledgers(tmp_path) == []
    assert ledger.append_many([]) == []
    assert not (tmp_path / "ledger").exists()


def test_the_same_record_is_written_once(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    first = ledger.append(record("c1", price=1.0, run_id="run-1"))
    clock.now += timedelta(days=1)
    again = [
        ledger.append(record("c1", price=1.0, run_id="run-2")),
        Ledger(tmp_path, "orders", clock).append(record("c1", price=1.0)),
        *ledger.append_many([record("c1", price=1.0)] * 2),
    ]
    assert [(one.is_new, one.line) for one in again] == [(False, first.line)] * 4
    twice = ledger.append_many([record("c2"), record("c2")])
    assert [one.is_new for one in twice] == [True, False]
    assert twice[0].line == twice[1].line
    assert_whole(ledger, 2)


def test_payloads_compare_without_run_and_time(ledger: Ledger) -> None:
    ledger.append(record("c1", run_id="run-1", price=1))
    payload = {"price": 1, "run_id": "another", "ts_utc": "2030-01-01"}
    assert not ledger.append(
        LedgerRecord("success", SESSION, "place", payload, "run-2", "c1")
    ).is_new
    assert ledger.append(
        LedgerRecord("success", SESSION, "place", payload | {"price": 2}, "run-2", "c1")
    ).is_new


def test_a_changed_payload_supersedes_without_touching(ledger: Ledger) -> None:
    first = ledger.append(record("c1", price=1.0)).line
    second = ledger.append(record("c1", price=2.0)).line
    third = ledger.append(record("c1", price=1.0)).line
    assert (first.supersedes, second.supersedes, third.supersedes) == (None, 1, 2)
    assert list(ledger.lines()) == [first, second, third]
    assert ledger.append(record("c2", price=9.0)).line.supersedes is None
    assert_whole(ledger, 4)


def test_what_is_not_told_again_is_withdrawn(ledger: Ledger) -> None:
    ledger.append_many([record("c1", price=1.0), record("c2", price=2.0)])
    ledger.append(LedgerRecord("success", SESSION, "other", {}, "run-1", "c1"))
    ledger.append(LedgerRecord("success", date(2024, 3, 4), "place", {}, "run-1", "c1"))
    told = ledger.restate("place", [SESSION], [record("c2", price=2.0)], "run-2")
    assert [(each.line.seq, each.is_new) for each in told] == [(5, True), (2, False)]
    withdrawn = told[0].line
    assert (withdrawn.record_type, withdrawn.supersedes, withdrawn.run_id) == (
        "withdrawn",
        1,
        "run-2",
    )
    assert withdrawn.payload["withdrawn"] == 1
    assert [line.seq for line in ledger.in_force()] == [2, 3, 4]
    # Said once: the same again writes nothing.
    ledger.restate("place", [SESSION], [record("c2", price=2.0)], "run-3")
    assert_whole(ledger, 5)
    # What comes back supersedes its withdrawal.
    again = ledger.append(record("c1", price=1.0)).line
    assert (again.supersedes, [line.seq for line in ledger.in_force()]) == (5, [2, 3, 4, 6])
    assert_whole(ledger, 6)


def test_the_last_lines_in_force_are_found_across_files(ledger: Ledger, clock: Clock) -> None:
    for day in range(4):
        clock.now = START + timedelta(days=day)
        ledger.append(record(f"c{day}", price=1.0))
    clock.now = START + timedelta(days=9)
    ledger.restate("place", [SESSION], [record(f"c{day}", price=1.0) for day in (0, 1)], "run-2")
    assert [line.seq for line in ledger.tail(2, trail=False)] == [1, 2]
    assert [line.seq for line in ledger.tail(2)] == [5, 6]
    assert ledger.tail(5, trail=False) == ledger.in_force()


def test_session_action_and_content_make_the_key(ledger: Ledger) -> None:
    base = LedgerRecord("success", SESSION, "place", {}, "run-1", "c1")
    others = [
        LedgerRecord("success", SESSION + timedelta(1), "place", {}, "run-1", "c1"),
        LedgerRecord("success", None, "place", {}, "run-1", "c1"),
        LedgerRecord("success", SESSION, "cancel", {}, "run-1", "c1"),
        LedgerRecord("success", SESSION, "place", {}, "run-1", "c2"),
    ]
    lines = [one.line for one in ledger.append_many([base, *others])]
    assert len({line.idempotency_key for line in lines}) == 5
    assert_whole(ledger, 5)


def test_without_a_content_hash_only_an_equal_record_is_the_same(ledger: Ledger) -> None:
    assert ledger.append(record(None, price=1)).is_new
    assert not ledger.append(record(None, price=1)).is_new
    other = ledger.append(record(None, price=2))
    assert other.is_new
    assert other.line.supersedes is None


def test_an_action_writes_intent_and_outcome(ledger: Ledger) -> None:
    with ledger.action(SESSION, "optimise", "c1", "run-1", {"names": 25}) as action:
        assert types(ledger) == ["intent"]
        assert [problem.kind for problem in ledger.verify().problems] == ["orphan"]
        assert action.settled is None
        action.succeed({"weights": "hash"})
    with ledger.action(SESSION, "optimise", "c2", "run-1") as action:
        action.come_out_empty({"reason": "no candidates"})
    with ledger.action(SESSION, "optimise", "c3", "run-1"):
        pass
    assert types(ledger) == ["intent", "success", "intent", "empty", "intent", "success"]
    payloads = [line.payload for line in ledger.lines()]
    assert payloads[:4] == [
        {"names": 25},
        {"weights": "hash"},
        {},
        {"reason": "no candidates"},
    ]
    assert_whole(ledger, 6)


def test_a_failed_action_writes_the_error_and_may_be_tried_again(ledger: Ledger) -> None:
    with (
        pytest.raises(RuntimeError, match="no route"),
        ledger.action(SESSION, "place", "c1", "run-1"),
    ):
        raise RuntimeError("no route \udc80")
    with ledger.action(SESSION, "place", "c1", "run-2") as action:
        assert action.settled is None
        action.succeed({"broker_id": 7})
    lines = list(ledger.lines())
    assert [line.record_type for line in lines] == ["intent", "error", "intent", "success"]
    assert lines[1].payload == {"error": "RuntimeError", "message": "no route \\udc80"}
    assert [line.supersedes for line in lines] == [None, None, None, 2]
    assert_whole(ledger, 4)


def test_the_same_error_twice_closes_both_attempts(ledger: Ledger) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), ledger.action(SESSION, "place", "c1", "run-1"):
            raise ZeroDivisionError
    assert types(ledger) == ["intent", "error"] * 2
    assert_whole(ledger, 4)


def test_a_settled_action_tells_its_result_and_writes_nothing_new(ledger: Ledger) -> None:
    with ledger.action(SESSION, "place", "c1", "run-1", {"symbol": "A"}) as action:
        action.succeed({"broker_id": 7})
    with ledger.action(SESSION, "place", "c1", "run-2", {"symbol": "A"}) as action:
        assert action.settled is not None
        assert action.settled.payload == {"broker_id": 7}
        action.succeed(action.settled.payload)
    assert action.outcome == action.settled
    assert types(ledger) == ["intent", "success"]
    with ledger.action(SESSION, "place", "c1", "run-3", {"symbol": "A"}) as action:
        action.succeed({"broker_id": 8})
    assert [line.supersedes for line in ledger.lines()] == [None, None, 2]
    assert_whole(ledger, 3)


def test_a_result_that_cannot_be_recorded_is_an_error_of_its_action(ledger: Ledger) -> None:
    with (
        pytest.raises(LedgerError, match=r"payload\.price is nan"),
        ledger.action(SESSION, "place", "c1", "run-1") as action,
    ):
        action.succeed({"price": float("nan")})
    assert types(ledger) == ["intent", "error"]


def test_an_orphaned_intent_is_recovered(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    ledger.append(record("c1", "intent", symbol="A"))
    ledger.append(record("c2", "intent", symbol="B"))
    ledger.append(record("c2", "success", broker_id=1))
    after_crash = Ledger(tmp_path, "orders", clock)
    assert [problem.kind for problem in after_crash.verify().problems] == ["orphan"]
    (line,) = after_crash.recover("run-2")
    assert (line.record_type, line.content_hash) == ("recovered", "c1")
    assert line.payload == {"intent": 1, "intent_run_id": "run-1"}
    assert after_crash.recover("run-2") == []
    assert_whole(ledger, 4)
    late = ledger.append(record("c1", "success", broker_id=2))
    assert late.line.supersedes == line.seq
    assert_whole(ledger, 5)


def test_an_action_closes_the_orphan_of_its_crashed_run(ledger: Ledger) -> None:
    ledger.append(record("c1", "intent"))
    with ledger.action(SESSION, "place", "c1", "run-2") as action:
        assert action.settled is None
    assert types(ledger) == ["intent", "recovered", "intent", "success"]
    assert_whole(ledger, 4)


def test_nothing_is_recovered_that_has_an_outcome(ledger: Ledger) -> None:
    ledger.append(record("c1", "success"))
    assert not ledger.append(record("c1", "recovered", intent=1)).is_new
    assert types(ledger) == ["success"]


def test_the_chain_crosses_days(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    for day in range(3):
        ledger.append_many([record(f"{day}-{number}") for number in range(3)])
        clock.now += timedelta(days=1)
    names = sorted(path.name for path in (tmp_path / "ledger" / "orders").glob("*.jsonl"))
    assert names == ["2024-03-02.jsonl", "2024-03-03.jsonl", "2024-03-04.jsonl"]
    assert [line.seq for line in ledger.tail(4)] == [6, 7, 8, 9]
    assert [line.seq for line in ledger.tail(100)] == list(range(1, 10))
    assert ledger.tail(0) == []
    assert_whole(ledger, 9)


def test_a_clock_set_back_does_not_break_the_chain(
    ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    ledger.append(record("c1"))
    clock.now -= timedelta(days=400)
    line = ledger.append(record("c2")).line
    assert line.ts_utc == clock.now
    assert line.seq == 2
    Ledger(tmp_path, "orders", clock).append(record("c3"))
    assert [path.name for path in (tmp_path / "ledger" / "orders").glob("*.jsonl")] == [
        "2024-03-02.jsonl"
    ]
    assert_whole(ledger, 3)


def test_the_day_is_the_utc_day(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    clock.now = datetime(2024, 3, 1, 22, tzinfo=timezone(timedelta(hours=-5)))
    line = ledger.append(record()).line
    assert line.ts_utc == datetime(2024, 3, 2, 3, tzinfo=UTC)
    assert (tmp_path / "ledger" / "orders" / "2024-03-02.jsonl").exists()
    clock.now = clock.now.replace(tzinfo=None)
    with pytest.raises(LedgerError, match="time zone"):
        ledger.append(record("c2"))
    assert_whole(ledger, 1)


def test_appending_where_nothing_is_new_leaves_later_appends_whole(
    ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    ledger.append(record("c1"))
    late = Clock()
    late.now += timedelta(days=1)
    ahead = Ledger(tmp_path, "orders", late)
    assert not ahead.append(record("c1")).is_new
    ledger.append(record("c2"))
    assert ahead.append(record("c3")).line.seq == 3
    assert ledger.append(record("c4")).line.seq == 4
    assert_whole(ledger, 4)


def test_two_ledgers_of_one_type_see_each_other(tmp_path: Path, clock: Clock) -> None:
    one, other = Ledger(tmp_path, "fills", clock), Ledger(tmp_path, "fills", clock)
    for number in range(6):
        writer, reader = (one, other) if number % 2 else (other, one)
        assert writer.append(record(f"c{number}")).is_new
        assert not reader.append(record(f"c{number}")).is_new
    assert_whole(one, 6)


def test_ledgers_are_kept_apart(tmp_path: Path, clock: Clock) -> None:
    for name in LEDGER_TYPES:
        Ledger(tmp_path, name, clock).append(record())
    reports = verify_ledgers(tmp_path)
    assert [report.ledger_type for report in reports] == list(LEDGER_TYPES)
    assert {(report.lines, report.problems) for report in reports} == {(1, ())}


@pytest.mark.parametrize(
    ("name", "near"),
    [("order", "orders"), ("execution_slippage", "EXECUTION_SLIPPAGE"), ("regime", "regime_e")],
)
def test_an_unknown_ledger_is_refused_with_its_near_names(
    tmp_path: Path, clock: Clock, name: str, near: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(tmp_path, name, clock)
    assert near in caught.value.mend
    (tmp_path / "ledger" / name).mkdir(parents=True)
    with pytest.raises(LedgerError, match=name):
        verify_ledgers(tmp_path)


def test_the_frame_holds_every_line(ledger: Ledger) -> None:
    ledger.append_many([record("c1", price=1.5), record("c1", price=2.5)])
    ledger.append(LedgerRecord("error", None, "place", {}, "run-2"))
    frame = ledger.frame()
    assert frame["seq"].to_list() == [1, 2, 3]
    assert frame["session"].to_list() == [SESSION, SESSION, None]
    assert frame["ts_utc"].to_list() == [START] * 3
    assert frame["supersedes"].to_list() == [None, 1, None]
    prices = frame.select(pl.col("payload").str.json_path_match("$.price"))
    assert prices.to_series().to_list() == ["1.5", "2.5", None]


def test_duckdb_reads_the_files(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append_many([record(f"c{number}", price=number / 2) for number in range(3)])
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select seq, session, payload.price from read_json_auto(?) order by seq",
            [str(tmp_path / "ledger" / "orders" / "*.jsonl")],
        ).fetchall()
    assert rows == [(1, SESSION, 0.0), (2, SESSION, 0.5), (3, SESSION, 1.0)]
