"""Returns of each security over one session, by marks that chain.

The *mark* of session D is the last close known at its cutoff, in units of D. With S =
``stale_sessions``:

1. Sessions are taken in order. What became known in one may replace a security's last close: by
   that of a later session, or by another version of the same one. A security whose last close is
   older than S sessions has no mark.
2. A split takes effect on its ex session, or in the session in which it became known if that is
   later. The close is divided by the splits that are in effect and whose ex session is after it.
3. The return of D runs from the mark of D − 1, as it was known at the cutoff of D − 1, to that of
   D, times the ``split`` that takes effect on D. So the product of ``1 + total`` over any sessions
   is the ratio of the marks times the splits between them, whatever came late or was corrected:
   late news moves the mark of the session in which it is known.
4. A dividend, a special one, and the worth of what is spun off are cash per unit held before the ex
   session. It is paid like a split takes effect, to whoever held at the cutoff before, in the units
   of then; a later version pays the difference. ``total`` is ``(P s + d) / P_-1 - 1``: the cash is
   not put back into the security, so that the price return and the cash add up.
5. The execution price is read from the bar of session D alone, if that was known at D's cutoff.
6. A delisting or a merger takes effect like a split. The mark is then what it pays, or the last
   close where no terms were told: ``settlement`` says which. The row says ``delisted`` and is the
   security's last; bars that still come are not looked at. (Listed again it is another security. A
   rename is nothing: the id goes on.)
7. A security without a bar for more than S sessions, and without a delisting known, does not
   vanish either: its last row says ``delisted`` with the last close as its mark, so that holders
   are paid that close. S should therefore be longer than any suspension worth waiting for (the
   shipped 63 sessions are a quarter). A bar that comes after that begins the security anew.

A security's first mark has no mark before it and makes no row. Nothing is carried from session to
session but what the window of D itself holds, so a range gives the bytes of its single days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.lakehouse.contracts.returns import RETURNS
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings.returns import ReturnsSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

_NONE = -1


def returns_windows(settings: ReturnsSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``returns`` depends on.

    The mark of D − 1 may be as old as ``stale_sessions`` before D − 1.
    """
    return {
        "bars": Window("bars", settings.stale_sessions + 1),
        "actions": Window("actions", ALL_HISTORY),
    }


def session_returns(
    frames: Mapping[str, pl.LazyFrame], settings: ReturnsSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``returns`` for a range.

    Parameters
    ----------
    frames
        ``bars``: published bars of the loaded sessions. ``actions``: all published actions; without
        that frame nothing is split and nothing delisted.
    settings
        Which price an order fills at, and how long a mark stands without a bar.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security that had a mark at the session before, by session and security.
    """
    walk = _Walk(frames, settings, wanted)
    first, last = (wanted.calendar.ordinal(day) for day in (wanted.first, wanted.last))
    for ordinal in range(max(first - settings.stale_sessions - 1, wanted.origin), first):
        walk.take(ordinal)
    before = walk.marks(first - 1)
    parts = []
    for ordinal in range(first, last + 1):
        walk.take(ordinal)
        now = walk.marks(ordinal)
        parts.append(walk.rows(ordinal, before, now))
        before = now
    return walk.frame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


@dataclass(frozen=True)
class _Marks:
    """Marks at one cutoff: per security its price and session, NaN and -1 where there is none."""

    price: Floats
    session: Integers


class _Walk:
    """Last closes known so far, one per security."""

    def __init__(
        self, frames: Mapping[str, pl.LazyFrame], settings: ReturnsSettings, wanted: SessionRange
    ) -> None:
        self.calendar = wanted.calendar
        self.stale = settings.stale_sessions
        ordinals = self.calendar.frame().select("session", "ordinal")
        bars = frames["bars"].join(ordinals.lazy(), on="session").collect()
        self.securities = bars["security_id"].unique().sort()
        codes = self.securities.to_frame().with_row_index("security")
        executed = pl.col("open")
        if settings.execution_price == "typical":
            executed = (pl.col("open") + pl.col("high") + pl.col("low") + pl.col("close")) / 4
        # Of what becomes known at once only the newest session can be a mark.
        bars = (
            bars.join(codes, on="security_id")
            .sort("knowledge_session", "security", "session", "known_at")
            .unique(["knowledge_session", "security"], keep="last", maintain_order=True)
            .with_row_index("row")
            .with_columns(executed=executed)
        )
        self.symbols = bars["symbol"]
        self.arrivals = bars.partition_by("knowledge_session", as_dict=True, maintain_order=True)
        self._set_actions(frames.get("actions"), codes, ordinals)
        count = len(self.securities)
        self.session: Integers = np.full(count, _NONE, dtype=np.int64)
        self.close: Floats = np.full(count, np.nan)
        self.executed: Floats = np.full(count, np.nan)
        self.row: Integers = np.full(count, _NONE, dtype=np.int64)

    def _set_actions(
        self, actions: pl.LazyFrame | None, codes: pl.DataFrame, ordinals: pl.DataFrame
    ) -> None:
        """Lay out splits and delistings by security and the session in which they take effect."""
        published = pl.DataFrame(schema=_ACTIONS) if actions is None else actions.collect()
        effective = ordinals.rename({"session": "effective", "ordinal": "from"})
        splits = (
            splits_in_effect(published)
            .join(codes, on="security_id", maintain_order="left")
            .join(ordinals.rename({"session": "ex"}), on="ex", maintain_order="left")
            .join(effective, on="effective", maintain_order="left")
        )
        self.split_of = splits["security"].to_numpy().astype(np.intp)
        self.split_ex = splits["ordinal"].to_numpy()
        self.split_from = splits["from"].to_numpy()
        self.split_step = splits["step"].to_numpy()
        self._set_cash(published, codes, ordinals)
        ends = (
            published.filter(pl.col("kind").cast(pl.String).is_in(["delisting", "merger"]))
            .with_columns(effective=pl.max_horizontal("session", "knowledge_session"))
            .join(codes, on="security_id")
            .join(effective, on="effective")
            # The first to take effect is final; of its versions known by then the last.
            .sort("security", "from", "session", "known_at")
            .unique(["security", "from"], keep="last", maintain_order=True)
            .unique("security", keep="first", maintain_order=True)
        )
        self.end: Integers = np.full(codes.height, np.iinfo(np.int64).max)
        self.payout: Floats = np.full(codes.height, np.nan)
        self.end[ends["security"].to_numpy()] = ends["from"].to_numpy()
        # No terms: NaN, and the last close stands.
        self.payout[ends["security"].to_numpy()] = ends["value"].fill_null(np.nan).to_numpy()

    def _set_cash(
        self, published: pl.DataFrame, codes: pl.DataFrame, ordinals: pl.DataFrame
    ) -> None:
        """Lay out what is paid in cash by security and the session in which it is paid."""
        paid = (
            published.filter(pl.col("kind").cast(pl.String).is_in(CASH_KINDS))
            .with_columns(
                pl.col("kind").cast(pl.String),
                effective=pl.max_horizontal("session", "knowledge_session"),
            )
            .join(codes, on="security_id")
            .join(ordinals, on="session")
            .join(ordinals.rename({"session": "effective", "ordinal": "from"}), on="effective")
            .sort("security", "ordinal", "kind", "from", "known_at")
            .unique(["security", "ordinal", "kind", "from"], keep="last", maintain_order=True)
        )
        before = pl.col("value").shift(1).over("security", "ordinal", "kind").fill_null(0.0)
        paid = paid.with_columns(step=pl.col("value") - before)
        self.cash_of = paid["security"].to_numpy().astype(np.intp)
        self.cash_from = paid["from"].to_numpy()
        steps = paid["step"].to_numpy().copy()
        ex = paid["ordinal"].to_numpy()
        for place in np.flatnonzero(ex < self.cash_from):
            # Told after units have changed: the cash is per unit of before the ex session.
            since = (self.split_of == self.cash_of[place]) & (self.split_ex >= ex[place])
            steps[place] /= self.split_step[
                since & (self.split_from < self.cash_from[place])
            ].prod()
        self.cash_step = steps

    def take(self, ordinal: int) -> None:
        """Take in what became known in a session."""
        arrived = self.arrivals.get((self.calendar.sessions[ordinal],))
        if arrived is None:
            return
        security = arrived["security"].to_numpy()
        session = arrived["ordinal"].to_numpy()
        newer = session >= self.session[security]
        chosen = security[newer]
        self.session[chosen] = session[newer]
        self.close[chosen] = arrived["close"].to_numpy()[newer]
        self.executed[chosen] = arrived["executed"].to_numpy()[newer]
        self.row[chosen] = arrived["row"].to_numpy()[newer]

    def marks(self, ordinal: int) -> _Marks:
        """Return the marks at a session's cutoff, in its units; none of what is delisted."""
        units = np.ones(len(self.securities))
        between = (self.split_from <= ordinal) & (self.split_ex > self.session[self.split_of])
        np.multiply.at(units, self.split_of[between], self.split_step[between])
        has = (self.session >= ordinal - self.stale) & (self.session != _NONE)
        has &= self.end > ordinal
        return _Marks(np.where(has, self.close / units, np.nan), np.where(has, self.session, _NONE))

    def rows(self, ordinal: int, before: _Marks, now: _Marks) -> dict[str, npt.NDArray[Any]]:
        """Make the rows of one session, from the marks at the cutoff before and at its own."""
        security = np.flatnonzero(before.session != _NONE)
        split = np.ones(len(self.securities))
        today = self.split_from == ordinal
        np.multiply.at(split, self.split_of[today], self.split_step[today])
        split = split[security]
        cash = np.zeros(len(self.securities))
        paying = self.cash_from == ordinal
        np.add.at(cash, self.cash_of[paying], self.cash_step[paying])
        cash = cash[security]
        start = before.price[security]
        paid = (self.end[security] == ordinal) & ~np.isnan(self.payout[security])
        gone = now.session[security] == _NONE
        mark = np.where(gone, start / split, now.price[security])
        mark = np.where(paid, self.payout[security], mark)
        marked = np.where(gone, before.session[security], now.session[security])
        traded = ~gone & (now.session[security] == ordinal)
        price = np.where(traded, self.executed[security], np.nan)
        reached = np.where(traded, price, mark)
        change = reached * split / start - 1
        # A delisting may pay nothing; what did not trade has nothing after its price.
        after = np.divide(mark, reached, out=np.ones_like(mark), where=traded) - 1
        price_return = (1 + change) * (1 + after) - 1
        income = cash / start
        return {
            "session": np.full(len(security), ordinal),
            "security_id": security,
            "symbol": self.row[security],
            "mark": mark,
            "mark_session": np.where(paid, ordinal, marked),
            "execution_price": price,
            "before": change,
            "after": after,
            "price": price_return,
            "cash": cash,
            "income": income,
            "total": price_return + income,
            "split": split,
            "delisted": gone,
            # 0: stays, 1: by its terms, 2: at the last price.
            "settlement": np.where(gone, np.where(paid, 1, 2), 0),
        }

    def frame(self, columns: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
        """Put rows into the columns of the contract, sessions and names looked up."""
        days = pl.Series(self.calendar.sessions, dtype=pl.Date)
        named = {
            "session": days.gather(columns["session"]),
            "security_id": self.securities.gather(columns["security_id"]),
            "symbol": self.symbols.gather(columns["symbol"]),
            "mark_session": days.gather(columns["mark_session"]),
            "execution_price": pl.Series(columns["execution_price"]).fill_nan(None),
            "settlement": _SETTLEMENTS.gather(columns["settlement"]),
        }
        return pl.DataFrame({name: named.get(name, columns[name]) for name in RETURNS.columns})


CASH_KINDS = ("dividend", "special_dividend", "spin_off")
_SETTLEMENTS = pl.Series([None, "terms", "last_price"], dtype=RETURNS.columns["settlement"].dtype)
_ACTIONS = pl.Schema(
    {
        "knowledge_session": pl.Date(),
        "security_id": pl.String(),
        "session": pl.Date(),
        "kind": pl.String(),
        "known_at": pl.Datetime("us", "UTC"),
        "value": pl.Float64(),
    }
)
