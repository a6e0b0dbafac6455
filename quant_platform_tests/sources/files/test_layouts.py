"""Published layouts, each from a hand-written excerpt of its public form."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import ConfigError, SourceError
from quant_platform.sources.files import FolderReader, read_mapping
from quant_platform_tests.sources.files.folders import write
from quant_platform_tests.sources.markets import NYSE

CBOE = """DATE,OPEN,HIGH,LOW,CLOSE
01/02/2024,13.21,14.23,13.10,13.20
01/03/2024,13.38,14.22,13.33,14.04
"""

FRENCH = """This file was created by CMPT_ME_BEME_RETS using the 202404 CRSP database.

,Mkt-RF,SMB,HML,RF
20240102,   -0.70,   -1.13,    1.67,   0.022
20240103,   -0.99,  -99.99,   -0.03,   0.022

Copyright 2024 Kenneth R. French
"""

ISHARES = """\ufeffiShares Core S&P 500 ETF
Fund Holdings as of,"Jan 31, 2024"
Inception Date,"May 15, 2000"
Shares Outstanding,"870,250,000.00"

Ticker,Name,Sector,Asset Class,Market Value,Weight (%)
"MSFT","MICROSOFT CORP","Information Technology","Equity","30,523,842,010.12","7.24"
"AAPL","APPLE INC","Information Technology","Equity","27,914,220,311.00","6.62"

"The content contained herein is owned or licensed by BlackRock"
"""

EDGAR = """Description:           Master Index of EDGAR Dissemination Feed
Last Data Received:    March 31, 2024

CIK|Company Name|Form Type|Date Filed|Filename
--------------------------------------------------------------------------------
320193|Apple Inc.|10-Q|2024-02-02|edgar/data/320193/0000320193-24-000006.txt
789019|MICROSOFT CORP|10-Q|2024-01-30|edgar/data/789019/0000950170-24-008814.txt
"""


def read(folder: Path, mapping: str, kind: str) -> pl.DataFrame:
    path = folder / "map.yaml"
    path.write_text(mapping, encoding="utf-8")
    return FolderReader(folder, read_mapping(path), NYSE, {"bars": 30}).table(kind)


def test_an_index_of_cboe(tmp_path: Path) -> None:
    write(tmp_path, {"VIX_History.csv": CBOE})
    rows = read(
        tmp_path,
        "series:\n  - files: '*_History.csv'\n    layout: cboe\n"
        "    columns: {series: symbol, value: close, unit: {value: index points}}\n",
        "series",
    )
    assert rows["series"].unique().to_list() == ["VIX"]
    assert rows["session"].to_list() == [date(2024, 1, 2), date(2024, 1, 3)]
    assert rows["value"].to_list() == [13.20, 14.04]
    assert rows["known_at"][0] == NYSE.close(date(2024, 1, 2)) + timedelta(minutes=30)


def test_factors_of_french_in_fractions_with_gaps(tmp_path: Path) -> None:
    write(tmp_path, {"F-F.csv": FRENCH})
    rows = read(
        tmp_path,
        "series:\n  - files: F-F.csv\n    layout: french\n"
        "    wide: {Mkt-RF: ff/mkt_rf, SMB: ff/smb}\n"
        "    columns: {value: {column: value, scale: 0.01}, unit: {value: fraction}}\n"
        "    known_at: {published: 2024-03-05}\n",
        "series",
    ).sort("series", "session")
    assert rows["value"].to_list() == [-0.006999999999999999, -0.0099, -0.0113, None]
    assert set(rows["known_at_basis"]) == {"observed"}
    assert NYSE.knowledge_sessions(rows["known_at"]).unique().to_list() == [date(2024, 3, 5)]


def test_holdings_of_ishares_are_members_on_their_day(tmp_path: Path) -> None:
    write(tmp_path, {"IVV_holdings.csv": ISHARES})
    rows = read(
        tmp_path,
        "membership:\n  - files: IVV_holdings.csv\n    layout: ishares\n"
        "    columns: {index: {value: SP500}, symbol: Ticker, valid_from: date}\n",
        "membership",
    )
    assert rows["symbol"].to_list() == ["US:MSFT", "US:AAPL"]
    assert set(rows["valid_from"]) == {date(2024, 1, 31)}


def test_filings_of_edgar_are_known_on_their_day(tmp_path: Path) -> None:
    write(tmp_path, {"master.idx.txt": EDGAR})
    rows = read(
        tmp_path,
        "earnings:\n  - files: master.idx.txt\n    layout: edgar\n"
        "    where: {'Form Type': [10-Q]}\n"
        "    columns: {symbol: CIK, period: {value: filed}, announced_on: Date Filed}\n"
        "    known_at: {column: Date Filed}\n",
        "earnings",
    )
    assert rows["announced_on"].to_list() == [date(2024, 2, 2), date(2024, 1, 30)]
    assert NYSE.knowledge_sessions(rows["known_at"]).to_list() == rows["announced_on"].to_list()


@pytest.mark.parametrize("layout", ["french", "ishares", "edgar"])
def test_another_layout_is_refused_in_a_sentence(tmp_path: Path, layout: str) -> None:
    write(tmp_path, {"a.csv": CBOE})
    with pytest.raises(SourceError, match=r"a\.csv is not in the layout of"):
        read(tmp_path, f"series:\n  - files: a.csv\n    layout: {layout}\n", "series")


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ("bars:\n  - files: a.csv\n    colums: {}\n", "map.yaml:3: unknown key 'colums'"),
        ("bars:\n  - columns: {}\n", "files is missing"),
        (
            "bars:\n  - files: a.csv\n    columns: {close: {scale: 2.0}}\n",
            "one of column and value",
        ),
        ("bars:\n  - files: a.csv\n    layout: cbot\n", "found the text 'cbot'"),
        (
            "bars:\n  - files: a.csv\n    known_at: {column: x, published: 2024-01-02}\n",
            "both column and published",
        ),
        *(
            (f"bars:\n  - files: {files}\n", "expected a glob of files below the folder")
            for files in ('""', "/etc/*.csv", "../in/*.csv", "'**bars/*.csv'")
        ),
        *(
            (f"bars:\n  - files: a.csv\n    separator: {sign}\n", "expected one ASCII character")
            for sign in ('""', '"||"', '"§"', "'\"'", '"\\n"')
        ),
        (
            "bars:\n  - files: a.csv\n    columns: {session: {column: t, format: '%H'}}\n",
            "format is '%H'; expected a day",
        ),
    ],
)
def test_a_mapping_that_is_wrong_says_where(tmp_path: Path, mapping: str, told: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(mapping, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_mapping(path)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ("symbol,date\nA,2024-01-02\n", "{}", "no column 'open'"),
        (
            "symbol,date,open,high,low,close,volume\nA,2024-01-02,1,1,1,x,1\n",
            "{}",
            "says 'x' for close in row 1",
        ),
        (
            "symbol,date,open,high,low,close,volume\nA,02.01.2024,1,1,1,1,1\n",
            "{}",
            "says '02.01.2024' for session in row 1",
        ),
        ("symbol,date,open,high,low,close,volume\n", "{close: closing}", "no column 'closing'"),
        (
            "symbol,date,open,high,low,close,volume\nA,9999-12-31,1,1,1,1,1\n",
            "{}",
            "says 9999-12-31 for session in row 1; expected a day up to ",
        ),
        (
            "symbol,date,open,high,low,close,volume,known_at\nA,2024-01-02,1,1,1,1,1,9999-12-31\n",
            "{}",
            "says 9999-12-31 for known_at in row 1; expected a publication before",
        ),
        ('symbol,date\nA,"2024-01-02\n' + "x" * 200_000, "{}", "is no table"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(
    tmp_path: Path, table: str, columns: str, told: str
) -> None:
    write(tmp_path, {"a.csv": table})
    with pytest.raises(SourceError) as caught:
        read(tmp_path, f"bars:\n  - files: a.csv\n    columns: {columns}\n", "bars")
    assert told in str(caught.value)
    assert "; expected " in str(caught.value)
