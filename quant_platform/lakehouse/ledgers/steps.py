"""What a ledger already says about each step, and what a further record of it means.

A step is an idempotency key: session, action and content hash. Writers and the verifier ask the
same questions here, so a line that a writer would not have written is one the verifier reports:

1. An intent opens its step. The same intent again while the step is open, or after it succeeded,
   says nothing new. After an error or a recovery it opens the next attempt.
2. An outcome closes an open step. If an earlier attempt had another outcome, it supersedes that.
3. An outcome of a step that is not open is a fact recorded without intent, or a rerun: if it equals
   the last outcome it says nothing new, else it supersedes it.
4. ``recovered`` closes open steps only; a step that has an outcome keeps it.
5. ``withdrawn`` supersedes the outcome that no longer holds. Told again, that one supersedes the
   withdrawal.

The last outcome of a step is *in force* if it succeeded or came out empty.

Two records are equal when type and payload hash are, whoever wrote them and whenever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from quant_platform.lakehouse.ledgers.records import LedgerLine, RecordType

_DONE = ("success", "empty")


@dataclass(frozen=True)
class Said:
    """What an earlier line of a step said."""

    seq: int
    record_type: RecordType
    payload_hash: str


@dataclass(frozen=True)
class Placement:
    """What a further record of a step means.

    Exactly one holds: ``already`` is the ``seq`` of the line that says it; or the record is new
    and ``supersedes`` is the ``seq`` of the line it replaces, None if it replaces none.
    """

    already: int | None = None
    supersedes: int | None = None


@dataclass
class _Step:
    intent: Said | None = None
    outcome: Said | None = None
    is_open: bool = False


class Steps:
    """The steps of one ledger up to some line."""

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}

    def place(self, key: str, record_type: RecordType, payload_hash: str) -> Placement:
        """Tell what a record would mean now."""
        step = self._steps.get(key)
        if step is None:
            return Placement()
        if record_type == "intent":
            return _place_intent(step, payload_hash)
        return _place_outcome(step, record_type, payload_hash)

    def add(self, line: LedgerLine) -> None:
        """Take up a line that was written."""
        step = self._steps.setdefault(line.idempotency_key, _Step())
        said = Said(line.seq, line.record_type, line.payload_hash)
        if line.record_type == "intent":
            step.intent, step.is_open = said, True
        else:
            step.outcome, step.is_open = said, False

    def in_force(self, action: str, sessions: Collection[date]) -> dict[str, int]:
        """Return the ``seq`` of what is in force of an action on some sessions, by step."""
        places = {f"{session.isoformat()}/{action}" for session in sessions}
        return {
            key: step.outcome.seq
            for key, step in self._steps.items()
            if key.rpartition("/")[0] in places
            and step.outcome is not None
            and step.outcome.record_type in _DONE
        }

    def open_intents(self) -> list[int]:
        """Return the ``seq`` of each intent without outcome, in order."""
        return sorted(
            step.intent.seq for step in self._steps.values() if step.is_open and step.intent
        )

    def open_intent(self, key: str) -> int | None:
        """Return the ``seq`` of a step's intent if it has no outcome."""
        step = self._steps.get(key)
        return step.intent.seq if step and step.is_open and step.intent else None

    def done(self, key: str) -> int | None:
        """Return the ``seq`` of a step's outcome if it is done, with or without a result."""
        step = self._steps.get(key)
        if step is None or step.is_open or step.outcome is None:
            return None
        return step.outcome.seq if step.outcome.record_type in _DONE else None


def standing(lines: Sequence[LedgerLine]) -> list[LedgerLine]:
    """Return the lines that no later one supersedes and that take none back.

    Parameters
    ----------
    lines
        All lines from some place to the end of a ledger.
    """
    superseded = {line.supersedes for line in lines}
    return [
        line for line in lines if line.seq not in superseded and line.record_type != "withdrawn"
    ]


def _place_intent(step: _Step, payload_hash: str) -> Placement:
    intent, outcome = step.intent, step.outcome
    says_the_same = intent is not None and intent.payload_hash == payload_hash
    if step.is_open and intent is not None:
        return Placement(already=intent.seq) if says_the_same else Placement(supersedes=intent.seq)
    if outcome is not None and outcome.record_type in _DONE:
        if intent is None:
            return Placement(already=outcome.seq)
        return Placement(already=intent.seq) if says_the_same else Placement(supersedes=intent.seq)
    return Placement()


def _place_outcome(step: _Step, record_type: RecordType, payload_hash: str) -> Placement:
    outcome = step.outcome
    if outcome is None:
        return Placement()
    is_equal = (outcome.record_type, outcome.payload_hash) == (record_type, payload_hash)
    if step.is_open:
        return Placement() if is_equal else Placement(supersedes=outcome.seq)
    if is_equal or record_type == "recovered":
        return Placement(already=outcome.seq)
    return Placement(supersedes=outcome.seq)
