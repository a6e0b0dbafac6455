"""Typed errors across Dagster: the same class and sentence on the other side, tried once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from quant_platform import errors
from quant_platform.orchestration.failures import first_error, typed_failures

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.QuantError)
]


def run(body: Callable[[], Any]) -> tuple[dg.ExecuteInProcessResult, errors.QuantError]:
    """Run one asset in a process of Dagster's; return the result and the error it gives."""

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def failing() -> None:
        body()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([failing], instance=instance, raise_on_error=False)
        return result, first_error(list(result.all_events))


@pytest.mark.parametrize("kind", ALL)
def test_an_error_keeps_its_class_and_its_sentence(kind: type[errors.QuantError]) -> None:
    before = kind("half a table; of 'x'", expected="all of it", mend="say why; then\nagain")

    def body() -> None:
        with typed_failures():
            raise before

    result, after = run(body)
    assert not result.success
    assert type(after) is kind
    assert str(after) == str(before)
    assert after.exit_code == kind.exit_code


def test_an_error_of_ours_is_not_tried_again_and_others_are() -> None:
    tries = []

    def ours() -> None:
        tries.append(1)
        with typed_failures():
            raise errors.SourceError("nothing there")

    run(ours)
    assert len(tries) == 1

    def flaky() -> None:
        tries.append(1)
        with typed_failures():
            raise OSError("the network is away")

    run(flaky)
    assert len(tries) == 1 + 3


def test_a_programming_error_keeps_its_message_and_sends_to_the_run() -> None:
    def body() -> None:
        with typed_failures():
            _ = {}["absent"]

    _, after = run(body)
    assert type(after) is errors.QuantError
    assert "step failing failed: KeyError: 'absent'" in str(after)
    assert "make ui" in str(after)


def test_a_failure_of_somebody_elses_keeps_its_description() -> None:
    def body() -> None:
        raise dg.Failure("said by another", metadata={"x": 1}, allow_retries=False)

    _, after = run(body)
    assert type(after) is errors.QuantError
    assert str(after) == "said by another"


def test_a_failure_without_a_word_is_still_an_error() -> None:
    def body() -> None:
        raise dg.Failure(allow_retries=False)

    _, after = run(body)
    assert "failed" in str(after)


def test_the_first_of_several_errors_is_the_one() -> None:
    @dg.asset
    def first() -> None:
        with typed_failures():
            raise errors.LakeError("the first")

    @dg.asset
    def second() -> None:
        with typed_failures():
            raise errors.CalendarError("the second")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([first, second], instance=instance, raise_on_error=False)
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert len(failed) == 2
    told = {"first": errors.LakeError, "second": errors.CalendarError}
    assert type(first_error(list(result.all_events))) is told[str(failed[0])]


@pytest.mark.parametrize("kind", [errors.LakeError, errors.ConfigError])
def test_an_error_of_a_resource_keeps_its_class_and_sentence(kind: type[errors.QuantError]) -> None:
    before = kind("the table is locked", expected="a free one", mend="wait")

    class Broken(dg.ConfigurableResource):
        def setup_for_execution(self, context: dg.InitResourceContext) -> None:
            with typed_failures():
                raise before

    @dg.asset(required_resource_keys={"broken"})
    def needy() -> None:
        raise AssertionError("never reached")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [needy], resources={"broken": Broken()}, instance=instance, raise_on_error=False
        )
    after = first_error(list(result.all_events))
    assert type(after) is kind
    assert str(after) == str(before)


def test_no_event_at_all_is_an_error_too() -> None:
    assert "before its first step" in str(first_error([]))


def test_what_goes_well_raises_nothing() -> None:
    with typed_failures():
        pass
    result, _ = run(lambda: None)
    assert result.success
