"""Transition smoothing: what confirms a label, what does not, and what a long series settles on."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quant_platform.regimes.smoothing import (
    MARKET_STATES,
    QUADRANTS,
    REGIMES,
    VOLATILITY_STATES,
    Ladder,
    Smoothed,
    smoothed,
    smoothing_memory,
)
from quant_platform.settings.regimes import RegimeLabel, SmoothingSettings

SETTINGS = SmoothingSettings()
LABELS = REGIMES.labels
LADDERS = {
    "regimes": REGIMES,
    "quadrants": QUADRANTS,
    "market states": MARKET_STATES,
    "volatility states": VOLATILITY_STATES,
}
SHORT: dict[str, RegimeLabel | None] = {
    "+": "RISK_ON",
    "0": "NEUTRAL",
    "-": "RISK_OFF",
    "!": "STRESSED",
    ".": None,
}
LETTER = {label: letter for letter, label in SHORT.items()}


def run(
    raw: str, begin: Smoothed | None = None, chosen: SmoothingSettings = SETTINGS
) -> list[Smoothed]:
    """Smooth a raw series; by default from before the first confirmation."""
    held, found = begin or REGIMES.unconfirmed, []
    seen: list[str | None] = []
    for letter in raw:
        seen = [*seen, SHORT[letter]][-smoothing_memory(chosen) - 1 :]
        held = smoothed(held, seen, chosen)
        found.append(held)
    return found


def labels(found: list[Smoothed]) -> str:
    return "".join(LETTER[held.label] for held in found)


@pytest.mark.parametrize(
    ("begin", "raw", "expected"),
    [
        ("NEUTRAL", "--", "0-"),
        ("NEUTRAL", "!!", "0!"),
        ("RISK_ON", "00", "+0"),
        # At least as bad: the mildest of the two is what both speak for.
        ("NEUTRAL", "!-", "0-"),
        ("NEUTRAL", "-!!", "0-!"),
        ("RISK_ON", "0!!", "+0!"),
        # One bad session is none.
        ("NEUTRAL", "-0-0", "0000"),
        ("RISK_ON", "!++!+", "+++++"),
        # Five better ones are needed, and four of them are not five.
        ("STRESSED", "00000", "!!!!0"),
        ("STRESSED", "0000!00000", "!!!!!!!!!0"),
        ("RISK_OFF", "+++++", "----+"),
        # The worst of the five is what all of them speak for.
        ("STRESSED", "-0000", "!!!!-"),
        ("STRESSED", "-00000", "!!!!-0"),
        ("RISK_OFF", "+0+0+", "----0"),
        # A session without a label speaks for nothing.
        ("NEUTRAL", "-.-", "000"),
        ("STRESSED", "00.000", "!!!!!!"),
        ("RISK_OFF", ".....", "-----"),
        ("STRESSED", "..........", "!!!!!!!!!!"),
        # … and risk that nothing speaks for any more is given up, as late as it would be taken.
        ("RISK_ON", "....", "++++"),
        ("RISK_ON", ".....", "++++0"),
        ("RISK_ON", "....+....", "+++++++++"),
        ("RISK_ON", ".....++++", "++++00000"),
        ("RISK_ON", ".....+++++", "++++00000+"),
    ],
)
def test_the_confirmed_label(begin: RegimeLabel, raw: str, expected: str) -> None:
    assert labels(run(raw, Smoothed(begin, confirmed=True))) == expected


@pytest.mark.parametrize(
    ("raw", "expected", "confirmed"),
    [
        ("0", "0", "n"),
        ("00", "00", "ny"),
        ("--", "0-", "ny"),
        ("-0", "00", "ny"),
        ("+++++", "0000+", "nnnny"),
        ("+0+0+", "00000", "nnnny"),
        ("+-+-+-+", "0000000", "nnnnnnn"),
        ("....", "0000", "nnnn"),
    ],
)
def test_before_the_first_confirmation_the_label_is_neutral(
    raw: str, expected: str, confirmed: str
) -> None:
    found = run(raw)
    assert labels(found) == expected
    assert "".join("ny"[held.confirmed] for held in found) == confirmed


@pytest.mark.parametrize("begin", LABELS)
@pytest.mark.parametrize("one", "+0-!")
@pytest.mark.parametrize("other", "+0-!")
def test_an_alternating_series_never_flips(begin: RegimeLabel, one: str, other: str) -> None:
    """It changes at most once, to where it stays."""
    found = labels(run((one + other) * 30, Smoothed(begin, confirmed=True)))
    changes = [a + b for a, b in pairwise(found) if a != b]
    assert len(changes) <= 1
    assert found[6:] == found[6] * len(found[6:])


@pytest.mark.parametrize("begin", ["RISK_ON", "NEUTRAL"])
def test_alternating_between_two_bad_labels_does_not_stay_good(begin: RegimeLabel) -> None:
    assert labels(run("-!" * 5, Smoothed(begin, confirmed=True)))[1:] == "-" * 9
    assert labels(run("!-" * 5, Smoothed(begin, confirmed=True)))[1:] == "-" * 9


def test_the_candidate_is_what_the_latest_sessions_speak_for() -> None:
    found = run("-00+0-.0", Smoothed("RISK_OFF", confirmed=True))
    told = [(held.candidate, held.streak) for held in found]
    assert told == [
        (None, 0),
        ("NEUTRAL", 1),
        ("NEUTRAL", 2),
        ("NEUTRAL", 3),
        ("NEUTRAL", 4),
        (None, 0),
        (None, 0),
        ("NEUTRAL", 1),
    ]
    worse = run("-", Smoothed("NEUTRAL", confirmed=True))[0]
    assert (worse.candidate, worse.streak) == ("RISK_OFF", 1)
    # Confirmed the milder; the worse has one session to go.
    again = run("-!", Smoothed("NEUTRAL", confirmed=True))[1]
    assert (again.label, again.candidate, again.streak) == ("RISK_OFF", "STRESSED", 1)
    first = run("0")[0]
    assert (first.candidate, first.streak) == ("NEUTRAL", 1)


@pytest.mark.parametrize(("worsen", "improve"), [(1, 1), (3, 2), (2, 8)])
def test_the_counts_are_settings(worsen: int, improve: int) -> None:
    chosen = SmoothingSettings(worsen_after=worsen, improve_after=improve)
    falling = labels(run("!" * 10, Smoothed("RISK_ON", confirmed=True), chosen))
    rising = labels(run("+" * 10, Smoothed("STRESSED", confirmed=True), chosen))
    assert falling == "+" * (worsen - 1) + "!" * (11 - worsen)
    assert rising == "!" * (improve - 1) + "+" * (11 - improve)


@settings(max_examples=200)
@given(st.text("+0-!.", min_size=1, max_size=40), st.sampled_from(LABELS))
@example("..+.....++++++", "RISK_ON")
def test_a_change_is_spoken_for_by_every_session_that_it_needs(
    raw: str, begin: RegimeLabel
) -> None:
    severity = {letter: number for number, letter in enumerate("+0-!")}
    found = labels(run(raw, Smoothed(begin, confirmed=True)))
    held = LETTER[begin]
    for at, letter in enumerate(found):
        two, five = raw[max(at - 1, 0) : at + 1], raw[max(at - 4, 0) : at + 1]
        mildest = min((severity.get(s, -1) for s in two), default=-1) if len(two) == 2 else -1
        worst = max(severity.get(s, 9) for s in five) if len(five) == 5 else 9
        expected = severity[held]
        if mildest > expected:
            expected = mildest
        elif worst < expected:
            expected = worst
        elif five == "....." and LETTER[LABELS[expected]] == "+":
            expected += 1
        assert severity[letter] == expected
        held = letter


def follow(raw: list[int | None], ladder: Ladder, begin: Smoothed | None = None) -> list[Smoothed]:
    """Smooth a raw series of severities."""
    held, found, seen = begin or ladder.unconfirmed, [], []
    for place in raw:
        seen.append(None if place is None else ladder.labels[place])
        held = smoothed(held, seen, SETTINGS, ladder)
        found.append(held)
    return found


@pytest.mark.parametrize("name", LADDERS)
def test_on_every_ladder_an_alternating_series_never_flips(name: str) -> None:
    ladder = LADDERS[name]
    places = range(len(ladder.labels))
    for one, other, begin in [(a, b, c) for a in places for b in places for c in places]:
        held = Smoothed(ladder.labels[begin], confirmed=True)
        found = [said.label for said in follow([one, other] * 20, ladder, held)]
        assert sum(a != b for a, b in pairwise(found)) <= 1
        assert len(set(found[6:])) == 1


@pytest.mark.parametrize("name", LADDERS)
def test_on_every_ladder_two_bad_labels_do_not_stay_good(name: str) -> None:
    ladder = LADDERS[name]
    worst = len(ladder.labels) - 1
    for begin in range(worst - 1):
        held = Smoothed(ladder.labels[begin], confirmed=True)
        found = follow([worst, worst - 1] * 5, ladder, held)
        assert {said.label for said in found[1:]} == {ladder.labels[worst - 1]}


@pytest.mark.parametrize("name", LADDERS)
def test_on_every_ladder_nothing_is_confirmed_by_nothing(name: str) -> None:
    ladder = LADDERS[name]
    found = follow([None] * 12, ladder)
    assert {(said.label, said.confirmed) for said in found} == {(ladder.neutral, False)}
    assert ladder.neutral in ("NEUTRAL", "NORMAL", "sideways")


@settings(max_examples=100)
@given(st.data(), st.sampled_from(list(LADDERS)))
def test_on_every_ladder_a_label_is_one_that_the_latest_sessions_bear_out(
    data: st.DataObject, name: str
) -> None:
    """A worse label needs two sessions at least as bad, a better one five at most as bad."""
    ladder = LADDERS[name]
    place = st.one_of(st.none(), st.integers(0, len(ladder.labels) - 1))
    raw = data.draw(st.lists(place, min_size=1, max_size=40))
    before = ladder.unconfirmed
    for at, said in enumerate(follow(raw, ladder)):
        now, held = ladder.severity[said.label], ladder.severity[before.label]
        two, five = raw[max(at - 1, 0) : at + 1], raw[max(at - 4, 0) : at + 1]
        if now > held:
            assert said.confirmed == before.confirmed or said.confirmed
            borne = len(two) == 2 and all(s is not None and s >= now for s in two)
            lapsed = five == [None] * 5 and said.label == ladder.neutral and not said.confirmed
            assert borne or lapsed
        elif now < held:
            assert len(five) == 5
            assert all(s is not None and s <= now for s in five)
        before = said
