"""The ledgers that there are, and those that a lake holds."""

from __future__ import annotations

import difflib
from pathlib import Path

from quant_platform.errors import LedgerError
from quant_platform.lakehouse.files import file_errors
from quant_platform.lakehouse.ledgers.chain import LedgerFolder
from quant_platform.lakehouse.ledgers.verification import VerifyReport, verify_folder

LEDGER_TYPES = (
    *("decisions", "selection", "optimisation", "meta"),
    *("orders", "fills", "EXECUTION_SLIPPAGE", "risk"),
    *("regime_e1", "regime_e2", "research"),
)


def ledgers_of(root: Path) -> list[str]:
    """Return the ledgers that a lake holds, in the order of :data:`LEDGER_TYPES`.

    Raises
    ------
    LedgerError
        A folder among the ledgers is none, and hides its lines from everybody.
    """
    folder = root / "ledger"
    if not folder.is_dir():
        return []
    with file_errors(folder, "list"):
        found = {path.name for path in folder.iterdir() if path.is_dir()}
    for name in sorted(found.difference(LEDGER_TYPES)):
        raise unknown_ledger(name)
    return [name for name in LEDGER_TYPES if name in found]


def verify_ledgers(root: Path) -> list[VerifyReport]:
    """Verify every ledger that a lake holds; see :func:`ledgers_of`."""
    return [verify_folder(LedgerFolder(root, name)) for name in ledgers_of(root)]


def unknown_ledger(name: str) -> LedgerError:
    """Return the error of a name that no ledger has."""
    by_lower_case = {known.lower(): known for known in LEDGER_TYPES}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=2)
    return LedgerError(
        f"there is no ledger {name!r}",
        expected=f"one of {', '.join(LEDGER_TYPES)}",
        mend=f"did you mean {' or '.join(by_lower_case[match] for match in near)}?" if near else "",
    )
