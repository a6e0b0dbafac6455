"""The client against a server that answers in the vendor's format and misbehaves."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quant_platform.errors import SourceError
from quant_platform.settings.tradingview import TradingViewSettings
from quant_platform.sources.tradingview.client import Scanned, ScreenerClient, Timing
from quant_platform.sources.tradingview.query import class_query
from quant_platform_tests.sources.tradingview.vendor import (
    Vendor,
    edited,
    fund,
    funds,
    numbers,
    replaced,
)

NOON = datetime(2024, 5, 2, 22, tzinfo=UTC)


class Asleep:
    """A clock that moves when somebody sleeps, and remembers for how long."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def timing(self) -> Timing:
        return Timing(
            lambda: NOON + timedelta(seconds=sum(self.waits)), self.waits.append, lambda: 0.0
        )


def ask(vendor: Vendor, clock: Asleep | None = None, limit: int = 1000, **own: Any) -> Scanned:
    settings = TradingViewSettings(base_url=vendor.address, **({"page_rows": 10} | own))
    with ScreenerClient(settings, (clock or Asleep()).timing()) as client:
        return client.scan(class_query("etf", limit))


def refused(vendor: Vendor, **own: Any) -> str:
    with pytest.raises(SourceError) as caught:
        ask(vendor, **own)
    return str(caught.value)


def test_every_row_comes_once_over_all_pages() -> None:
    with Vendor(funds(25)).serve() as vendor:
        scanned = ask(vendor)
    assert sorted(scanned.rows) == sorted(vendor.securities)
    assert scanned.total == 25
    assert numbers(vendor.asked) == [[0, 10], [10, 20], [20, 30]]


def test_the_limit_cuts_behind_the_most_traded() -> None:
    with Vendor(funds(25)).serve() as vendor:
        scanned = ask(vendor, limit=12)
    assert list(scanned.rows) == [f"AMEX:F{n}" for n in range(12)]
    assert numbers(vendor.asked) == [[0, 10], [10, 12]]


def test_nothing_found_is_an_answer() -> None:
    with Vendor({"NASDAQ:AAPL": fund(type="stock")}).serve() as vendor:
        assert ask(vendor).rows == {}


def test_rows_that_move_between_pages_are_asked_for_again() -> None:
    vendor = Vendor(funds(25))

    def overtake(number: int) -> None:
        # After the first page the eleventh fund becomes the most traded: it is on no later page.
        if number == 2:
            vendor.securities["AMEX:F10"]["AvgValue.Traded_30d"] = 2e9

    vendor.before = overtake
    with vendor.serve():
        scanned = ask(vendor)
    assert sorted(scanned.rows) == sorted(vendor.securities)
    assert len(numbers(vendor.asked)) == 6
    assert scanned.rows["AMEX:F10"][scanned.query.columns.index("AvgValue.Traded_30d")] == 2e9


def test_a_limit_with_moved_rows_keeps_the_most_traded() -> None:
    vendor = Vendor(funds(25))

    def overtake(number: int) -> None:
        if number == 2:
            vendor.securities["AMEX:F20"]["AvgValue.Traded_30d"] = 2e9

    vendor.before = overtake
    with vendor.serve():
        scanned = ask(vendor, limit=20)
    assert "AMEX:F20" in scanned.rows
    assert "AMEX:F19" not in scanned.rows
    assert len(scanned.rows) == 20


def test_fewer_different_rows_than_announced_are_refused() -> None:
    with Vendor(funds(25)).serve() as vendor:
        # The third page always repeats rows of the first.
        repeat = edited(lambda answer: answer.update(data=first["data"][:5]))
        first: dict[str, Any] = {}

        def remember(answer: dict[str, Any]) -> None:
            first.update(answer)

        vendor.interfere = {1: edited(remember), 3: repeat, 6: repeat, 9: repeat}
        told = refused(vendor)
    assert "announced 25 rows of america and told 20 different ones in 3 passes" in told


def test_a_truncated_page_is_asked_for_again() -> None:
    with Vendor(funds(25)).serve() as vendor:
        vendor.interfere = {2: edited(lambda answer: answer["data"].pop())}
        scanned = ask(vendor)
    assert len(scanned.rows) == 25
    assert numbers(vendor.asked) == [[0, 10], [10, 20], [10, 20], [20, 30]]


def test_a_page_that_stays_truncated_is_refused() -> None:
    def cut(answer: dict[str, Any]) -> None:
        if "data" in answer:
            answer["data"] = answer["data"][:3]

    with Vendor(funds(25)).serve() as vendor:
        vendor.interfere = {-1: edited(cut)}
        told = refused(vendor, attempts=2)
    assert "was asked 2 times; at last the page from row 0 on has 3 rows of the 10" in told


def test_a_symbol_twice_on_one_page_is_asked_for_again() -> None:
    def twice(answer: dict[str, Any]) -> None:
        answer["data"][1] = answer["data"][0]

    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: edited(twice)}
        assert len(ask(vendor).rows) == 5


def test_throttling_is_waited_for_as_long_as_asked() -> None:
    clock = Asleep()
    busy = replaced(status=429, headers={"retry-after": "7"}, body=b"slow down")
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: busy, 2: busy}
        ask(vendor, clock, pause_seconds=0.25)
    assert clock.waits == [0.25, 7.0, 7.0]


def test_a_date_to_wait_for_counts_from_now() -> None:
    clock = Asleep()
    date = (NOON + timedelta(seconds=12)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {0: replaced(status=503, headers={"retry-after": date})}
        ask(vendor, clock)
    assert clock.waits[0] == pytest.approx(12.0)


def test_waits_double_and_are_bounded_and_so_are_attempts() -> None:
    clock = Asleep()
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {-1: replaced(status=429, headers={"retry-after": "nonsense"})}
        told = refused(vendor, clock=clock, attempts=5, backoff_seconds=2, longest_wait_seconds=9)
    assert clock.waits == [2.0, 4.0, 8.0, 9.0]
    assert len(vendor.asked) == 5
    assert "status 429" in told


def test_a_rate_limit_page_that_says_200_is_asked_for_again() -> None:
    page = replaced(body=b"<html><title>Too many requests</title></html>", kind="text/html")
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: page}
        assert len(ask(vendor).rows) == 5
        vendor.interfere = {-1: page}
        assert "a page for people in the place of JSON" in refused(vendor)


def test_an_error_object_of_limits_is_asked_for_again() -> None:
    error = {"totalCount": 0, "error": "Too many requests", "data": None}
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: replaced(body=json.dumps(error).encode())}
        assert len(ask(vendor).rows) == 5
        assert len(vendor.asked) == 3


def test_another_error_object_is_refused_at_once() -> None:
    error = {"totalCount": 0, "error": "Unexpected operation", "data": None}
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: replaced(status=400, body=json.dumps(error).encode())}
        assert "refused the question: Unexpected operation" in refused(vendor)
    assert len(vendor.asked) == 2


def test_json_of_another_content_type_is_read_all_the_same() -> None:
    # The vendor itself sends JSON as text/plain at times; what counts is the body.
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {-1: replaced(kind="text/plain")}
        assert len(ask(vendor).rows) == 5


def test_json_that_is_no_answer_is_refused() -> None:
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: replaced(body=b'{"status": "ok"}')}
        assert "an object with totalCount and data" in refused(vendor)


def test_a_slow_answer_is_given_up() -> None:
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {-1: replaced(pause=0.02)}
        told = refused(vendor, timeout_seconds=0.1, attempts=1)
    assert "took more than 0.1 seconds" in told


def test_silence_is_given_up() -> None:
    with Vendor(funds(5)).serve() as vendor:
        vendor.before = lambda _number: time.sleep(0.4)
        told = refused(vendor, timeout_seconds=0.1, attempts=1)
    assert "nothing came for 0.1 seconds" in told


def test_half_an_answer_is_asked_for_again() -> None:
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {
            1: lambda sent: replaced(body=sent.body[:40])(sent),
            2: lambda sent: replaced(body=sent.body[:40], announced=len(sent.body))(sent),
        }
        assert len(ask(vendor).rows) == 5
        assert len(vendor.asked) == 4


def test_a_server_error_is_asked_for_again_and_a_refusal_is_not() -> None:
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: replaced(status=502, body=b"bad gateway", kind="text/html")}
        assert len(ask(vendor).rows) == 5
        vendor.interfere = {3: replaced(status=403, body=b"no", kind="text/html")}
        assert "answers with status 403" in refused(vendor)
        assert len(vendor.asked) == 4


def test_a_redirect_is_not_followed() -> None:
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {0: replaced(status=302, headers={"location": "http://127.0.0.1:1/"})}
        assert "answers with status 302" in refused(vendor)


def test_nobody_there() -> None:
    with Vendor(funds(1)).serve() as vendor:
        pass
    assert "the connection failed" in refused(vendor, attempts=2)


def test_a_column_that_is_gone_is_named_with_its_neighbours() -> None:
    vendor = Vendor(funds(5))
    vendor.listed["Perf.1Month"] = vendor.listed.pop("Perf.1M")
    with vendor.serve():
        told = refused(vendor)
    assert "no column 'Perf.1M' in america any more" in told
    assert "Perf.1Month" in told
    assert len(vendor.asked) == 1


def test_a_column_of_a_condition_must_be_there_too() -> None:
    vendor = Vendor(funds(5))
    del vendor.listed["typespecs"]
    with vendor.serve():
        assert "no column 'typespecs'" in refused(vendor)


def test_a_column_of_another_type_is_refused() -> None:
    vendor = Vendor(funds(5))
    vendor.listed["change"] = "number"
    with vendor.serve():
        assert "lists 'change' of america as number; expected percent" in refused(vendor)


def test_an_unknown_field_in_the_answer_is_named_with_its_neighbours() -> None:
    error = {"totalCount": 0, "error": 'Unknown field "Perf.Yr"', "data": None}
    with Vendor(funds(5)).serve() as vendor:
        vendor.interfere = {1: replaced(status=400, body=json.dumps(error).encode())}
        told = refused(vendor)
    assert "no column 'Perf.Yr'" in told
    assert "Perf.Y" in told


def test_without_an_address_nothing_is_asked() -> None:
    with pytest.raises(SourceError, match="has no address"):
        ScreenerClient(TradingViewSettings(), Asleep().timing()).__enter__()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    settings = TradingViewSettings(base_url="http://127.0.0.1:1")
    with pytest.raises(SourceError, match="the extra tradingview"):
        ScreenerClient(settings, Asleep().timing()).__enter__()
