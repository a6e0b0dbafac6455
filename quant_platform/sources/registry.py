"""The sources by the name that a sleeve's file gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quant_platform.errors import ConfigError, SourceError
from quant_platform.settings import Settings
from quant_platform.settings.sleeve import (
    LIVE_KIND,
    SECOND_KIND,
    SHARED_KIND,
    SourceKind,
    SourceName,
)
from quant_platform.sources.files import FilesSource
from quant_platform.sources.protocol import Source
from quant_platform.sources.routed import RoutedSource, refuse_without
from quant_platform.sources.simulated.source import SimulatedSource
from quant_platform.sources.tradingview.source import TradingViewSource

SERIES_BRANCH = "market"
"""The branch whose series belong to no sleeve."""

_BUILDERS: dict[str, Callable[[Settings], Source]] = {
    "simulated": SimulatedSource.from_settings,
    "files": FilesSource.from_settings,
}


def build_source(name: str, settings: Settings) -> Source:
    """Return the source of that name, set up from the settings.

    Raises
    ------
    SourceError
        When there is none of that name.
    """
    builder = _BUILDERS.get(name)
    if builder is None:
        raise SourceError(
            f"there is no source {name!r}",
            expected=f"one of {', '.join(sorted(_BUILDERS))}",
            mend="correct the sleeve's sources",
        )
    return builder(settings)


def own_routes(routes: Mapping[SourceKind, SourceName]) -> dict[str, str]:
    """Return the kinds of a sleeve's history that do not come from the source of its bars."""
    bars, apart = routes["bars"], {SECOND_KIND, SHARED_KIND, LIVE_KIND}
    return {kind: name for kind, name in routes.items() if name != bars and kind not in apart}


def snapshots_of(sleeve: str, settings: Settings) -> TradingViewSource | None:
    """Return what has the snapshots of a sleeve's screener; None where it takes none."""
    if LIVE_KIND not in settings.sleeves[sleeve].sources:
        return None
    return TradingViewSource.from_settings(settings)


def second_source_of(sleeve: str, settings: Settings) -> Source | None:
    """Return the source that a sleeve's bars are compared with; None where there is none."""
    name = settings.sleeves[sleeve].sources.get(SECOND_KIND)
    if name is None:
        return None
    return FilesSource.second(settings) if name == "files" else build_source(name, settings)


def series_source(settings: Settings) -> tuple[Source, str] | None:
    """Return the source of the shared series, and the branch that it is asked for.

    That is the source which a sleeve names for them, and then its own import where they are files;
    else the embedded market, where a sleeve stands on it.

    Raises
    ------
    ConfigError
        When several sleeves name one.
    SourceError
        When it has no series.
    """
    told = [name for name, sleeve in settings.sleeves.items() if SHARED_KIND in sleeve.sources]
    if len(told) > 1:
        raise ConfigError(
            f"the sleeves {', '.join(sorted(told))} each name a source of series",
            expected="one at most, because all sleeves share market/series",
            mend="take series out of the sources of the others",
        )
    if told:
        name = settings.sleeves[told[0]].sources[SHARED_KIND]
        source = build_source(name, settings)
        refuse_without(SHARED_KIND, source, told[0])
        return source, told[0] if name == "files" else SERIES_BRANCH
    if any("simulated" in sleeve.sources.values() for sleeve in settings.sleeves.values()):
        return build_source("simulated", settings), SERIES_BRANCH
    return None


def source_of(sleeve: str, settings: Settings) -> Source:
    """Return the source of a sleeve: one, or several that share its kinds.

    Raises
    ------
    SourceError
        When a source has not the kind that the sleeve asks of it.
    """
    routes = settings.sleeves[sleeve].sources
    base = build_source(routes["bars"], settings)
    others = own_routes(routes)
    if not others:
        return base
    return RoutedSource.of(
        base, {kind: build_source(name, settings) for kind, name in others.items()}, sleeve
    )
