"""What a quality report says of the shape of a folder: files nobody reads, names nobody lists.

Rows that no bar belongs to, files that no reading takes and files that end in the midst of a line
are no errors of a row. They vanish without a word, if nobody counts them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from quant_platform.market.import_findings import Finding
from quant_platform.sources.files import Manifest
from quant_platform.sources.files.convert import Reference

_NAMED = 5


def of_unread(unread: Sequence[str]) -> Iterator[Finding]:
    """Tell of files that look like data and that no reading takes.

    Parameters
    ----------
    unread
        Their paths below the folder.
    """
    if unread:
        yield Finding(
            "warning",
            "files that are not read",
            len(unread),
            f"{_some(unread)}: CSV, TXT and Parquet are, where the layout or the mapping expects "
            "them",
        )


def of_unended(manifest: Manifest, bars: pl.LazyFrame) -> Iterator[Finding]:
    """Tell of files that end without a line break.

    Some programs write none at the end of any file. One of many that has none, and ends before the
    others do, was cut off.

    Parameters
    ----------
    manifest
        What is imported.
    bars
        Its bars.
    """
    unended = [entry.file for entry in manifest.bars if not entry.ended]
    if not unended:
        return
    cut: list[str] = []
    if 2 * len(unended) <= len(manifest.bars):
        lasts = bars.group_by("file").agg(pl.col("session").max()).collect()
        newest = lasts["session"].max()
        early = lasts.filter(pl.col("session") < pl.lit(newest), pl.col("file").is_in(unended))
        cut = early["file"].sort().to_list()
    if cut:
        yield Finding(
            "refused",
            "files that were cut off",
            len(cut),
            f"{_some(cut)}: without the line break at the end that others have, and before their "
            "newest session",
        )
    elif unended:
        yield Finding(
            "note", "files without a last line break", len(unended), "whole as far as can be seen"
        )


def of_classes(securities: pl.DataFrame, asset_classes: Collection[str]) -> Iterator[Finding]:
    """Tell of securities of a class that the sleeve does not hold.

    Parameters
    ----------
    securities
        What the listings come to.
    asset_classes
        What the sleeve may hold; empty where no sleeve is named.
    """
    if not asset_classes:
        return
    named = securities.select("security_id", pl.col("asset_class").cast(pl.String)).unique()
    others = named.filter(pl.col("asset_class").is_in(sorted(asset_classes)).not_())
    if others.height:
        _, found = others.sort("security_id").row(0)
        yield Finding(
            "refused",
            "securities of another asset class",
            others["security_id"].n_unique(),
            f"{_some(others['security_id'].unique().sort().to_list())} are {found!r}, the sleeve "
            f"holds {', '.join(asset_classes)}: correct asset_class in the mapping file or in "
            "listings, or name another sleeve",
        )


def of_undescribed(undescribed: int) -> Iterator[Finding]:
    """Tell of securities that listings described and describe no more.

    Parameters
    ----------
    undescribed
        How many they are.
    """
    if undescribed:
        yield Finding(
            "warning",
            "securities that the listings have lost",
            undescribed,
            "what they told of them stays: if the file was cut short, fetch it again",
        )


def of_unheard(reference: Reference, bars: pl.LazyFrame) -> Iterator[Finding]:
    """Tell of rows about securities that have no bar, which nothing can be made of.

    Parameters
    ----------
    reference
        Everything but the bars.
    bars
        The bars.
    """
    traded = bars.select("symbol").unique().collect()
    ids = reference.who.ids.join(traded, on="symbol", how="semi")["security_id"]
    renames = reference.kinds["actions"].filter(pl.col("kind").cast(pl.String) == "rename")
    nowhere = renames.join(traded, left_on="counterpart", right_on="symbol", how="anti")
    if nowhere.height:
        yield Finding(
            "warning",
            "renames to a symbol without a bar",
            nowhere.height,
            f"{_some(nowhere['counterpart'].fill_null('none').sort().to_list())}: nothing is "
            "renamed",
        )
    for kind, what in (
        ("securities", "listings"),
        ("actions", "securities with actions and"),
        ("membership", "members"),
        ("earnings", "announcers"),
        ("fund_facts", "funds"),
    ):
        names = reference.kinds[kind]["security_id"].unique()
        lacking = names.filter(~names.is_in(ids.implode())).sort()
        if len(ids) and len(lacking):
            yield Finding(
                "warning",
                f"{what} without a bar",
                len(lacking),
                f"of {len(names)}: {_some(lacking.to_list())}; nothing is made of them",
            )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
