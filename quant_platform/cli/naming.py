"""Names on the command line: one that is unknown is refused with those that come near it."""

from __future__ import annotations

from collections.abc import Iterable

from quant_platform.errors import ConfigError, QuantError
from quant_platform.settings import Settings
from quant_platform.settings.base import near_names
from quant_platform.settings.scanner import ScannerSettings
from quant_platform.settings.sleeve import SleeveSettings
from quant_platform.settings.wording import plain

_LISTED = 30
"""More names than this are no help in a sentence."""


def refuse_unknown(
    what: str, name: str, known: Iterable[str], mend: str, error: type[QuantError] = ConfigError
) -> None:
    """Refuse a name that is not known, naming those that come near it.

    Parameters
    ----------
    what
        What the name is of, such as ``scanner``.
    name
        The name.
    known
        Every name there is.
    mend
        What to do.
    error
        Type of the error.

    Raises
    ------
    QuantError
        When it is not among the known ones.
    """
    names = sorted(known)
    if name in names:
        return
    near = near_names(name, names)
    told = " or ".join(near) if near else f"one of {', '.join(names[:_LISTED])}"
    if not near and len(names) > _LISTED:
        told += f" and {len(names) - _LISTED} more"
    raise error(f"there is no {what} '{plain(name)}'", expected=told, mend=mend)


def scanner_named(settings: Settings, name: str) -> ScannerSettings:
    """Return the scanner of that name, or refuse it."""
    refuse_unknown("scanner", name, settings.scanners, "'quant scanners list' shows all")
    return settings.scanners[name]


def sleeve_named(settings: Settings, name: str) -> SleeveSettings:
    """Return the sleeve of that name, or refuse it."""
    refuse_unknown("sleeve", name, settings.sleeves, "correct --sleeve")
    return settings.sleeves[name]
