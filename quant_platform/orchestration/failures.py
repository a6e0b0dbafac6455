"""Typed errors across Dagster: a step fails with the sentence, is not retried, and keeps its type.

A ``QuantError`` is somebody's mistake or a missing thing; trying again does not help. It becomes a
``Failure`` that forbids retries and names the error's class, so that the command line can raise the
same error again from the run's failure event.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterEvent
from dagster._core.events import RunFailureReason
from dagster_shared.error import SerializableErrorInfo

from quant_platform import errors

_CLASS = "error_class"


@contextmanager
def typed_failures() -> Iterator[None]:
    """Turn a ``QuantError`` of the block into a failure that Dagster does not retry."""
    try:
        yield
    except errors.QuantError as error:
        raise dg.Failure(
            description=str(error),
            metadata={_CLASS: type(error).__name__},
            allow_retries=False,
        ) from error


def was_interrupted(events: list[DagsterEvent]) -> bool:
    """Say whether a run ended because its process was told to stop."""
    return any(
        event.is_job_failure
        and event.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
        for event in events
    )


def first_error(events: list[DagsterEvent]) -> errors.QuantError:
    """Error of the first failed step of a run, or of a resource before it, as its own class.

    Parameters
    ----------
    events
        Events of the run. A failure that carries no class of ours is a programming error; its
        message is kept and the reader is sent to the run.
    """
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None:
                told = failure.user_failure_data
                named = told.metadata.get(_CLASS)
                kind = getattr(errors, str(named.value) if named else "", errors.QuantError)
                error: errors.QuantError = kind(told.description or "a step failed")
                return error
            cause = failure.error
            while cause is not None and cause.cause is not None:
                cause = cause.cause
            return errors.QuantError(
                f"step {event.step_key} failed: "
                f"{cause.message.strip() if cause else 'no message was recorded'}",
                mend="look at the run in the UI ('make ui')",
            )
        if event.is_job_failure and event.job_failure_data.error is not None:
            return _resource_error(event.job_failure_data.error)
    return errors.QuantError(
        "the run failed before its first step", mend="look at the run in the UI ('make ui')"
    )


def _resource_error(failure: SerializableErrorInfo) -> errors.QuantError:
    """Error of a resource, such as a lock that somebody else holds: Dagster keeps it as text."""
    cause: SerializableErrorInfo | None = failure
    while cause is not None:
        kind = getattr(errors, cause.cls_name or "", None)
        if isinstance(kind, type) and issubclass(kind, errors.QuantError):
            return kind(cause.message.partition(": ")[2].strip())
        last, cause = cause, cause.cause
    return errors.QuantError(
        f"the run failed before its first step: {last.message.strip()}",
        mend="look at the run in the UI ('make ui')",
    )
