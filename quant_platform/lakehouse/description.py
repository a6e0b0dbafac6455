"""What a table is, stored beside its partitions: calendar, grain, schema version.

A lake can be read without the project that filled it; look-backs and cutoffs need the calendar, and
that is why each table carries it.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

from quant_platform.calendars import SessionCalendar, build_calendar
from quant_platform.errors import LakeError
from quant_platform.lakehouse.files import file_errors, write_atomic
from quant_platform.lakehouse.layout import TableLayout


def is_described(layout: TableLayout, calendar: SessionCalendar) -> bool:
    """Say whether the table's description holds this calendar and the contract."""
    path = layout.description
    with file_errors(path, "describe the table in"):
        return path.exists() and path.read_text() == _text(layout, calendar)


def write_description(layout: TableLayout, calendar: SessionCalendar) -> None:
    """Record a table's calendar and contract.

    Parameters
    ----------
    layout
        Where the table lies.
    calendar
        Calendar that its sessions are counted in.
    """
    write_atomic(layout.description, _text(layout, calendar).encode())


def _text(layout: TableLayout, calendar: SessionCalendar) -> str:
    return json.dumps(
        {
            "table": layout.table,
            "grain": layout.contract.grain,
            "schema_version": layout.contract.version,
            "calendar": calendar.code,
            "grace_seconds": int(calendar.grace.total_seconds()),
            "horizon": calendar.horizon.isoformat(),
            "extra_holidays": [day.isoformat() for day in calendar.extra_holidays],
            "extra_sessions": [day.isoformat() for day in calendar.extra_sessions],
        },
        indent=1,
    )


def read_calendar(layout: TableLayout) -> SessionCalendar:
    """Calendar of a described table.

    Raises
    ------
    LakeError
        When the table is not in the lake, or its description cannot be read.
    """
    try:
        record = json.loads(layout.description.read_text())
        return build_calendar(
            record["calendar"],
            horizon=date.fromisoformat(record["horizon"]),
            grace=timedelta(seconds=record["grace_seconds"]),
            extra_holidays=tuple(map(date.fromisoformat, record["extra_holidays"])),
            extra_sessions=tuple(map(date.fromisoformat, record["extra_sessions"])),
        )
    except FileNotFoundError:
        raise LakeError(
            f"table '{layout.table}' is not in the lake at {layout.root}",
            expected="a table that was materialised",
            mend="list the tables with 'quant sql', or run 'quant backfill' to make it",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{layout.description} cannot be read ({type(error).__name__})",
            expected="the description that was written with the table",
            mend="delete it and run 'quant backfill' with --force over one session of the table",
        ) from error
