"""Winners: who of the candidates is selected, and by which stage.

1. *Strict.* Of those that no veto stopped, of each economic identity the plainest member is kept,
   of equally plain ones the one with the best score; of each cluster the best N in each direction;
   of all of them the best ``winners_max``. N is smaller where a cluster's members move together,
   if the settings say so.
2. As long as there are fewer than ``winners_floor``, one winner after another is added, best score
   first:

   - *relaxed*: from those that only the limits of predictability stopped, and that pass when these
     are relaxed; N still holds;
   - *representative*: for each cluster and direction without a winner, its best candidate, if it is
     not all noise: its entropy is below the relaxed limit;
   - *fill*: the others in the order of their scores, those that no veto stopped first.

   None of these goes past a *final* veto, none takes an identity that has won already, and none
   the place of a plainer member of its identity that no veto stopped.

Each winner says which stage admitted it. One that a veto stopped is a winner past a veto: it did
not pass, and ``passed`` says so.
"""

from __future__ import annotations

import polars as pl

from quant_platform.lakehouse.contracts.selection import STAGES
from quant_platform.settings.selection import SelectionSettings

_CLUSTER = ("cluster", "direction")
_IDENTITY = "identity"


def chosen(rows: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """Choose the winners of one session.

    Parameters
    ----------
    rows
        Candidates, best score first, equals by security: ``security_id``, ``cluster``,
        ``direction``, ``identity``, ``geared`` (how far its leverage is from 1), ``most`` (N of its
        cluster), ``score``, ``passed`` (no veto fired), ``barred`` (a final veto fired, or there is
        no score), ``passed_relaxed``, ``heard`` (not all noise).
    settings
        Largest and smallest number of winners.

    Returns
    -------
    polars.DataFrame
        The rows with ``identity_place``, ``cluster_place`` and ``overall_place``, each of those
        that the cut before let through, null of others; and ``admitted``.
    """
    placed = _placed(rows.with_columns(place=pl.int_range(pl.len())))
    won = pl.col("overall_place") <= settings.winners_max
    placed = placed.with_columns(admitted=pl.when(won).then(pl.lit(STAGES[0])))
    for stage in STAGES[1:]:
        placed = _admitted(placed, stage, settings)
    return placed.drop("place")


def most_of_cluster(correlation: float | None, settings: SelectionSettings) -> int:
    """How many of a cluster win.

    Parameters
    ----------
    correlation
        Mean correlation of its members with each other; None of one member.
    settings
        N, and whether it shrinks.
    """
    size = settings.top_n_per_cluster
    if not settings.dynamic_selection or correlation is None:
        return size
    return max(1, round(size * (1 - correlation) + 0.5))


def _placed(rows: pl.DataFrame) -> pl.DataFrame:
    """Places of those that pass, cut by cut."""
    passed, size = pl.col("passed"), pl.col("most")
    kept = passed & (pl.col("identity_place") == 1)
    inside = kept & (pl.col("cluster_place") <= size)
    return (
        rows.sort("geared", "place")
        .with_columns(identity_place=pl.when(passed).then(passed.cum_sum().over(_IDENTITY)))
        .sort("place")
        .with_columns(cluster_place=pl.when(kept).then(kept.cum_sum().over(_CLUSTER)))
        .with_columns(overall_place=pl.when(inside).then(inside.cum_sum()))
    )


def _admitted(rows: pl.DataFrame, stage: str, settings: SelectionSettings) -> pl.DataFrame:
    """Let a stage of the relaxation add winners until there are enough."""
    won = pl.col("admitted").is_not_null()
    lacking = settings.winners_floor - rows["admitted"].count()
    if lacking <= 0:
        return rows
    # Whom no veto stopped was cut; a less plain member of its identity is not let in for it.
    plainest = pl.when("passed").then("geared").min().over(_IDENTITY)
    outdone = (pl.col("geared") > plainest).fill_null(value=False)
    open_to = ~won & ~pl.col("barred") & ~won.any().over(_IDENTITY) & ~outdone
    order = ["place"]
    if stage == "relaxed":
        open_to &= pl.col("passed_relaxed") & ~pl.col("passed")
    elif stage == "representative":
        open_to &= ~won.any().over(_CLUSTER) & pl.col("heard")
    else:
        order = ["stopped", "place"]
    asked = rows.with_columns(
        open_to=open_to, stopped=~pl.col("passed"), held=won.sum().over(_CLUSTER)
    )
    # Of an identity the plain member stands for the others, as among those that pass.
    first = pl.col("open_to") & (pl.col("open_to").cum_sum().over(_IDENTITY) == 1)
    asked = asked.sort(*(["stopped"] if stage == "fill" else []), "geared", "place").with_columns(
        open_to=first
    )
    asked = asked.sort(order)
    inside = pl.col("open_to")
    if stage == "relaxed":
        inside &= pl.col("held") + inside.cum_sum().over(_CLUSTER) <= pl.col("most")
    elif stage == "representative":
        inside &= inside.cum_sum().over(_CLUSTER) == 1
    return (
        asked.with_columns(added=inside)
        .with_columns(
            admitted=pl.when(pl.col("added") & (pl.col("added").cum_sum() <= lacking))
            .then(pl.lit(stage))
            .otherwise("admitted")
        )
        .sort("place")
        .drop("open_to", "stopped", "held", "added")
    )
