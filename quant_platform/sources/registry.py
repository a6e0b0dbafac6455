"""The sources by the name that a sleeve's file gives them."""

from __future__ import annotations

from collections.abc import Callable

from quant_platform.errors import SourceError
from quant_platform.settings import Settings
from quant_platform.sources.files import FilesSource
from quant_platform.sources.protocol import Source
from quant_platform.sources.routed import RoutedSource
from quant_platform.sources.simulated.source import SimulatedSource

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


def source_of(sleeve: str, settings: Settings) -> Source:
    """Return the source of a sleeve: one, or several that share its kinds.

    Raises
    ------
    SourceError
        When a source has not the kind that the sleeve asks of it.
    """
    routes = settings.sleeves[sleeve].sources
    base = build_source(routes["bars"], settings)
    others = {kind: name for kind, name in routes.items() if name != routes["bars"]}
    if not others:
        return base
    return RoutedSource.of(
        base, {kind: build_source(name, settings) for kind, name in others.items()}, sleeve
    )
