"""The batched event log, which ``dagster_home/dagster.yaml`` names as the instance's storage.

``storage`` has the algorithm and the classes; ``rows`` makes events into rows, ``batch`` writes
them into the index, ``connections`` keeps the files open, ``companions`` are the run and schedule
storages beside it.
"""

from quant_platform.orchestration.event_log.batch import COVERED_EVENTS
from quant_platform.orchestration.event_log.storage import (
    EVENT_BATCH_SIZE,
    BatchedSqliteEventLog,
    BatchedSqliteStorage,
)

__all__ = ["COVERED_EVENTS", "EVENT_BATCH_SIZE", "BatchedSqliteEventLog", "BatchedSqliteStorage"]
