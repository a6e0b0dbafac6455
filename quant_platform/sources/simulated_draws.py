"""The random numbers of the embedded market: keyed by purpose, indexed by day.

Every number belongs to a (seed, sleeve, security, purpose) and a position in its stream, so that it
depends neither on the range asked for, nor on the horizon, nor on how many securities there are.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


def stream(seed: int, owner: str, index: int, purpose: str) -> np.random.Generator:
    """Return the counter-based stream of one purpose; its n-th number depends on nothing else."""
    name = f"{seed}|{owner}|{index}|{purpose}".encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def unit_t(numbers: np.random.Generator, count: int) -> Floats:
    """Return Student-t numbers with five degrees of freedom, scaled to unit variance."""
    drawn: Floats = numbers.standard_t(5, size=count)
    return np.asarray(drawn * np.sqrt(3 / 5))


def daily_draws(seed: int, owner: str, count: int, days: int) -> tuple[Floats, Floats, Floats]:
    """Return shocks (day, security), noise (day, security, 4) and luck (day, security, 2)."""
    shocks = np.empty((count, days))
    noise = np.empty((count, days, 4))
    luck = np.empty((count, days, 2))
    for index in range(count):
        shocks[index] = unit_t(stream(seed, owner, index, "shocks"), days)
        noise[index] = stream(seed, owner, index, "noise").standard_normal((days, 4))
        luck[index] = stream(seed, owner, index, "luck").random((days, 2))
    return shocks.swapaxes(0, 1), noise.swapaxes(0, 1), luck.swapaxes(0, 1)
