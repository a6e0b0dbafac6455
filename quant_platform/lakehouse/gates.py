"""What a gate is: something that keeps back what would otherwise go on, and that should say so.

Vetoes, filters, cuts, caps and the gates of an evening are listed where they are asked, each with
its *duty*; the code that asks them walks those lists, so that there is none outside of them. From
them derive the law that each has a way to fire, and the rates at which the daily report says that
they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Duty = Literal["guard", "choice"]
"""``guard``: watches for what should not happen; that it never fires is health. ``choice``: tells
some from others; one that never fires chooses nothing. Neither should fire every time."""


@dataclass(frozen=True)
class Gate:
    """One gate.

    Parameters
    ----------
    name
        Code or name of the rule, as it stands in the tables.
    duty
        Whether it may rest.
    """

    name: str
    duty: Duty
