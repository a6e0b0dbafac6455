"""The altered source alters all of the future and none of the past."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from quant_platform.sources import ACTION_SCHEMA, BAR_SCHEMA, SECURITY_SCHEMA, Source
from quant_platform_tests.sources.altered import AlteredSource
from quant_platform_tests.sources.markets import DIRTY, NYSE

MOMENT = NYSE.cutoff(date(2023, 6, 14))
ASKED = NYSE.between(date(2023, 5, 1), date(2023, 7, 31))
KNOWN, LATER = pl.col("known_at") <= MOMENT, pl.col("known_at") > MOMENT
ALTERED = {
    "truncated": AlteredSource(DIRTY, truncate_after=MOMENT),
    "corrupted": AlteredSource(DIRTY, corrupt_after=MOMENT),
    "repeopled": AlteredSource(DIRTY, repeople_after=MOMENT),
    "all": AlteredSource(
        DIRTY,
        truncate_after=MOMENT + timedelta(days=9),
        corrupt_after=MOMENT,
        repeople_after=MOMENT,
    ),
}
altered = pytest.mark.parametrize("source", ALTERED.values(), ids=ALTERED)


@altered
def test_the_past_is_untouched(source: AlteredSource) -> None:
    for kind, schema in (
        ("bars", BAR_SCHEMA),
        ("securities", SECURITY_SCHEMA),
        ("actions", ACTION_SCHEMA),
    ):
        everything = NYSE.between(date(2015, 1, 2), date(2025, 7, 31))
        asked = ASKED if kind == "bars" else everything
        rows = getattr(source, kind)(NYSE, "instruments", asked)
        assert rows.schema == schema
        original = getattr(DIRTY, kind)(NYSE, "instruments", asked)
        assert original.filter(KNOWN).height > 0
        assert rows.filter(KNOWN).equals(original.filter(KNOWN))
        assert not rows.equals(original)


def test_truncation_leaves_no_later_row() -> None:
    assert ALTERED["truncated"].bars(NYSE, "instruments", ASKED).filter(LATER).is_empty()


@pytest.mark.parametrize("kind", ["securities", "actions"])
def test_truncation_and_corruption_of_what_is_seldom_published(kind: str) -> None:
    everything = NYSE.between(date(2015, 1, 2), date(2025, 7, 31))

    def later(source: Source) -> pl.DataFrame:
        rows: pl.DataFrame = getattr(source, kind)(NYSE, "instruments", everything)
        return rows.filter(LATER)

    original, corrupted = later(DIRTY), later(ALTERED["corrupted"])
    assert later(ALTERED["truncated"]).is_empty()
    assert corrupted.height == original.height > 0
    spoilt = "value" if kind == "actions" else "name"
    assert (corrupted[spoilt] != original[spoilt]).all()
    assert any(name.endswith("-newcomer") for name in later(ALTERED["repeopled"])["security_id"])


def test_corruption_changes_every_later_price() -> None:
    later = ALTERED["corrupted"].bars(NYSE, "instruments", ASKED).filter(LATER)
    original = DIRTY.bars(NYSE, "instruments", ASKED).filter(LATER)
    assert later.height == original.height
    for column in ("open", "high", "low", "close", "volume"):
        # Nothing times seven is nothing: an untraded bar. A cent may meet its like by chance.
        altered = (later[column] != original[column]) | (original[column] == 0)
        assert altered.sum() >= original.height - 2
    assert (later["close"] < 0).any()
    assert (later["close"] > 0).any()


def test_repeopling_adds_and_removes_securities_listed_later() -> None:
    everything = NYSE.between(date(2015, 1, 2), date(2026, 6, 30))
    ids = set(ALTERED["repeopled"].securities(NYSE, "instruments", everything)["security_id"])
    original = set(DIRTY.securities(NYSE, "instruments", everything)["security_id"])
    assert ids - original
    assert original - ids
    bars = ALTERED["repeopled"].bars(NYSE, "instruments", everything)
    assert original - ids <= original - set(bars["security_id"])
    assert any(name.endswith("-newcomer") for name in bars["security_id"])
    newcomers = bars.filter(pl.col("security_id").str.ends_with("-newcomer"))
    assert min(newcomers["known_at"]) > MOMENT
