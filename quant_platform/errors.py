"""The typed errors of the platform: one small tree, one sentence each.

Every error a user can cause says three things: what was found, what was expected, and what to do
about it. The command line prints that sentence and exits with the class's ``exit_code``; only a
programming error ever shows a traceback.
"""

from __future__ import annotations


class QuantError(Exception):
    """Base of every error that the platform raises on purpose.

    Parameters
    ----------
    found
        What was found, with the name of the thing and its value. Never a secret.
    expected
        What would have been accepted.
    mend
        What the reader should do now: a command, a key to change, a file to restore.
    """

    exit_code = 1

    def __init__(self, found: str, *, expected: str = "", mend: str = "") -> None:
        self.found = found
        self.expected = expected
        self.mend = mend
        parts = [found]
        if expected:
            parts.append(f"expected {expected}")
        if mend:
            parts.append(mend)
        super().__init__("; ".join(parts))


class ConfigError(QuantError):
    """A file of ``assets_config/`` or an environment variable cannot be used."""

    exit_code = 2


class CalendarError(QuantError):
    """A date is not a session of its calendar, or lies outside what the calendar covers."""

    exit_code = 3


class ContractError(QuantError):
    """Rows break the contract of their table."""

    exit_code = 4


class LookAheadError(QuantError):
    """Somebody asked for what was not known yet."""

    exit_code = 5


class MissingUpstreamError(QuantError):
    """A required upstream session has never been materialised."""

    exit_code = 6


class LakeError(QuantError):
    """The lake cannot be read or written: permissions, a corrupt file, a broken log."""

    exit_code = 7


class LedgerError(QuantError):
    """A ledger's chain is broken, or a line cannot be appended."""

    exit_code = 8


class SourceError(QuantError):
    """A source cannot deliver what it was asked for."""

    exit_code = 9


class InstanceError(QuantError):
    """The Dagster instance is missing, unreadable or busy."""

    exit_code = 10
