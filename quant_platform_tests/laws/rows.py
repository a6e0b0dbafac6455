"""Law 4 for rows: each rule of an external contract has a row that lands in quarantine for it.

The rules are found in the contract; a spoilt row is derived from the rule's name, or written down
for rules of the contract's own. All of them go through the real producer in one range, one session
each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from quant_platform.lakehouse.contracts import Contract
from quant_platform_tests.laws.broken import LawBroken
from quant_platform_tests.laws.deliveries import AlteredDelivery, Delivery
from quant_platform_tests.laws.workshop import Recipe, Workshop

LAW = "rejected rows"

_TURNED = {
    "low_is_lowest": {"low": pl.col("high") * 2},
    "high_is_highest": {"high": pl.col("low") / 2},
}
