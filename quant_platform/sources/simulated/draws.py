"""The random numbers of the embedded market: counter-based, keyed by purpose, block and security.

Every number belongs to a seed, an owner (a sleeve or a factor), a purpose, a block of days, a group
of securities and a position, and depends on nothing else: neither on the range asked for, nor on
the horizon, nor on how many securities there are. Securities are drawn in groups of `GROUP`, always
whole, because setting up a generator costs as much as a thousand numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

GROUP = 16
"""Securities that share a generator."""

_DEGREES = 5.0


@lru_cache(maxsize=512)
def _key(seed: int, owner: str, purpose: str) -> int:
    name = f"{seed}|{owner}|{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")


def stream(
    seed: int, owner: str, purpose: str, block: int = 0, group: int = 0
) -> np.random.Generator:
    """Return the stream of one purpose; its n-th number depends on the arguments alone."""
    counter = (block << 192) | (group << 128)
    return np.random.Generator(np.random.Philox(key=_key(seed, owner, purpose), counter=counter))


def unit_t(
    numbers: np.random.Generator, shape: int | tuple[int, ...], degrees: float = _DEGREES
) -> Floats:
    """Return Student-t numbers, of five degrees of freedom by default, scaled to unit variance."""
    drawn: Floats = numbers.standard_t(degrees, size=shape)
    return np.asarray(drawn * np.sqrt((degrees - 2) / degrees))


def by_security(
    seed: int,
    owner: str,
    purpose: str,
    groups: Integers,
    draw: Callable[[np.random.Generator], Floats],
    *,
    block: int = 0,
) -> Floats:
    """Return what ``draw`` gives for each group, of `GROUP` securities each, one after another."""
    return np.concatenate(
        [draw(stream(seed, owner, purpose, block, int(group))) for group in groups]
    )
