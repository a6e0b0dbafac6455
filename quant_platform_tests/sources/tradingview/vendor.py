"""A screener on this machine that answers in the vendor's format, and misbehaves on request.

It sorts, cuts and counts as the vendor does, and fills columns that it does not know with nulls, as
that does too. ``interfere`` replaces single answers, by their number among all requests.
"""

from __future__ import annotations

import json
import operator
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quant_platform.sources.tradingview.fields import CHANGE_IN_MONEY, FIELDS, Market, fields_of


@dataclass(frozen=True)
class Sent:
    """An answer as it goes out.

    Parameters
    ----------
    body
        Bytes of it.
    status
        Status of HTTP.
    kind
        Content type.
    headers
        Further headers.
    announced
        Length that is announced; None is that of the body.
    pause
        Seconds between single bytes.
    """

    body: bytes
    status: int = 200
    kind: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    pause: float = 0.0


Interference = Callable[[Sent], Sent]


@dataclass
class Vendor:
    """What the server holds and what was asked of it.

    Parameters
    ----------
    securities
        Values by symbol and by column of the vendor.
    listed
        Its list of columns: name and type.
    interfere
        By number of the request, from 0: what becomes of its answer. -1 is every request.
    before
        Called with the number of each request before it is answered: prices move.
    """

    securities: dict[str, dict[str, Any]]
    listed: dict[str, str] = field(default_factory=dict)
    interfere: dict[int, Interference] = field(default_factory=dict)
    before: Callable[[int], None] = lambda _number: None
    asked: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        if not self.listed:
            self.listed = vendor_list("america") | vendor_list("crypto")

    @contextmanager
    def serve(self) -> Iterator[Vendor]:
        """Answer on a port of 127.0.0.1."""
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

            def _answer(self, question: dict[str, Any]) -> None:
                number = len(vendor.asked)
                vendor.asked.append({"path": self.path, **question})
                vendor.before(number)
                sent = vendor.answer(self.path, question)
                for chosen in (number, -1):
                    sent = vendor.interfere.get(chosen, lambda same: same)(sent)
                self.send_response(sent.status)
                self.send_header("content-type", sent.kind)
                announced = len(sent.body) if sent.announced is None else sent.announced
                self.send_header("content-length", str(announced))
                for name, value in sent.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for start in range(0, len(sent.body), 1 if sent.pause else len(sent.body)):
                        stop = start + 1 if sent.pause else len(sent.body)
                        self.wfile.write(sent.body[start:stop])
                        self.wfile.flush()
                        time.sleep(sent.pause)
                except OSError:
                    pass
                self.close_connection = sent.announced is not None

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, path: str, question: dict[str, Any]) -> Sent:
        """Answer as the vendor does."""
        if path.endswith("/metainfo"):
            fields = [{"n": n, "t": t, "r": None} for n, t in self.listed.items()]
            return Sent(json.dumps({"financial_currency": None, "fields": fields}).encode())
        found = [
            (symbol, values)
            for symbol, values in self.securities.items()
            if all(_holds(values, condition) for condition in question["filter"])
        ]
        by, downwards = question["sort"]["sortBy"], question["sort"]["sortOrder"] == "desc"
        found.sort(key=lambda item: _rank(item[1].get(by), downwards))
        first, last = question["range"]
        data = [
            {"s": symbol, "d": [values.get(column) for column in question["columns"]]}
            for symbol, values in found[first:last]
        ]
        return Sent(json.dumps({"totalCount": len(found), "data": data}).encode())


def _rank(value: Any, downwards: bool) -> tuple[bool, float]:
    if value is None:
        return True, 0.0
    return False, -value if downwards else value


_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "greater": operator.gt,
    "egreater": operator.ge,
    "less": operator.lt,
    "eless": operator.le,
    "equal": operator.eq,
    # Of names it is a list, of numbers the two ends of a range.
    "in_range": lambda value, right: (
        value in right if isinstance(right[0], str) else right[0] <= value <= right[1]
    ),
    "has": lambda value, right: bool(set(value) & set(right)),
}


def _holds(values: dict[str, Any], condition: dict[str, Any]) -> bool:
    value = values.get(condition["left"])
    return value is not None and _OPERATIONS[condition["operation"]](value, condition["right"])


def vendor_list(market: Market) -> dict[str, str]:
    """Return a list of columns that has all that is asked for."""
    asked = {column: field.listed_as for column, field in fields_of(market).items()}
    others = {CHANGE_IN_MONEY: "price", "type": "text", "typespecs": "set", "is_primary": "bool"}
    return asked | others | {"Perf.3Y": "number", "nav": "fundamental_price"}


def fund(close: float = 100.0, traded: float = 5e7, **values: Any) -> dict[str, Any]:
    """Return an ETF as the vendor tells it, in its units; ``values`` by our names.

    Parameters
    ----------
    close, traded
        Its close, and the mean value that is traded of it.
    values
        Further values, with ``__`` for the dot of a name.
    """
    change = values.get("change", 1.0)
    told: dict[str, Any] = {
        "type": "fund",
        "typespecs": ["etf"],
        "is_primary": True,
        "close": close,
        "volume": traded / close,
        "AvgValue.Traded_30d": traded,
        "change": change,
        "change_abs": close - close / (1 + change / 100),
        "RSI": 55.0,
        "category": "26",
    }
    for field_ in FIELDS:
        if field_.listed_as == "number" and field_.america is not None:
            told.setdefault(field_.america, 1.0)
    return told | {name.replace("__", "."): value for name, value in values.items()}


def funds(number: int) -> dict[str, dict[str, Any]]:
    """Return funds ``AMEX:F0`` …, each traded less than the one before."""
    return {f"AMEX:F{n}": fund(traded=1e9 - n * 1e6) for n in range(number)}


def replaced(**changes: Any) -> Interference:
    """Interfere by another answer with these parts."""
    return lambda sent: replace(sent, **changes)


def edited(edit: Callable[[dict[str, Any]], None]) -> Interference:
    """Interfere in the JSON of an answer."""

    def interfere(sent: Sent) -> Sent:
        answer = json.loads(sent.body)
        edit(answer)
        return Sent(json.dumps(answer).encode())

    return interfere


def numbers(asked: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Return the ranges of the pages that were asked for."""
    return [question["range"] for question in asked if "range" in question]
