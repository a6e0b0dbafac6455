"""The batched event log, which ``dagster_home/dagster.yaml`` names as the instance's storage.

``storage`` has the algorithm and the classes; ``rows`` makes events into rows, ``batch`` writes
them into the index, ``creation`` makes a new file, ``connections`` keeps the files open,
``companions`` are the run and schedule storages beside it, ``trimming`` says what the index may
forget. ``postgres`` is the same for many machines, and is imported by its own instance file alone.
"""

from quant_platform.orchestration.event_log.batch import COVERED_EVENTS
from quant_platform.orchestration.event_log.storage import (
    EVENT_BATCH_SIZE,
    BatchedSqliteEventLog,
    BatchedSqliteStorage,
)

__all__ = ["COVERED_EVENTS", "EVENT_BATCH_SIZE", "BatchedSqliteEventLog", "BatchedSqliteStorage"]
