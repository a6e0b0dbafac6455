"""Doubts: what is wrong with a delivery although each of its rows could be right.

**Bars.** A row that is on time is held against the security's print before, at most
``MEMORY_SESSIONS`` back, and against the other securities of its session. Each of these happens now
and then to a single name, and never to a fifth of a market at once:

- the close is less than a fifth or more than five times each of the two before
  (``prices_out_of_scale``: cents for dollars, another currency, a hundredfold);
- open, high, low, close and volume are those of the session before (``repeats_session_before``: a
  day delivered twice under two dates);
- they are those of another security (``bar_of_another_security``).

Where a fifth or more of a session's rows share such a doubt, the delivery did that and not the
market: those rows are rejected. A single name with it keeps its bar, and `quality` flags it.

**Actions.** A split or stock dividend that is known on its ex session or later is held against the
bars around it: if open and close are both nearer to the close before than to that close divided by
the ratio, the price knows nothing of it. A payment of as much as the close before is none either.
Both are rejected (``contradicts_price``). An action that is told ahead of its ex session can not be
held against a price that nobody has seen.

Only prints that were on time are compared with, so that a range doubts what its single days doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.market.hygiene import Doubt
from quant_platform.settings.hygiene import ConfirmedAction

MEMORY_SESSIONS = 5
"""How old the print before may be."""

SYSTEMATIC_SHARE = 0.2
"""From this share of a session's rows on, what they have in common is the delivery's doing."""

_SCALE = 5.0
_FEWEST = 5
"""Fewer rows than this are no market to be compared with."""

_BAR = ("open", "high", "low", "close", "volume")


def doubts_of_bars(before: pl.DataFrame, calendar: SessionCalendar) -> Doubt:
    """Return the doubt of bars, given what was delivered just before.

    Parameters
    ----------
    before
        Rows that the source delivered for the sessions before, unsorted and unchecked.
    calendar
        Calendar of the table.
    """

    def doubt(rows: pl.DataFrame) -> pl.Series:
        earlier = before.with_columns(
            knowledge_session=calendar.knowledge_sessions(before["known_at"]),
            row=pl.lit(None, pl.UInt32),
        )
        columns = ["row", "security_id", "session", "knowledge_session", "known_at", *_BAR]
        prints = (
            pl.concat([earlier.select(columns), rows.with_row_index("row").select(columns)])
            .filter(pl.col("knowledge_session") == pl.col("session"))
            .join(calendar.frame().select("session", "ordinal"), on="session")
            # Numbers in the place of names: a market of ten years is sorted by them.
            .with_columns(code=pl.col("security_id").cast(pl.Categorical).to_physical())
            .select("row", "code", "ordinal", "known_at", *_BAR)
            .sort("code", "ordinal", "known_at", maintain_order=True)
        )
        again = (pl.col("code") == pl.col("code").shift(1)) & (
            pl.col("ordinal") == pl.col("ordinal").shift(1)
        )
        found = (
            prints.filter(again.fill_null(value=False).not_())
            .with_columns(_doubts())
            .filter(pl.col("row").is_not_null())
            .select("row", "ordinal", *_DOUBTS)
        )
        shares = found.group_by("ordinal").agg(
            pl.len(), pl.col(_DOUBTS).mean().name.suffix("_share")
        )
        shared = found.join(
            shares.filter(
                pl.col("len") >= _FEWEST,
                pl.any_horizontal(pl.col(f"{n}_share") >= SYSTEMATIC_SHARE for n in _DOUBTS),
            ),
            on="ordinal",
        )
        named = shared.select(
            "row",
            rule=pl.concat_list(
                pl.when(pl.col(n) & (pl.col(f"{n}_share") >= SYSTEMATIC_SHARE)).then(pl.lit(n))
                for n in _DOUBTS
            )
            .list.drop_nulls()
            .list.join(", "),
        ).filter(pl.col("rule") != "")
        if not named.height:
            return pl.Series([None], dtype=pl.String).new_from_index(0, rows.height)
        every = rows.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"))
        return every.join(named, on="row", how="left", maintain_order="left")["rule"]

    return doubt


_DOUBTS = ("prices_out_of_scale", "repeats_session_before", "bar_of_another_security")


def _doubts() -> list[pl.Expr]:
    """Each doubt of prints that are sorted by security and session, as a truth value."""
    own = (pl.col("code") == pl.col("code").shift(1)) & (
        pl.col("ordinal") - pl.col("ordinal").shift(1) <= MEMORY_SESSIONS
    )
    # A bar without a range or a trade may well come twice.
    telling = (pl.col("high") > pl.col("low")) & (pl.col("volume") > 0)
    alike = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in _BAR)
    earlier = (pl.col("code") == pl.col("code").shift(2)) & (
        pl.col("ordinal") - pl.col("ordinal").shift(2) <= MEMORY_SESSIONS
    )
    # Far from the print before only: it was that one which was out of scale, and this one is not.
    far = _far(1) & (_far(2) | ~earlier.fill_null(value=False))
    # The hash of a bar stands for the bar: one column is compared instead of six.
    whole = pl.struct("ordinal", *_BAR).hash()
    doubts = (own & far, own & telling & alike, telling & whole.is_duplicated())
    return [
        doubt.fill_null(value=False).alias(name)
        for name, doubt in zip(_DOUBTS, doubts, strict=True)
    ]


def _far(back: int) -> pl.Expr:
    """Whether the close is on another scale than that of so many prints before."""
    step = pl.col("close") / pl.col("close").shift(back)
    return (step > _SCALE) | (step < 1 / _SCALE)


def doubts_of_actions(
    bars: pl.DataFrame, calendar: SessionCalendar, confirmed_actions: Sequence[ConfirmedAction]
) -> Doubt:
    """Return the doubt of actions, given published bars.

    Parameters
    ----------
    bars
        Bars of the range and of the sessions before it, every version.
    calendar
        Calendar of the table.
    confirmed_actions
        Actions that somebody confirmed: they are taken at their word.
    """
    confirmed = pl.DataFrame(
        [(action.security_id, action.session) for action in confirmed_actions],
        schema={"security_id": pl.String, "session": pl.Date},
        orient="row",
    )
    ordinals = calendar.frame().select("session", "ordinal")
    prints = (
        _prints(bars).join(ordinals, on="session").select("security_id", "ordinal", "open", "close")
    )

    def doubt(rows: pl.DataFrame) -> pl.Series:
        asked = (
            rows.with_row_index("row")
            .filter(pl.col("session") <= pl.col("knowledge_session"))
            .join(confirmed, on=["security_id", "session"], how="anti")
            .join(ordinals, on="session")
            .sort("ordinal", "row")
        )
        before = prints.sort("ordinal").select("security_id", seen="ordinal", close_before="close")
        held = (
            asked.with_columns(eve=pl.col("ordinal") - 1)
            .sort("eve", "row")
            .join_asof(
                before,
                left_on="eve",
                right_on="seen",
                by="security_id",
                strategy="backward",
                check_sortedness=False,
            )
            .join(prints, on=["security_id", "ordinal"], how="left")
            .filter(pl.col("ordinal") - pl.col("seen") <= MEMORY_SESSIONS)
        )
        terms = pl.col("value").log()
        divides = pl.col("kind").cast(pl.String).is_in(["split", "stock_dividend"])
        unmoved = pl.all_horizontal(
            (pl.col(price) / pl.col("close_before")).log().abs()
            < ((pl.col(price) / pl.col("close_before")).log() + terms).abs()
            for price in ("open", "close")
        )
        pays = pl.col("kind").cast(pl.String).is_in(["dividend", "special_dividend", "spin_off"])
        broken = held.filter(
            (divides & unmoved) | (pays & (pl.col("value") >= pl.col("close_before")))
        ).select("row", rule=pl.lit("contradicts_price"))
        return rows.with_row_index("row").join(
            broken.unique("row"), on="row", how="left", maintain_order="left"
        )["rule"]

    return doubt


def _prints(rows: pl.DataFrame) -> pl.DataFrame:
    """First version of each bar that was on time."""
    return (
        rows.filter(pl.col("knowledge_session") == pl.col("session"))
        .sort("known_at", maintain_order=True)
        .unique(["security_id", "session"], keep="first", maintain_order=True)
    )
