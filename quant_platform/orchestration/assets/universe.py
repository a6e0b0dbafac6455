"""The ``universe`` of a sleeve as of each session, and its counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from quant_platform.errors import ConfigError
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.reference import published_membership, published_securities
from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.stage import Stage
from quant_platform.scanners.universe import session_universe, survivors_of, universe_windows
from quant_platform.scanners.universe_counts import universe_counts, universe_counts_windows

GROUP = "market_data"


def universe_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of a sleeve's universe.

    Raises
    ------
    ConfigError
        When members of an index are asked for, and the source has no membership.
    """
    settings, kinds = sleeve.sleeve.universe, sleeve.source.kinds
    stale = sleeve.sleeve.hygiene.stale_sessions
    if settings.index is not None and "membership" not in kinds:
        raise ConfigError(
            f"sleeve {sleeve.sleeve.name!r} asks for members of {settings.index}, and its source "
            f"{sleeve.source.name!r} has no membership",
            expected="a source of membership",
            mend="name one in the sleeve's sources, or take universe.index out",
        )
    return [
        sleeve.stage(
            "universe",
            function=partial(session_universe, stale_sessions=stale, survivors=_survivors(sleeve)),
            settings=settings,
            description="Who is listed as known at each session, and which screen kept out whom.",
            group=GROUP,
            windows=sleeve.windows(universe_windows(settings, kinds, stale)),
            identity={"stale_sessions": stale}
            # What looks ahead has no window; its source stands for it.
            | (dict(sleeve.identity) if settings.survivors_on is not None else {}),
        ),
        sleeve.stage(
            "universe_counts",
            function=universe_counts,
            settings=settings,
            description="How many are listed, included, rejected by which screen, arrived, "
            "renamed, merged, delisted, or gone without ever having traded.",
            group=GROUP,
            windows=sleeve.windows(universe_counts_windows()),
        ),
    ]


def _survivors(sleeve: SleeveContext) -> Callable[[], list[str]] | None:
    """Return what reads the biased list from the source; None where none is asked for."""
    settings, calendar = sleeve.sleeve.universe, sleeve.calendar
    day = settings.survivors_on
    if day is None:
        return None

    @lru_cache(maxsize=1)
    def survivors() -> list[str]:
        name, source, start = sleeve.sleeve.name, sleeve.source, sleeve.platform.history_start
        there = SessionRange(calendar, tuple(calendar.between(start, day)), start)
        securities = published_securities(source, name, there).rows
        members = published_membership(source, name, there).rows if settings.index else None
        return survivors_of(securities, members, settings, there)

    return survivors
