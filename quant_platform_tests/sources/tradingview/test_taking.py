"""Taking a snapshot and answering from it: its hours, its file, and which session it is of."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.orchestration.graph import platform_calendar
from quant_platform.settings import Settings
from quant_platform.sources.tradingview.client import Timing
from quant_platform.sources.tradingview.hours import hours_of, session_at
from quant_platform.sources.tradingview.source import SNAPSHOT_SCHEMA, TradingViewSource
from quant_platform.sources.tradingview.store import SnapshotStore
from quant_platform.sources.tradingview.taking import Taken, take_snapshot
from quant_platform_tests.small_project import EVENING, small_settings
from quant_platform_tests.sources.tradingview.vendor import Vendor, funds, replaced

SETTLED = timedelta(minutes=20)
THURSDAY, FRIDAY, MONDAY = date(2024, 5, 2), date(2024, 5, 3), date(2024, 5, 6)
EVENING_OF_THURSDAY = datetime(2024, 5, 2, 23, 30, tzinfo=UTC)
"""NYSE closed at 20:00 UTC; the cutoff is at 01:30 of Friday."""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor(funds(12)).serve() as serving:
        yield serving


def settings_of(folder: Path, vendor: Vendor, **own: Any) -> Settings:
    told = {
        "sleeves__etfs__sources": {"bars": "simulated", "screener": "tradingview"},
        "platform__tradingview__base_url": vendor.address,
        "platform__tradingview__page_rows": 5,
        "platform__tradingview__attempts": 2,
    }
    return small_settings(folder, **(told | own))


def nyse(settings: Settings) -> SessionCalendar:
    return platform_calendar(settings, "XNYS", EVENING)


def at(moment: datetime, step: timedelta = timedelta(0)) -> Timing:
    """Return a clock that stands still, or moves by a step whenever it is looked at."""
    looked = [0]

    def now() -> datetime:
        looked[0] += 1
        return moment + step * (looked[0] - 1)

    return Timing(now, lambda _seconds: None, lambda: 0.0)


def take(settings: Settings, timing: Timing) -> Taken:
    return take_snapshot(settings, "etfs", nyse(settings), timing)


def answered(settings: Settings, *sessions: date) -> Any:
    source = TradingViewSource.from_settings(settings)
    return source.screener(nyse(settings), "etfs", sessions)


def test_a_snapshot_belongs_to_the_session_that_is_over(tmp_path: Path, vendor: Vendor) -> None:
    settings = settings_of(tmp_path, vendor)
    taken = take(settings, at(EVENING_OF_THURSDAY))
    assert (taken.session, taken.announced, taken.pages) == (THURSDAY, 12, 3)
    rows = answered(settings, date(2024, 5, 1), THURSDAY, FRIDAY)
    assert rows.schema == SNAPSHOT_SCHEMA
    assert rows["symbol"].to_list() == sorted(vendor.securities)
    assert set(rows["session"]) == {THURSDAY}
    assert set(rows["known_at"]) == {EVENING_OF_THURSDAY}
    assert set(rows["payload"]) == {taken.kept.content_hash}
    assert answered(settings, FRIDAY).is_empty()


def test_the_file_holds_the_vendors_own_words(tmp_path: Path, vendor: Vendor) -> None:
    taken = take(settings_of(tmp_path, vendor), at(EVENING_OF_THURSDAY))
    text = gzip.decompress(taken.kept.path.read_bytes()).decode()
    assert "totalCount" in text
    assert all(symbol in text for symbol in vendor.securities)
    assert taken.kept.content_hash in taken.kept.path.name


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        # Noon of Thursday: the session is not over.
        (datetime(2024, 5, 2, 16, 0, tzinfo=UTC), "from 2024-05-02 20:20 to 2024-05-03 01:30"),
        # Quotes come 15 minutes late.
        (datetime(2024, 5, 2, 20, 10, tzinfo=UTC), "from 2024-05-02 20:20"),
        # After the cutoff it could only be Friday's, which has not begun.
        (datetime(2024, 5, 3, 1, 31, tzinfo=UTC), "from 2024-05-03 20:20"),
        # The weekend would be Monday's.
        (datetime(2024, 5, 4, 12, 0, tzinfo=UTC), "from 2024-05-06 20:20"),
    ],
)
def test_at_another_time_nothing_is_asked(
    tmp_path: Path, vendor: Vendor, moment: datetime, expected: str
) -> None:
    with pytest.raises(SourceError, match=expected):
        take(settings_of(tmp_path, vendor), at(moment))
    assert vendor.asked == []


def test_a_snapshot_that_takes_too_long_is_not_kept(tmp_path: Path, vendor: Vendor) -> None:
    settings = settings_of(tmp_path, vendor)
    late = datetime(2024, 5, 3, 1, 28, tzinfo=UTC)
    with pytest.raises(SourceError, match="complete at 2024-05-03 01:32"):
        take(settings, at(late, timedelta(minutes=1)))
    assert list(SnapshotStore.of(settings.lake_root, "etfs").kept()) == []


def test_what_was_received_outside_the_hours_is_of_no_session(
    tmp_path: Path, vendor: Vendor
) -> None:
    settings = settings_of(tmp_path, vendor)
    taken = take(settings, at(EVENING_OF_THURSDAY))
    for begun, complete in (
        # Begun before the close, complete after the cutoff, at noon, on a Saturday.
        (datetime(2024, 5, 2, 19, 59, tzinfo=UTC), datetime(2024, 5, 2, 23, 0, tzinfo=UTC)),
        (datetime(2024, 5, 3, 1, 29, tzinfo=UTC), datetime(2024, 5, 3, 1, 31, tzinfo=UTC)),
        (datetime(2024, 5, 3, 16, 0, tzinfo=UTC), datetime(2024, 5, 3, 16, 1, tzinfo=UTC)),
        (datetime(2024, 5, 4, 12, 0, tzinfo=UTC), datetime(2024, 5, 4, 12, 1, tzinfo=UTC)),
    ):
        name = f"{begun:%Y%m%dT%H%M%S%fZ}-{complete:%Y%m%dT%H%M%S%fZ}-{taken.kept.content_hash}"
        taken.kept.path.with_name(f"{name}.jsonl.gz").write_bytes(taken.kept.path.read_bytes())
    rows = answered(settings, THURSDAY, FRIDAY, MONDAY)
    assert set(rows["known_at"]) == {EVENING_OF_THURSDAY}


def test_the_last_of_several_counts(tmp_path: Path, vendor: Vendor) -> None:
    settings = settings_of(tmp_path, vendor)
    first = take(settings, at(EVENING_OF_THURSDAY))
    vendor.securities["AMEX:F3"]["RSI"] = 11.0
    second = take(settings, at(EVENING_OF_THURSDAY + timedelta(hours=1)))
    rows = answered(settings, THURSDAY)
    assert first.kept.content_hash != second.kept.content_hash
    assert set(rows["payload"]) == {second.kept.content_hash}
    assert rows.filter(symbol="AMEX:F3")["RSI"].item() == 11.0


def test_a_range_is_its_sessions(tmp_path: Path, vendor: Vendor) -> None:
    settings = settings_of(tmp_path, vendor)
    take(settings, at(EVENING_OF_THURSDAY))
    take(settings, at(EVENING_OF_THURSDAY + timedelta(days=1)))
    whole = answered(settings, THURSDAY, FRIDAY, MONDAY)
    assert whole.height == 24
    assert whole.equals(answered(settings, THURSDAY).extend(answered(settings, FRIDAY)))


def _cut(packed: bytes) -> bytes:
    return packed[:-20]


def _edited(packed: bytes) -> bytes:
    return gzip.compress(gzip.decompress(packed).replace(b"AMEX:F3", b"AMEX:X3"), mtime=0)


@pytest.mark.parametrize("touch", [_cut, _edited])
def test_a_file_that_was_touched_is_refused(
    tmp_path: Path, vendor: Vendor, touch: Callable[[bytes], bytes]
) -> None:
    settings = settings_of(tmp_path, vendor)
    path = take(settings, at(EVENING_OF_THURSDAY)).kept.path
    path.write_bytes(touch(path.read_bytes()))
    with pytest.raises(SourceError, match="is not what was received"):
        answered(settings, THURSDAY)


def test_an_answer_of_another_unit_is_not_kept(tmp_path: Path, vendor: Vendor) -> None:
    for told in vendor.securities.values():
        told["change"] /= 100
    settings = settings_of(tmp_path, vendor)
    with pytest.raises(SourceError, match="'change' is"):
        take(settings, at(EVENING_OF_THURSDAY))
    assert answered(settings, THURSDAY).is_empty()


def test_a_failed_snapshot_leaves_nothing(tmp_path: Path, vendor: Vendor) -> None:
    settings = settings_of(tmp_path, vendor)
    vendor.interfere = {3: replaced(status=500), 4: replaced(status=500)}
    with pytest.raises(SourceError, match="was asked 2 times"):
        take(settings, at(EVENING_OF_THURSDAY))
    assert list(SnapshotStore.of(settings.lake_root, "etfs").kept()) == []


def test_a_sleeve_that_is_not_routed_takes_none(tmp_path: Path, vendor: Vendor) -> None:
    settings = settings_of(tmp_path, vendor, sleeves__etfs__sources={"bars": "simulated"})
    with pytest.raises(SourceError, match="does not take its screener from tradingview"):
        take(settings, at(EVENING_OF_THURSDAY))


def test_of_a_market_that_never_closes_the_last_half_hour_counts(
    tmp_path: Path, vendor: Vendor
) -> None:
    days = platform_calendar(settings_of(tmp_path, vendor), "24/7", EVENING)
    hours = hours_of(days, THURSDAY, SETTLED)
    assert hours.begin == datetime(2024, 5, 2, 23, 30, tzinfo=UTC)
    assert hours.end < datetime(2024, 5, 3, 0, 0, tzinfo=UTC)
    assert session_at(days, hours.end, SETTLED) == hours
    # Half an hour later the vendor tells of a day that is half an hour old.
    assert session_at(days, datetime(2024, 5, 3, 0, 30, tzinfo=UTC), SETTLED) is None


def test_a_half_day_ends_earlier(tmp_path: Path, vendor: Vendor) -> None:
    calendar = nyse(settings_of(tmp_path, vendor))
    hours = hours_of(calendar, date(2023, 11, 24), SETTLED)
    assert hours.begin == datetime(2023, 11, 24, 18, 20, tzinfo=UTC)


@pytest.mark.parametrize("routes", [{"screener": "files"}, {"actions": "tradingview"}])
def test_other_routes_are_refused(tmp_path: Path, vendor: Vendor, routes: dict[str, str]) -> None:
    with pytest.raises(Exception, match="screener from tradingview"):
        settings_of(tmp_path, vendor, sleeves__etfs__sources={"bars": "simulated"} | routes)
