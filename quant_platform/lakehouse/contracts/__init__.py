"""The contracts: what a row of each table must look like, and how a session of it is judged.

A table is named ``<branch>/<kind>`` (``instruments/bars``); its contract is found by the kind, of
which ``scan_<name>`` of scanners are all one, and those of the branches ``meta`` and
``meta_<name>`` are their own. A contract is a dataframely schema (types, keys, ranges, signs, units
in the description) together with its version, its grain, the column it is partitioned by, the rules
a session must pass, and the upgrades from older versions. Adding a table is adding a module here
and its contract to ``_ALL``.
"""

from __future__ import annotations

from difflib import get_close_matches

from quant_platform.errors import ContractError
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.candidates import CANDIDATES
from quant_platform.lakehouse.contracts.clusters import CLUSTERS
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.cross_section import (
    CROSS_SECTION,
    CROSS_SECTION_MOMENTS,
)
from quant_platform.lakehouse.contracts.daily import DAILY
from quant_platform.lakehouse.contracts.earnings import EARNINGS
from quant_platform.lakehouse.contracts.execution import (
    BROKER_STATE,
    EXECUTION_READY,
    FILLS,
    ORDERS,
    ORDERS_PLAN,
    POSITIONS,
    RECONCILIATION,
    RISK_CONTROLS,
)
from quant_platform.lakehouse.contracts.features_avwap import FEATURES_AVWAP
from quant_platform.lakehouse.contracts.features_beta import FEATURES_BETA
from quant_platform.lakehouse.contracts.features_garch import FEATURES_GARCH
from quant_platform.lakehouse.contracts.features_liquidity import FEATURES_LIQUIDITY
from quant_platform.lakehouse.contracts.features_predictability import FEATURES_PREDICTABILITY
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.contracts.features_trend import FEATURES_TREND
from quant_platform.lakehouse.contracts.features_volatility import FEATURES_VOLATILITY
from quant_platform.lakehouse.contracts.fund_facts import FUND_FACTS
from quant_platform.lakehouse.contracts.gates import GATES
from quant_platform.lakehouse.contracts.holdings import HOLDINGS
from quant_platform.lakehouse.contracts.membership import MEMBERSHIP
from quant_platform.lakehouse.contracts.meta import (
    META_HOLDINGS,
    META_PORTFOLIO_RETURNS,
    META_RETURNS,
    META_TARGET_PORTFOLIO,
    META_WEIGHTS,
)
from quant_platform.lakehouse.contracts.profile_returns import PROFILE_RETURNS
from quant_platform.lakehouse.contracts.quality import QUALITY
from quant_platform.lakehouse.contracts.quarantine import QUARANTINE
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.lakehouse.contracts.scan_liquidity_audit import SCAN_LIQUIDITY_AUDIT
from quant_platform.lakehouse.contracts.scan_overlap import SCAN_OVERLAP
from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.lakehouse.contracts.second_bars import SECOND_BARS
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.lakehouse.contracts.series import SERIES
from quant_platform.lakehouse.contracts.snapshot import SNAPSHOT
from quant_platform.lakehouse.contracts.universe import UNIVERSE
from quant_platform.lakehouse.contracts.universe_counts import UNIVERSE_COUNTS
from quant_platform.lakehouse.contracts.weights import WEIGHTS
from quant_platform.lakehouse.rules import Rule

_ALL = (
    # market
    SECURITIES,
    BARS,
    SECOND_BARS,
    ACTIONS,
    EARNINGS,
    MEMBERSHIP,
    FUND_FACTS,
    SERIES,
    SNAPSHOT,
    QUARANTINE,
    RETURNS,
    QUALITY,
    UNIVERSE,
    UNIVERSE_COUNTS,
    REGIME,
    # sleeves
    FEATURES_STATE,
    FEATURES_TREND,
    FEATURES_AVWAP,
    FEATURES_LIQUIDITY,
    FEATURES_PREDICTABILITY,
    FEATURES_VOLATILITY,
    FEATURES_BETA,
    CROSS_SECTION,
    CROSS_SECTION_MOMENTS,
    SCREENER,
    SCAN,
    CANDIDATES,
    SCAN_OVERLAP,
    SCAN_LIQUIDITY_AUDIT,
    FEATURES_GARCH,
    CLUSTERS,
    SELECTION,
    WEIGHTS,
    HOLDINGS,
    PROFILE_RETURNS,
    # meta
    META_RETURNS,
    META_WEIGHTS,
    META_TARGET_PORTFOLIO,
    META_HOLDINGS,
    META_PORTFOLIO_RETURNS,
    # execution
    RISK_CONTROLS,
    ORDERS_PLAN,
    EXECUTION_READY,
    ORDERS,
    FILLS,
    BROKER_STATE,
    POSITIONS,
    RECONCILIATION,
    # reports
    GATES,
    DAILY,
)
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
    branch, _, kind = table.rpartition("/")
    if kind.startswith("scan_") and kind not in CONTRACTS:
        return SCAN
    if branch == "meta" or branch.startswith("meta_"):
        kind = f"meta/{kind}"
    if kind in CONTRACTS:
        return CONTRACTS[kind]
    near = get_close_matches(kind, CONTRACTS, n=3, cutoff=0.5) or sorted(CONTRACTS)
    raise ContractError(
        f"table '{table}' has no contract",
        expected=f"a table whose last part is one of {', '.join(near)}",
        mend="name the table as 'quant doctor' lists it, or add its contract to the lakehouse",
    )
