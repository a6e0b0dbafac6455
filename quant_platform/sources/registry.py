"""The sources by the name that a sleeve's file gives them."""

from __future__ import annotations

from collections.abc import Callable

from quant_platform.errors import SourceError
from quant_platform.settings import Settings
from quant_platform.sources.protocol import Source
from quant_platform.sources.simulated.source import SimulatedSource

_BUILDERS: dict[str, Callable[[Settings], Source]] = {"simulated": SimulatedSource.from_settings}


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
