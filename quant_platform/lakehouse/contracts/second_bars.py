"""Daily bars of a second source: what a sleeve's own bars are compared with, and nothing else.

The rows are those of `bars` and are held to the same contract, so that what is compared is fit to
be compared.
"""

from __future__ import annotations

from quant_platform.lakehouse.contracts.bars import BARS, Bars
from quant_platform.lakehouse.contracts.contract import Contract


class SecondBars(Bars):
    """One version of one security's bar of one session, as the second source published it."""


SECOND_BARS = Contract(
    kind="second_bars",
    schema=SecondBars,
    version=1,
    grain="one version of a daily bar as a second source published it "
    "(security, session, known_at)",
    external=True,
    rules=BARS.rules,
)
