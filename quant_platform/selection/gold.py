"""Gold: whether a token that is said to follow gold does.

A token and its reference need not have the same sessions: a fund does not trade on a Sunday. So the
token's returns are compounded between the sessions of the reference, and the two are compared over
the last `SESSIONS` of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from quant_platform.features.panel import Matrix

Vector = npt.NDArray[np.float64]

SESSIONS = 120
"""Sessions of the reference that are compared: chapter 04 of the specification."""
LEAST = 100
"""Returns that both must have of these; a choice, so that a lost bar does not bar a token."""


def fidelity(
    days: Sequence[date], tokens: Matrix, sessions: Sequence[date], reference: Vector
) -> tuple[Vector, Vector]:
    """Compare tokens with gold.

    Parameters
    ----------
    days, tokens
        Sessions of the sleeve up to the deciding one, and the tokens' returns on them; NaN where
        there is none.
    sessions, reference
        Sessions of the reference up to then, and its returns on them.

    Returns
    -------
    correlation, gap
        Correlation of the joint returns, and return of the token over them less that of the
        reference; NaN where fewer than `LEAST` are known.
    """
    nothing = np.full(tokens.shape[1], np.nan)
    own = np.array(days, dtype="datetime64[D]")
    theirs = np.array(sessions, dtype="datetime64[D]")[-SESSIONS - 1 :]
    told = reference[-SESSIONS - 1 :]
    # The first of them opens the interval of the next.
    upto = np.searchsorted(own, theirs, side="right")
    if len(theirs) < LEAST + 1 or not len(own) or theirs[0] < own[0]:
        return nothing, nothing
    joint = np.stack(
        [np.prod(1 + tokens[begin:end], axis=0) - 1 for begin, end in pairwise(upto.tolist())]
    )
    gold = told[1:, None]
    both = ~np.isnan(joint) & ~np.isnan(gold)
    count = both.sum(axis=0)
    enough = count >= LEAST
    rows = np.maximum(count, 1)
    moved, metal = (np.where(both, part, 0.0) for part in (joint, gold))
    moved_by, metal_by = (
        np.where(both, part - part.sum(axis=0) / rows, 0.0) for part in (moved, metal)
    )
    product = np.sqrt(np.sum(moved_by**2, axis=0) * np.sum(metal_by**2, axis=0))
    still = product <= 0
    correlation = np.sum(moved_by * metal_by, axis=0) / np.where(still, 1.0, product)
    gap = np.prod(1 + moved, axis=0) - np.prod(1 + metal, axis=0)
    return np.where(enough & ~still, correlation, np.nan), np.where(enough, gap, np.nan)
