"""The page and its Markdown: whole documents, without anything from elsewhere, escaped."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from html.parser import HTMLParser

import polars as pl
import pytest

from quant_platform.errors import MissingUpstreamError
from quant_platform.reports.markdown import daily_markdown
from quant_platform.reports.page import daily_page, return_charts
from quant_platform.reports.scope import DailyScope
from quant_platform.reports.table import Table, markdown_text
from quant_platform_tests.execution.world import CALENDARS, NYSE, SESSIONS
from quant_platform_tests.reports.evenings import (
    BARE,
    SCOPE,
    YEAR,
    Tables,
    handed,
    report,
    span,
    tables_of,
)

LAST = SESSIONS[-1]
EVIL = '<script>alert("x")</script>|*[a](http://x)`'
VOID = {"meta", "br", "path", "rect", "circle"}


class Outline(HTMLParser):
    """Elements, text and addresses of a page; elements that are not closed in order are wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


@cache
def inputs() -> Tables:
    return tables_of()


def page_of(tables: Tables, scope: DailyScope = SCOPE, sessions: tuple[date, ...] = (LAST,)) -> str:
    figures = report(tables, scope, sessions)
    frames = handed(tables, scope, sessions)
    return daily_page(frames, figures, scope, span(sessions), CALENDARS)


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    page = page_of(inputs())
    found = outline(page)
    assert found.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(found.seen)
    assert "@import" not in page
    assert "url(" not in page
    # Name spaces of pictures are names, nobody fetches them.
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert found.seen.count("svg") == 5


def test_the_page_of_a_session_does_not_depend_on_its_range() -> None:
    assert page_of(inputs(), sessions=tuple(SESSIONS)) == page_of(inputs())


def test_the_page_says_what_the_tables_say() -> None:
    text = " ".join(outline(page_of(inputs())).text).replace("\u00a0", " ")
    equity = inputs()["positions"].filter(session=LAST)["equity"][0]
    assert f"{equity:,.2f}" in text
    for profile in SCOPE.metas["meta"]:
        assert f"meta/{profile}" in text
    for symbol in inputs()["orders_plan"].filter(session=LAST)["symbol"]:
        assert symbol in text


def test_whatever_comes_from_data_is_escaped() -> None:
    """Symbols, ids, reasons and labels of every table are hostile."""
    tables = {}
    for name, table in inputs().items():
        words = [
            column
            for column in ("symbol", "security_id", "reason", "blocked", "benchmark", "order_id")
            if column in table.columns
        ]
        # Nulls stay null: what is added to nothing is nothing.
        evil = [pl.concat_str(pl.col(word), pl.lit(EVIL)).alias(word) for word in words]
        tables[name] = table.with_columns(evil)
    tables["execution_ready"] = inputs()["execution_ready"].with_columns(
        ready=pl.lit(False), reasons=pl.lit([EVIL], pl.List(pl.String))
    )
    session = inputs()["fills"]["session"].max()
    assert isinstance(session, date)
    page = page_of(tables, sessions=(session,))
    found = outline(page)
    assert "script" not in found.seen
    assert any(EVIL in text for text in found.text)
    markdown = daily_markdown(report(tables, sessions=(session,)), session)
    assert "<script" not in markdown.replace("\\<script", "")


def test_the_account_that_opens_tonight_explains_its_empty_tables() -> None:
    text = " ".join(outline(page_of(inputs(), sessions=(SESSIONS[0],))).text)
    assert "No fills. The account opened on this session." in text
    assert "All cash: nothing is held." in text


def test_before_the_account_and_without_one_the_page_says_so() -> None:
    early = NYSE.offset(SESSIONS[0], -1)
    text = " ".join(outline(page_of(inputs(), sessions=(early,))).text)
    assert f"The account opens on {SESSIONS[0]}." in text
    text = " ".join(outline(page_of(inputs(), BARE)).text)
    assert "No account is configured." in text
    assert "No meta is configured." in text


def test_the_first_session_of_history_has_a_page() -> None:
    text = " ".join(outline(page_of(inputs(), BARE, (YEAR[0],))).text)
    assert "needs 252 sessions and has 1" in text


def test_a_session_without_figures_is_refused() -> None:
    figures = report(inputs(), sessions=SESSIONS[:2])
    frames = handed(inputs(), SCOPE, (LAST,))
    with pytest.raises(MissingUpstreamError, match="no figures of 2024-07-15"):
        daily_page(frames, figures, SCOPE, span([LAST]), CALENDARS)


def test_markdown_has_every_section_and_tables_of_even_width() -> None:
    charts = return_charts(
        handed(inputs(), SCOPE, (LAST,)),
        SCOPE,
        span([LAST]),
        CALENDARS,
        branches=("meta",),
        standalone=True,
    )
    assert len(charts) == 1
    text = daily_markdown(report(inputs(), sessions=(LAST,)), LAST, charts)
    assert text.count("](data:image/svg+xml;base64,") == 1
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Account",
        "Profiles",
        "Meta weights",
        "Targets of tonight",
        "Orders",
        "Fills",
        "Slippage",
        "Gates",
        "Fire rates",
        "Regime",
    ]
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_markdown_marks_are_escaped_and_a_line_stays_one() -> None:
    assert markdown_text("a|b_c\nd") == r"a\|b\_c d"


def test_a_long_table_shows_its_first_rows_and_the_rest_on_demand() -> None:
    table = Table("t", ("a", "b"), [[str(number), "1"] for number in range(5)])
    found = outline(table.html(3))
    assert found.seen.count("details") == 1
    assert "2 more" in found.text
    assert "details" not in outline(table.html()).seen
    assert outline(table.html(3)).seen.count("tr") == 7


def test_the_page_lists_all_rates_and_warns_of_those_that_tell_nothing() -> None:
    quiet = page_of(inputs())
    rated = inputs()["gates"].filter(session=LAST).select("table", "gate").unique().rows()
    assert len(rated) == 13
    for table, gate in rated:
        assert f"{table}: {gate}" in quiet
    assert "Gates that tell nothing apart" in quiet
    assert "fired in none of" not in quiet
    days = YEAR[-126:]
    idle = pl.DataFrame(
        [(day, "etfs/scan_x", "RSI less", "choice", 1, 0) for day in days],
        schema=inputs()["gates"].schema,
        orient="row",
    )
    loud = page_of(inputs() | {"gates": idle})
    assert f"fired in none of 126 cases since {days[0]}" in loud
    checks = pl.DataFrame(
        {
            "table": ["x/bars"],
            "gate": ["row_count"],
            "asked": [252],
            "fired": [252],
            "since": [days[0]],
            "warned": [True],
            "warning": ["fired in each of 252 cases"],
        }
    )
    text = daily_markdown(report(inputs(), sessions=(LAST,)), LAST, checks=checks)
    assert "x/bars: row\\_count" in text
    assert "fired in each of 252 cases" in text


def test_a_history_of_survivors_carries_a_band() -> None:
    tables = inputs()
    assert 'class="band"' not in page_of(tables)
    biased = SCOPE.model_copy(update={"biased": ("instruments",)})
    page = page_of(tables, biased)
    assert page.index('class="band"') < page.index('class="chips"')
    assert "Survivorship bias: instruments" in page
