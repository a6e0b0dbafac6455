"""What the ledger says of a selection."""

from __future__ import annotations

from quant_platform.selection.decisions import action_of, selection_decisions
from quant_platform_tests.lakehouse.small_lake import SESSIONS
from quant_platform_tests.selection.naive import SETTINGS, found, path, run

DAYS = SESSIONS[:30]
GRID = {DAYS[24], DAYS[28]}
RETURNS = [one for seed, name in enumerate("abcd") for one in path(name, DAYS, seed)]
NOISE = {"a": {"permutation_entropy_place": 1.0}}


def test_each_deciding_session_has_one_line_that_names_winners_and_gates() -> None:
    made = run(found(DAYS, "abcd"), RETURNS, DAYS, GRID, features=NOISE)
    told = selection_decisions(made, SETTINGS)
    assert [(session, identity) for session, identity, _ in told] == [
        (day, day.isoformat()) for day in sorted(GRID)
    ]
    for session, _, payload in told:
        rows = made.filter(session=session)
        winners = rows.filter("selected").sort("rank")["security_id"].to_list()
        assert [one["security_id"] for one in payload["winners"]] == winners
        assert (payload["candidates"], payload["passed"]) == (4, 3)
        assert payload["gates"]["entropy"] == {"asked": 4, "fired": 1}
        assert payload["gates"]["winners_max"] == {"asked": 3, "fired": 1}
        assert {one["admitted"] for one in payload["winners"]} == {"strict"}
    assert selection_decisions(made.filter(~made["session"].is_in(sorted(GRID))), SETTINGS) == []


def test_each_sleeve_restates_its_own_lines() -> None:
    assert action_of("etfs") != action_of("crypto")
