"""What a reading makes of days, times and columns that are not written as ours are."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform.errors import ConfigError, SourceError
from quant_platform.sources.files import FolderReader, read_mapping
from quant_platform.sources.files.mapping import Kind
from quant_platform_tests.sources.files.folders import write
from quant_platform_tests.sources.markets import NYSE

SERIES = "series,session,value,unit\ncpi,2024-01-31,7.5,percent\n"
BARS = "symbol,session,open,high,low,close,volume"


def read(folder: Path, mapping: str, kind: Kind) -> pl.DataFrame:
    path = folder / "map.yaml"
    path.write_text(mapping, encoding="utf-8")
    return FolderReader(folder, read_mapping(path), NYSE, {"bars": 30}).table(kind)


def test_days_later_alone_are_added_to_the_assumed_time(tmp_path: Path) -> None:
    write(tmp_path, {"s.csv": SERIES})
    rows = read(tmp_path, "series:\n  - files: s.csv\n    known_at: {days_later: 45}\n", "series")
    close = NYSE.close(date(2024, 1, 31))
    assert rows["known_at"].to_list() == [close + timedelta(minutes=30, days=45)]
    assert rows["known_at_basis"].to_list() == ["assumed"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/New_York", None])
def test_midnight_is_the_day_in_its_own_zone(tmp_path: Path, zone: str | None) -> None:
    midnight = pl.Series([date(2024, 1, 3)]).cast(pl.Datetime("us")).dt.replace_time_zone(zone)
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    table = pl.DataFrame({"symbol": ["A"], "session": midnight}).with_columns(**numbers)
    write(tmp_path, {"bars.parquet": table})
    rows = read(tmp_path, "bars:\n  - files: bars.parquet\n", "bars")
    assert rows["session"].to_list() == [date(2024, 1, 3)]


def test_an_end_that_is_not_part_of_the_stay_is_the_session_before(tmp_path: Path) -> None:
    first = NYSE.first_day
    ends = [date(2024, 1, 16), date(2024, 1, 7), first, first - timedelta(days=400), None]
    stays = pl.DataFrame({"index": "I", "symbol": "A", "valid_from": first, "end": ends})
    write(tmp_path, {"m.parquet": stays})
    rows = read(
        tmp_path,
        "membership:\n  - files: m.parquet\n"
        "    columns: {valid_to: {column: end, previous_session: true}}\n",
        "membership",
    )
    assert rows["valid_to"].to_list() == [
        # A Tuesday after a holiday, a Sunday, and days before the calendar begins.
        *(date(2024, 1, 12), date(2024, 1, 5)),
        *(first - timedelta(days=1), first - timedelta(days=401), None),
    ]
    with pytest.raises(ConfigError, match="both next_session and previous_session"):
        read(
            tmp_path,
            "membership:\n  - files: m.parquet\n"
            "    columns: {valid_to: {column: e, previous_session: true, next_session: true}}\n",
            "membership",
        )


CBOE = "    layout: cboe\n    columns: {series: symbol, value: close, unit: {value: points}}\n"
TABLE = "series:\n  - files: s.csv\n"


@pytest.mark.parametrize(
    ("text", "mapping", "told"),
    [
        (
            "DATE,CLOSE\n01/03/2022,1\n2022-01-04,1\n",
            TABLE + CBOE,
            "'2022-01-04' for DATE in row 2",
        ),
        ("DATE,CLOSE\n01/03/22,1\n", TABLE + CBOE, "'01/03/22' for DATE in row 1"),
        ("DATE\n01/03/2022\n", TABLE + CBOE, "not in the layout of CBOE"),
        (
            "date,series,a\n2022-01-03,x,1\n",
            TABLE + "    wide: {a: f/a}\n    columns: {unit: {value: fraction}}\n",
            "has a column 'series' beside those that wide names",
        ),
        (
            "series,session,unit,value\ncpi,2024-01-31,percent,7.5\ncpi,2024-02-29,percent,7",
            TABLE,
            "ends with '7' and no line break",
        ),
        (
            "series,session,value,unit,value\ncpi,2024-01-31,7.5,percent,7.6\n",
            TABLE,
            "has 2 columns called 'value'",
        ),
        (SERIES.replace("2024-01-31", "24-01-31"), TABLE, "says '24-01-31' for session in row 1"),
        (
            "series,session,value,unit,known_at\ncpi,2024-01-31,7.5,percent,24-01-31\n",
            TABLE,
            "says '24-01-31' for known_at in row 1",
        ),
        (
            SERIES + "vix,2024-01-31,x,points\n",
            TABLE + "    where: {series: [vix]}\n",
            "says 'x' for value in row 2",
        ),
        (SERIES, TABLE + "    columns: {valeu: value}\n", "'valeu' for series.*; expected value;"),
        (SERIES, TABLE + "    columns: {known_at: session}\n", "say known_at beside columns"),
    ],
    ids=[
        *("cboe-iso", "cboe-two-digits", "cboe-only-date", "wide-series", "cut", "twice"),
        *("two-digits", "known-two-digits", "row-after-where", "misspelt", "known-at-in-columns"),
    ],
)
def test_what_can_not_be_read_is_refused_in_a_sentence(
    tmp_path: Path, text: str, mapping: str, told: str
) -> None:
    write(tmp_path, {"s.csv": text})
    with pytest.raises(SourceError, match=told):
        read(tmp_path, mapping, "series")


def test_dates_and_instants_in_one_column_are_both_read(tmp_path: Path) -> None:
    text = (
        "series,session,value,unit,known_at\n"
        "a,2024-01-02,1,x,2024-01-02\na,2024-01-03,1,x,2024-01-03T22:00:00Z\na,2024-01-04,1,x,\n"
    )
    write(tmp_path, {"s.csv": text})
    rows = read(tmp_path, TABLE, "series")
    assert rows["known_at"].dt.strftime("%d %H:%M").to_list() == [
        *("03 00:00", "03 22:00"),
        (NYSE.close(date(2024, 1, 4)) + timedelta(minutes=30)).strftime("%d %H:%M"),
    ]
    assert rows["known_at_basis"].to_list() == ["observed", "observed", "assumed"]


def test_an_end_beyond_the_calendar_is_none_yet(tmp_path: Path) -> None:
    """Databases write 9999-12-31 for what has not ended."""
    write(
        tmp_path,
        {
            "l.csv": "symbol,listed_on,delisted_on\n"
            "A,1999-01-04,9999-12-31\nB,1999-01-04,2023-03-01\n",
            "m.csv": "index,symbol,valid_from,valid_to\nI,A,1999-01-04,2999-12-31\n",
        },
    )
    listings = read(tmp_path, "listings:\n  - files: l.csv\n", "listings")
    assert listings["delisted_on"].to_list() == [None, date(2023, 3, 1)]
    members = read(tmp_path, "membership:\n  - files: m.csv\n", "membership")
    assert members["valid_to"].to_list() == [None]


def test_line_breaks_of_any_kind_are_read(tmp_path: Path) -> None:
    rows = []
    for number, sign in enumerate(("\n", "\r\n", "\r")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "s.csv").write_bytes(SERIES.replace("\n", sign).encode())
        rows.append(read(folder, TABLE, "series"))
    assert rows[0].height == 1
    assert rows[1].equals(rows[0])
    assert rows[2].equals(rows[0])


@pytest.mark.parametrize(("written", "readable"), [(20240131.0, True), (45322.0, False)])
def test_a_number_is_a_date_as_it_is_written(
    tmp_path: Path, written: float, readable: bool
) -> None:
    """Days since 1900, as spreadsheets count them, are none."""
    rows = {"series": ["cpi"], "session": [written], "value": [7.5], "unit": ["percent"]}
    pl.DataFrame(rows).write_parquet(tmp_path / "s.parquet")
    mapping = TABLE.replace("s.csv", "s.parquet")
    if readable:
        assert read(tmp_path, mapping, "series")["session"].to_list() == [date(2024, 1, 31)]
    else:
        with pytest.raises(SourceError, match=r"says 45322\.0 for session in row 1"):
            read(tmp_path, mapping, "series")


def test_a_comma_may_stand_before_the_decimals(tmp_path: Path) -> None:
    write(tmp_path, {"s.csv": "series;session;value;unit\ncpi;2024-01-31;7,25;percent\n"})
    mapping = TABLE + "    separator: ';'\n"
    with pytest.raises(SourceError, match=r"says '7,25' for value in row 1; .*1234\.5; .*decimal"):
        read(tmp_path, mapping, "series")
    mapping += "    decimal: ','\n"
    assert read(tmp_path, mapping, "series")["value"].to_list() == [7.25]
    # 1.234 may be a thousand there, and is no number to be sure of.
    write(tmp_path, {"s.csv": "series;session;value;unit\ncpi;2024-01-31;1.234;percent\n"})
    with pytest.raises(SourceError, match=r"says '1\.234' for value in row 1; .*1234,5"):
        read(tmp_path, mapping, "series")
