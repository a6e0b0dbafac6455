"""The other side of ``qlib14``: run as a script by the python of an environment that has pyqlib.

``python _qlib_side.py FOLDER EXPRESSIONS``: the folder of the benchmark, and qlib's expressions as
a JSON list. What it took is the last line that it prints.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(folder: Path, expressions: list[str]) -> None:
    """Make the table, print what it cost, and keep its values for the comparison."""
    import logging

    import numpy as np
    import qlib
    from qlib.data import D

    qlib.init(provider_uri=str(folder / "qlib"), region="us", logging_level=logging.ERROR)
    began, used = time.perf_counter(), os.times()
    frame = D.features(D.instruments("all"), expressions, freq="day")
    spent = os.times()
    seconds = time.perf_counter() - began
    # qlib computes in processes of its own, which have ended by now.
    processor = sum(spent[:4]) - sum(used[:4])
    stocks = frame.index.get_level_values("instrument").nunique()
    laid = frame.sort_index().to_numpy(dtype=np.float64).reshape(stocks, -1, len(expressions))
    np.save(folder / "qlib.npy", np.moveaxis(laid, 2, 0).astype(np.float32))
    told = {"cells": len(frame), "seconds": seconds, "processor_seconds": processor}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
