"""What a scanner asks of a column: single comparisons, in the order in which they are asked.

Filters (`scan_filters`) and blocks (`scan_blocks`) are two ways to write them. Both become `Rule` s
in the order basic, market capitalisation, volatility, liquidity, recent performance, strategy.
Rules about names are asked before anything is cut, because they say what is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from quant_platform.settings.base import refuse

Comparison = Literal["greater", "egreater", "less", "eless", "equal"]

_BELOW = {"greater", "egreater", "equal"}  # the threshold bounds the value from below
_ABOVE = {"less", "eless", "equal"}  # … from above


@dataclass(frozen=True)
class Rule:
    """One comparison that a scanner asks, as it stands in the audit.

    Parameters
    ----------
    name
        Name in the audit, such as ``Perf.1M greater`` or ``trend_adx``.
    left
        Column that is tested.
    comparison
        How.
    right
        Threshold, or the column that is one.
    by_exchange
        Thresholds of single exchanges, in the place of ``right``.
    group
        Checks of one group pass together where one of them does; empty for a rule of its own.
    """

    name: str
    left: str
    comparison: Comparison
    right: float | str
    by_exchange: Mapping[str, float] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class NameRule:
    """One question about a name: whether a column is among some names, or is not."""

    left: str
    names: tuple[str, ...]
    among: bool


def rule_name(left: str, comparison: str, right: float | str = 0.0) -> str:
    """Name of a rule in the audit, such as ``Perf.1M greater`` or ``close greater SMA200``."""
    return f"{left} {comparison}{f' {right}' if isinstance(right, str) else ''}"


def refuse_contradictions(rules: Sequence[Rule]) -> None:
    """Refuse a rule that stands twice, and rules that no number can pass together."""
    bounds: dict[str, dict[str, float]] = {}
    seen: set[str] = set()
    for rule in rules:
        if isinstance(rule.right, str) or rule.group:
            if rule.name in seen:
                raise refuse(f"{rule.name} is there twice", expected="each comparison once")
            seen.add(rule.name)
            continue
        of_field = bounds.setdefault(rule.left, {})
        if rule.comparison in of_field:
            raise refuse(
                f"{rule_name(rule.left, rule.comparison)} is there twice "
                f"({of_field[rule.comparison]:g} and {rule.right:g})",
                expected="each comparison of a column once",
                mend="keep the stricter one",
            )
        of_field[rule.comparison] = rule.right
    for left, of_field in bounds.items():
        for below in _BELOW & set(of_field):
            for above in _ABOVE & set(of_field):
                low, high = of_field[below], of_field[above]
                touches = below in {"egreater", "equal"} and above in {"eless", "equal"}
                if low > high or (low == high and not touches):
                    raise refuse(
                        f"no number is {below} {low:g} and {above} {high:g}, as {left} would "
                        "have to be",
                        expected="bounds that leave room",
                        mend="correct one of the two",
                    )
