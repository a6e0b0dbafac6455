"""How the screener of TradingView is asked, and when its answer is believed.

Everything but the last two keys decides how an answer is fetched and never what a stored one says,
and is therefore outside every hash.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from quant_platform.settings.base import SettingsModel, described, refuse

_ADDRESS = re.compile(r"https?://(?P<host>[^/?#]+)(/[^?#]*)?")


def _plain_address(address: str | None) -> str | None:
    if address is None:
        return None
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise refuse(
            "it is no web address", expected="one that begins with https:// and has no ? or #"
        )
    if "@" in found["host"]:
        raise refuse(
            "the address holds a user or a password",
            expected="an address without them",
            mend="take them out: settings are shown and hashed",
        )
    return address.rstrip("/")


class TradingViewSettings(SettingsModel):
    """The vendor's screener: off as long as it has no address."""

    base_url: Annotated[str | None, AfterValidator(_plain_address)] = described(
        "Address of the screener; nothing is asked of it while this is null.",
        None,
        outside_hash=True,
    )
    page_rows: int = described(
        "Rows that one request asks for.", 500, unit="rows", outside_hash=True, ge=1, le=5000
    )
    rows: int = described(
        "Rows of one asset class that a snapshot holds at most, the most traded first.",
        10_000,
        unit="rows",
        outside_hash=True,
        ge=1,
        le=100_000,
    )
    timeout_seconds: float = described(
        "How long one answer may take, from the request to its last byte.",
        30.0,
        unit="seconds",
        outside_hash=True,
        gt=0.0,
        le=600.0,
    )
    attempts: int = described(
        "How often one page is asked for before the snapshot is given up.",
        5,
        unit="requests",
        outside_hash=True,
        ge=1,
        le=20,
    )
    backoff_seconds: float = described(
        "Wait before the second attempt; each further one waits twice as long.",
        2.0,
        unit="seconds",
        outside_hash=True,
        ge=0.0,
        le=60.0,
    )
    longest_wait_seconds: float = described(
        "Longest wait before an attempt, also where the vendor asks for a longer one.",
        60.0,
        unit="seconds",
        outside_hash=True,
        ge=0.0,
        le=3600.0,
    )
    pause_seconds: float = described(
        "Wait between two requests that went well.",
        1.0,
        unit="seconds",
        outside_hash=True,
        ge=0.0,
        le=60.0,
    )
    passes: int = described(
        "How often all pages are asked for while rows move between them.",
        3,
        unit="passes",
        outside_hash=True,
        ge=1,
        le=10,
    )
    settled_minutes: int = described(
        "How long after its close a session is over at the vendor: quotes without an account come "
        "15 minutes late.",
        20,
        unit="minutes",
        ge=0,
        le=240,
    )
    least_share: float = described(
        "A session takes the snapshot only if that has a row for this share of the screener's "
        "securities; their values are not ranked beside others of another making.",
        0.9,
        unit="share of the screener's rows",
        ge=0.0,
        le=1.0,
    )
    close_tolerance: float = described(
        "A row is taken only if its close is within this of the session's own bar: another close "
        "is another security, or another session.",
        0.01,
        unit="share of the close",
        gt=0.0,
        le=1.0,
    )
