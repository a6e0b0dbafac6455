"""The contracts: what a row of each table must look like, and how a session of it is judged.

A table is named ``<branch>/<kind>`` (``instruments/bars``); its contract is found by the kind. A
contract is a dataframely schema (types, keys, ranges, signs, units in the description) together
with its version, its grain, the column it is partitioned by, the rules a session must pass, and the
upgrades from older versions. Adding a table is adding a module here and its contract to ``_ALL``.
"""

from __future__ import annotations

from difflib import get_close_matches

from quant_platform.errors import ContractError
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.contracts.quarantine import QUARANTINE
from quant_platform.lakehouse.rules import Rule

_ALL = (BARS, FEATURES_STATE, FEATURES_TREND, QUARANTINE)
CONTRACTS = {contract.kind: contract for contract in _ALL}

__all__ = ["CONTRACTS", "Contract", "Rule", "contract_of"]


def contract_of(table: str) -> Contract:
    """Contract of a table by its name.

    Parameters
    ----------
    table
        ``<branch>/<kind>``, or ``quarantine/<table>``.
    """
    if table.startswith("quarantine/"):
        return QUARANTINE
    kind = table.rsplit("/", 1)[-1]
    if kind in CONTRACTS:
        return CONTRACTS[kind]
    near = get_close_matches(kind, CONTRACTS, n=3, cutoff=0.5) or sorted(CONTRACTS)
    raise ContractError(
        f"table '{table}' has no contract",
        expected=f"a table whose last part is one of {', '.join(near)}",
        mend="name the table as 'quant doctor' lists it, or add its contract to the lakehouse",
    )
