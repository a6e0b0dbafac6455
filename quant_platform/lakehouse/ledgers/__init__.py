"""Append-only, hash-chained ledgers.

``kinds`` lists them, ``ledger`` is the writer, ``verification`` the verifier; ``chain`` knows the
files, ``records`` what a line is, ``closing`` what a ledger says of itself, ``steps`` what repeats
or supersedes, ``canonical`` the spelling that is hashed.
"""

from quant_platform.lakehouse.ledgers.kinds import LEDGER_TYPES, ledgers_of, verify_ledgers
from quant_platform.lakehouse.ledgers.ledger import Ledger
from quant_platform.lakehouse.ledgers.records import LedgerLine, LedgerRecord
from quant_platform.lakehouse.ledgers.verification import LedgerProblem, VerifyReport

__all__ = [
    "LEDGER_TYPES",
    "Ledger",
    "LedgerLine",
    "LedgerProblem",
    "LedgerRecord",
    "VerifyReport",
    "ledgers_of",
    "verify_ledgers",
]
