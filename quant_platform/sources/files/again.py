"""Importing again: what has been told stays told, and what is new of the past is known now.

The lake has answered for some sessions already, from the import of then. A file that has changed
since, or is new, may hold other rows of those sessions. Taking them at their assumed time would
rewrite what was known; they are *late data* instead:

1. Rows of the import before that were known by the last session that the lake has taken in are
   kept, whether the file still has them or not.
2. Of each key, the newest version that the file has by now is held against the newest that was
   told. Where they say the same there is nothing new; a correction that is taken back is one more
   version, because the newest one told is wrong now.
3. Where they differ, what the file says is known now, as observed, if it would have been known by
   then; versions of later sessions keep their time.

What a file of bars has told nothing of may have been told by another one: a row that is moved from
one file to another is no news.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from quant_platform.sources.protocol import KNOWN_AT_BASIS

BAR_KEY = ("symbol", "session")
"""What tells one bar from another, in the files."""
FILE_KEY = ("file", *BAR_KEY)
BESIDE_BARS = ("adjusted", "unit")
"""Columns of a total-return close, which says nothing of the bar itself."""
KEYS: dict[str, tuple[str, ...]] = {
    "securities": ("security_id",),
    "actions": ("security_id", "session", "kind"),
    "membership": ("index", "security_id", "valid_from"),
    "earnings": ("security_id", "period"),
    "fund_facts": ("security_id", "session"),
    "series": ("series", "session"),
}
"""By kind, what the published versions of one thing have in common."""

WITHDRAWN = pl.Schema(
    {
        "security_id": pl.String(),
        "session": pl.Date(),
        "kind": pl.String(),
        "becomes": pl.String(),
    }
)
"""Actions that were told and that the files do not tell any more, and what becomes of them."""

_DESCRIBING = (
    *("name", "exchange", "asset_class", "sector", "category", "listed_on"),
    *("tick", "lot", "leverage", "underlying", "country"),
)
_FEW_WITHDRAWN, _WITHDRAWN_SHARE = 4, 0.05
"""So many actions may be taken back at once, or such a share of what was told: more are a file that
has lost them."""

_DIVIDING = ("split", "stock_dividend")
_KNOWN = ("known_at", "known_at_basis")


@dataclass(frozen=True)
class Again:
    """How a folder is imported that was imported before.

    Parameters
    ----------
    told_until
        Cutoff of the last session that the lake has taken in.
    now
        When the import is made.
    symbols
        Symbols whose bars are fetched; None for all.
    """

    told_until: datetime
    now: datetime
    symbols: Collection[str] | None = None

    @property
    def past(self) -> pl.Expr:
        """Whether a row was known, or would have been, by the last session taken in."""
        return pl.col("known_at") <= self.told_until

    def superseding(
        self, before: pl.DataFrame, delivered: pl.DataFrame, key: Sequence[str]
    ) -> pl.DataFrame:
        """Return the rows to answer from.

        Parameters
        ----------
        before
            Rows of the import before.
        delivered
            Rows of the files now, with the same columns.
        key
            Columns that the versions of one thing have in common.
        """
        told = before.filter(self.past)
        return pl.concat([told, self._news(told, delivered, key)])

    def chosen(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of the symbols that are fetched."""
        if self.symbols is None:
            return rows
        return rows.filter(pl.col("symbol").is_in(sorted(self.symbols)))

    def bars(
        self, before: pl.DataFrame, elsewhere: pl.DataFrame, delivered: pl.DataFrame
    ) -> pl.DataFrame:
        """Return the bars of files to answer from.

        A total-return close is restated with each dividend: that is no news of the bar. The one
        that the file has now stands beside the bar that the file has now, and beside no other
        version of it, so that its steps are of one piece.

        Parameters
        ----------
        before
            Rows of these files in the import before.
        elsewhere
            What other files told of bars of which these have told nothing, each under the file that
            tells it now.
        delivered
            Rows of the files now.
        """
        told = before.filter(self.past).drop(BESIDE_BARS, strict=False)
        heard = pl.concat([told, elsewhere.select(told.columns)])
        news = self._news(heard, delivered, FILE_KEY, BESIDE_BARS)
        if "adjusted" in delivered.columns:
            said = [name for name in told.columns if name not in (*_KNOWN, "import")]
            restated = delivered.select(*said, *BESIDE_BARS).unique(said, keep="last")
            told = told.join(restated, on=said, how="left", nulls_equal=True, maintain_order="left")
        return pl.concat([told, news], how="diagonal")

    def ends(self, told: pl.DataFrame) -> pl.DataFrame:
        """Return ``security_id`` and ``session`` of the first end of each security."""
        return (
            told.filter(self.past, _is_end())
            .sort("known_at", "session")
            .unique("security_id", keep="first", maintain_order=True)
            .select("security_id", "session")
        )

    def withdrawn(self, told: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
        """Find actions that were told and that the files do not tell any more.

        Who left by a delisting has left, though the files date it otherwise or call it a merger
        now; a rename is a matter of ids.

        Returns
        -------
        polars.DataFrame
            Columns of `WITHDRAWN`. ``becomes`` is ``undone`` if the files tell actions of before
            and after it, so that it was not just too old for them; ``stays`` if they do not;
            ``lost`` if so many of the former are gone that the file is to blame; ``end`` of a
            departure.
        """
        key = KEYS["actions"]
        left = delivered.filter(_is_end())
        renamed = pl.col("kind").cast(pl.String) == "rename"
        past = told.filter(self.past, ~renamed)
        gone = past.join(delivered, on=key, how="anti")
        gone = pl.concat(
            [
                gone.filter(~_is_end()),
                gone.filter(_is_end()).join(left, on="security_id", how="anti"),
            ]
        )
        first, last = delivered["session"].min(), delivered["session"].max()
        covered = pl.col("session").is_between(pl.lit(first), pl.lit(last)).fill_null(value=False)
        # What was told to pay nothing, or to divide nothing, may go.
        gone = (
            gone.sort("known_at")
            .unique(key, keep="last")
            .filter(_is_end() | (pl.col("value") != _nothing()))
            .with_columns(covered=covered)
        )
        undone = gone.filter(~_is_end(), "covered").height
        many = undone > max(_FEW_WITHDRAWN, _WITHDRAWN_SHARE * past.select(key).n_unique())
        becomes = pl.when(_is_end()).then(pl.lit("end")).when(~pl.col("covered"))
        return (
            gone.with_columns(
                becomes=becomes.then(pl.lit("stays")).otherwise(
                    pl.lit("lost" if many else "undone")
                )
            )
            .select(pl.col(name).cast(dtype) for name, dtype in WITHDRAWN.items())
            .sort(key)
        )

    def undone(self, told: pl.DataFrame, withdrawn: pl.DataFrame) -> pl.DataFrame:
        """Return the versions that take actions back: nothing was paid, nothing was divided.

        Every reader takes a later version as the step from the one before, so that what was booked
        of the first is booked back.

        Parameters
        ----------
        told
            Actions of the import before.
        withdrawn
            Columns of `WITHDRAWN`.
        """
        back = withdrawn.filter(becomes="undone").with_columns(
            pl.col("kind").cast(told.schema["kind"])
        )
        key = KEYS["actions"]
        return (
            told.filter(self.past)
            .sort("known_at")
            .unique(key, keep="last", maintain_order=True)
            .join(back, on=key, how="semi", maintain_order="left")
            .with_columns(
                value=_nothing(),
                known_at=pl.lit(self.now).cast(told.schema["known_at"]),
                known_at_basis=pl.lit("observed", KNOWN_AT_BASIS),
            )
        )

    def described(
        self, told: pl.DataFrame, delivered: pl.DataFrame, only_bars: pl.DataFrame
    ) -> tuple[pl.DataFrame, int]:
        """Keep what listings told of symbols of which only bars tell now.

        A file of listings that has lost lines would degrade names and sectors to the symbol and to
        nothing, which nobody said.

        Parameters
        ----------
        told, delivered
            Securities of the import before, and of the files now.
        only_bars
            ``security_id`` of those that no listing tells of.

        Returns
        -------
        tuple
            The rows, and how many securities were described better before.
        """
        key = ["security_id"]
        newest = (
            told.filter(self.past)
            .sort("known_at")
            .unique(key, keep="last")
            .join(only_bars, on=key, how="semi")
            .select(*key, *_DESCRIBING)
        )
        bare = delivered.select(*key, *_DESCRIBING).unique(key, keep="last")
        better = newest.join(bare, on=[*key, *_DESCRIBING], how="anti", nulls_equal=True)
        if not better.height:
            return delivered, 0
        before = {name: f"{name}_told" for name in _DESCRIBING}
        known = better.rename(before).with_columns(kept=pl.lit(value=True))
        rows = delivered.join(known, on=key, how="left", maintain_order="left").with_columns(
            pl.when("kept").then(was).otherwise(name).alias(name) for name, was in before.items()
        )
        return rows.select(delivered.columns), better.height

    def ended(self, told: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
        """End stays that were told and that the files do not tell any more.

        The last day is that of the last session taken in: so long it was told. An index of which
        the files tell nothing stays as it was told.
        """
        key = KEYS["membership"]
        newest = pl.col("known_at") == pl.col("known_at").max().over(key)
        day = pl.lit(self.told_until.date())
        return (
            told.filter(self.past)
            .filter(newest)
            .filter(pl.col("valid_to").is_null())
            .join(delivered, on="index", how="semi")
            .join(delivered, on=key, how="anti")
            .with_columns(
                valid_to=pl.max_horizontal("valid_from", day),
                known_at=pl.lit(self.now).cast(told.schema["known_at"]),
                known_at_basis=pl.lit("observed", KNOWN_AT_BASIS),
            )
        )

    def _news(
        self,
        heard: pl.DataFrame,
        delivered: pl.DataFrame,
        key: Sequence[str],
        ignored: Collection[str] = (),
    ) -> pl.DataFrame:
        """Rows that say something else than what was told, and those of later sessions."""
        said = [name for name in delivered.columns if name not in (*_KNOWN, "import", *ignored)]
        newest = pl.col("known_at") == pl.col("known_at").max().over(key)
        # Who says something of the time since has not been silent on what was before.
        says = delivered.filter(pl.col("known_at") <= self.now).filter(newest).filter(self.past)
        latest = heard.filter(newest)
        # Two rows under one key are neither of them believed: one alone is news then.
        differing = pl.concat(
            [
                says.join(latest, on=said, how="anti", nulls_equal=True).select(key),
                latest.join(says, on=said, how="anti", nulls_equal=True).select(key),
            ]
        )
        fresh = says.join(
            differing.unique(), on=list(key), how="semi", nulls_equal=True, maintain_order="left"
        ).with_columns(
            known_at=pl.lit(self.now).cast(delivered.schema["known_at"]),
            known_at_basis=pl.lit("observed", KNOWN_AT_BASIS),
        )
        return pl.concat([fresh, delivered.filter(~self.past)])


def _is_end() -> pl.Expr:
    """Whether an action ends a security."""
    return pl.col("kind").cast(pl.String).is_in(["delisting", "merger"])


def _nothing() -> pl.Expr:
    """Value of an action of its kind that changes nothing."""
    return pl.when(pl.col("kind").cast(pl.String).is_in(_DIVIDING)).then(1.0).otherwise(0.0)
