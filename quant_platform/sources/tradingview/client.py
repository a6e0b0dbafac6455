"""The way to the vendor's screener: requests that wait, repeat and give up in good order.

1. Between two requests lies a pause. An attempt that failed is repeated after a wait that doubles,
   with some jitter, or after the one that the vendor asks for (``Retry-After``); no wait is longer
   than the settings say, and no page is asked for more often.
2. Repeated is what may be otherwise a little later: no connection, an answer that is too slow or
   breaks off, 408, 425, 429 and 5xx, a page for people that comes as 200, half an answer, an error
   that speaks of limits. Everything else is refused at once.
3. An answer has to be complete in time: trickling bytes do not reset the clock.
4. The list of columns is asked for before each question, and compared with what the question needs.

What belongs here: HTTP and the order of requests. What answers mean is `answer`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from quant_platform.errors import SourceError
from quant_platform.settings.tradingview import TradingViewSettings
from quant_platform.settings.wording import plain
from quant_platform.sources.tradingview.answer import (
    Page,
    Rows,
    TransientAnswerError,
    check_columns,
    merged,
    page_of,
)
from quant_platform.sources.tradingview.query import ScanQuery

if TYPE_CHECKING:
    import httpx

_Read = TypeVar("_Read")

_LATER = frozenset({408, 425, 429})
_LONGEST_BODY = 64 * 2**20
"""Bytes of an answer; the largest page is some three megabytes."""
_HEADERS = {"accept": "application/json", "user-agent": "quant_platform"}


@dataclass(frozen=True)
class Timing:
    """What time is to the client.

    Parameters
    ----------
    now
        Wall clock: it dates every answer.
    sleep
        Waits for some seconds.
    jitter
        A number in [0, 1): the share of half a wait that is added to it.
    """

    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = SystemRandom().random


@dataclass(frozen=True)
class RawPage:
    """A page as it was received.

    Parameters
    ----------
    first
        Place of its first row.
    received_at
        When its last byte had come.
    body
        Its text.
    """

    first: int
    received_at: datetime
    body: str


@dataclass(frozen=True)
class Scanned:
    """The answer to one question.

    Parameters
    ----------
    query
        The question.
    asked_at
        When its first page was asked for.
    pages
        Every page that was received, those of repeated passes included.
    total
        Rows that the vendor announced last.
    rows
        What they come to.
    """

    query: ScanQuery
    asked_at: datetime
    pages: tuple[RawPage, ...]
    total: int
    rows: Rows


@dataclass
class ScreenerClient:
    """A conversation with the vendor; use it in a ``with`` block.

    Parameters
    ----------
    settings
        Where it is, and how patient to be.
    timing
        Clock, sleep and jitter.
    """

    settings: TradingViewSettings
    timing: Timing
    _http: httpx.Client | None = field(default=None, repr=False)
    _asked: bool = False

    def __enter__(self) -> Self:
        """Open the conversation.

        Raises
        ------
        SourceError
            When no address is configured, or the library is not installed.
        """
        if self.settings.base_url is None:
            raise SourceError(
                "the screener of TradingView has no address, so that nothing is asked of it",
                expected="platform.tradingview.base_url",
                mend="set it in platform.yaml, after reading docs/how-to/live-screener.md",
            )
        try:
            import httpx
        except ImportError as error:
            raise SourceError(
                "the source tradingview needs the library httpx, which is not installed",
                expected="the extra tradingview",
                mend="install it: pip install 'quant_platform[tradingview]'",
            ) from error
        self._http = httpx.Client(timeout=self.settings.timeout_seconds, headers=_HEADERS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()

    def scan(self, query: ScanQuery) -> Scanned:
        """Ask a question, page after page, until as many rows came as were announced.

        While prices move, rows move between pages: one is told twice, another not at all. Then all
        pages are asked for again and put together, a few times at most.

        Raises
        ------
        SourceError
            When the vendor cannot be had, refuses, has changed, or never gets to as many different
            rows as it announces.
        """
        market = query.market
        self._repeat("GET", f"{market}/metainfo", None, lambda body: check_columns(body, query))
        asked_at = self.timing.now()
        raw: list[RawPage] = []
        pages: list[Page] = []
        rows: Rows = {}
        due = 0
        for _ in range(self.settings.passes):
            first, due = 0, 1
            while first < due:
                last = min(first + self.settings.page_rows, query.limit)
                page, body = self._page(query, first, last)
                raw.append(RawPage(first, self.timing.now(), body))
                pages.append(page)
                first, due = last, min(page.total, query.limit)
            rows = merged(query, pages)
            if len(rows) >= due:
                return Scanned(query, asked_at, tuple(raw), pages[-1].total, rows)
        raise SourceError(
            f"the vendor announced {due} rows of {market} and told {len(rows)} different ones in "
            f"{self.settings.passes} passes",
            expected="as many rows as are announced",
            mend="take the snapshot again when prices stand still, or raise "
            "platform.tradingview.page_rows",
        )

    def _page(self, query: ScanQuery, first: int, last: int) -> tuple[Page, str]:
        def read(body: str) -> tuple[Page, str]:
            return page_of(body, query, first, last - first), body

        return self._repeat("POST", f"{query.market}/scan", query.body(first, last), read)

    def _repeat(
        self, method: str, path: str, asked: dict[str, Any] | None, read: Callable[[str], _Read]
    ) -> _Read:
        """Ask until the answer can be read, as often as the settings say."""
        own = self.settings
        if self._asked:
            self.timing.sleep(own.pause_seconds)
        self._asked = True
        told = ""
        for attempt in range(own.attempts):
            try:
                return read(self._body(method, path, asked))
            except TransientAnswerError as error:
                told = str(error)
                if attempt + 1 < own.attempts:
                    self.timing.sleep(self._wait(attempt, error))
        raise SourceError(
            f"{own.base_url}/{path} was asked {own.attempts} times; at last {told}",
            expected="a complete answer",
            mend="take the snapshot again later, before the session's cutoff",
        )

    def _wait(self, attempt: int, error: TransientAnswerError) -> float:
        own = self.settings
        wait = own.backoff_seconds * 2.0**attempt * (1 + self.timing.jitter() / 2)
        if isinstance(error, _AskedToWaitError):
            wait = max(wait, error.seconds)
        return min(wait, own.longest_wait_seconds)

    def _body(self, method: str, path: str, asked: dict[str, Any] | None) -> str:
        """Make one request.

        Raises
        ------
        TransientAnswerError
            When another attempt may be answered.
        SourceError
            When it would not be.
        """
        import httpx

        assert self._http is not None, "the client is used in a with block"
        until = time.monotonic() + self.settings.timeout_seconds
        parts: list[bytes] = []
        size = 0
        try:
            address = f"{self.settings.base_url}/{path}"
            with self._http.stream(method, address, json=asked) as answer:
                for part in answer.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if time.monotonic() > until:
                        raise TransientAnswerError(
                            f"its answer took more than {self.settings.timeout_seconds:g} seconds"
                        )
                    if size > _LONGEST_BODY:
                        raise SourceError(
                            f"{address} answers with more than {_LONGEST_BODY >> 20} MiB",
                            expected="a page of rows",
                            mend="check the address in platform.tradingview.base_url",
                        )
                body = b"".join(parts).decode("utf-8", errors="replace")
                _refuse_status(answer, body, self.timing.now)
        except httpx.TimeoutException as error:
            raise TransientAnswerError(
                f"nothing came for {self.settings.timeout_seconds:g} seconds"
            ) from error
        except httpx.TransportError as error:
            raise TransientAnswerError(
                f"the connection failed ({plain(str(error)) or type(error).__name__})"
            ) from error
        return body


class _AskedToWaitError(TransientAnswerError):
    """The vendor said how long to wait."""

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds


def _refuse_status(answer: httpx.Response, body: str, now: Callable[[], datetime]) -> None:
    """Raise unless an answer is a success; what the vendor says of an error is kept in it."""
    status = answer.status_code
    if 200 <= status < 300 or (status == 400 and body.lstrip().startswith("{")):
        return
    if status in _LATER or status >= 500:
        raise _AskedToWaitError(
            f"it answered with status {status}", _asked_wait(answer.headers.get("retry-after"), now)
        )
    raise SourceError(
        f"{answer.request.url} answers with status {status}",
        expected="status 200",
        mend="check the address in platform.tradingview.base_url, and whether the vendor lets this "
        "machine ask",
    )


def _asked_wait(told: str | None, now: Callable[[], datetime]) -> float:
    """Return the seconds that a ``Retry-After`` asks for; zero where it says nothing readable."""
    if told is None:
        return 0.0
    try:
        return max(float(told), 0.0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max((aware - now()).total_seconds(), 0.0)
