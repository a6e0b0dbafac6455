"""Warm-ups: where a column has the sessions behind it that it is made of, and bars enough."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from quant_platform.features.rolling import Matrix


@dataclass(frozen=True)
class Enough:
    """Bars so far, to tell whether a warm-up has as many as are needed.

    Parameters
    ----------
    seen
        Bars before each row, and before the one after the last; one column if none is lacking.
    asked
        How many of the last rows are asked for.
    missing
        Share of the sessions of a warm-up that may have no bar.
    found
        What was told of warm-ups before, by their length.
    """

    seen: npt.NDArray[np.int32]
    asked: int
    missing: float
    found: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(cls, close: Matrix, asked: int, missing: float) -> Enough:
        """Count the bars of closes, NaN for none."""
        there = ~np.isnan(close)
        if there.all():
            there = there[:, :1]
        seen = np.zeros((len(close) + 1, there.shape[1]), dtype=np.int32)
        np.cumsum(there, axis=0, out=seen[1:])
        return cls(seen, asked, missing)

    def of_last(self, warm_up: int) -> npt.NDArray[np.bool_]:
        """Tell where the sessions of a warm-up are there, and enough bars of them."""
        if warm_up not in self.found:
            stop = np.arange(len(self.seen) - self.asked, len(self.seen))
            first = np.maximum(stop - warm_up, 0)
            bars = self.seen[stop] - self.seen[first]
            enough = bars >= max(warm_up - int(self.missing * warm_up), 1)
            self.found[warm_up] = np.asarray(enough & (stop >= warm_up)[:, None])
        return self.found[warm_up]
