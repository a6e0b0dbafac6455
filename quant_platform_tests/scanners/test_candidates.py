"""The union of scans: each security once, with the scanners that found it."""

from __future__ import annotations

from datetime import date

import polars as pl

from quant_platform.lakehouse.contracts.candidates import CANDIDATES, RANKS
from quant_platform.lakehouse.contracts.cross_section import CROSS_SECTION
from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.scanners.candidates import candidates_windows, unite
from quant_platform_tests.lakehouse.small_lake import SESSIONS, span
from quant_platform_tests.scanners.manifests import row, screener

DAYS = SESSIONS[:3]
LISTED = screener(
    row(name, day, sector=f"sector {name}", symbol=f"NYSE:{name.upper()}{number}")
    for number, day in enumerate(DAYS)
    for name in "abc"
)

RANKED = pl.concat(
    [
        CROSS_SECTION.empty(),
        pl.DataFrame(
            {
                "session": [DAYS[0], DAYS[2]],
                "security_id": ["b", "a"],
                "trend_score_zscore": [1.5, None],
                "composite_score": [0.6, None],
                "composite_rank": [0.25, None],
                "rank_basis": ["relative", "absolute"],
            }
        ).with_columns(
            pl.col("trend_score_zscore").cast(pl.Float32),
            pl.col("rank_basis").cast(CROSS_SECTION.columns["rank_basis"].dtype),
        ),
    ],
    how="diagonal",
)


def found(scanner: str, *rows: tuple[date, str, bool]) -> pl.DataFrame:
    """Rows of one scan: session, security, whether it passed."""
    columns = ["session", "security_id", "passed"]
    made = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        scanner=pl.lit(scanner), symbol=pl.lit("NYSE:OLD"), passes=pl.lit([])
    )
    return pl.concat([SCAN.empty(), made], how="diagonal_relaxed")


def run(first: date, last: date, **scans: pl.DataFrame) -> pl.DataFrame:
    wanted = span(first, last)
    tables = {f"scan_{name}": frame for name, frame in scans.items()}
    tables |= {"screener": LISTED, "cross_section": RANKED}
    names = sorted(scans, reverse=True)
    assert set(candidates_windows(names)) == set(tables)
    frames = {
        name: tables[window.table].filter(pl.col("session").is_in(wanted.loaded(window))).lazy()
        for name, window in candidates_windows(names).items()
    }
    return CANDIDATES.validate("x/candidates", unite(frames, names, wanted))


SCANS = {
    "rise": found("rise", (DAYS[0], "b", True), (DAYS[0], "c", False), (DAYS[2], "a", True)),
    "dip": found("dip", (DAYS[0], "a", True), (DAYS[0], "b", True), (DAYS[2], "a", False)),
}


def test_each_security_is_there_once_with_its_scanners_in_order() -> None:
    made = run(DAYS[0], DAYS[2], **SCANS)
    assert made.select("session", "security_id", "scanners").rows() == [
        (DAYS[0], "a", ["dip"]),
        (DAYS[0], "b", ["dip", "rise"]),
        (DAYS[2], "a", ["rise"]),
    ]
    assert made["symbol"].to_list() == ["NYSE:A0", "NYSE:B0", "NYSE:A2"]
    assert made["sector"].to_list() == ["sector a", "sector b", "sector a"]
    assert made["asset_class"].to_list() == ["stock"] * 3


def test_a_range_is_its_days() -> None:
    days = [run(day, day, **SCANS) for day in DAYS]
    assert pl.concat(days).equals(run(DAYS[0], DAYS[2], **SCANS))


def test_scanners_that_find_nothing_leave_no_candidates() -> None:
    nothing = found("rise", (DAYS[0], "a", False))
    assert run(DAYS[0], DAYS[2], rise=nothing, dip=SCAN.empty()).equals(CANDIDATES.empty())


def test_what_later_sessions_found_changes_nothing() -> None:
    later = found("more", (DAYS[2], "a", True), (DAYS[2], "b", True), (DAYS[1], "c", True))
    made = run(DAYS[0], DAYS[2], **SCANS, more=later)
    first = pl.col("session") == DAYS[0]
    assert made.filter(first).equals(run(DAYS[0], DAYS[0], **SCANS))


def test_a_candidate_has_its_rank_and_none_where_there_is_none() -> None:
    made = run(DAYS[0], DAYS[2], **SCANS)
    ranks = made.select("trend_score_zscore", "composite_rank", "rank_basis").rows()
    assert ranks == [(None, None, None), (1.5, 0.25, "relative"), (None, None, "absolute")]


def test_candidates_of_version_1_are_read_without_ranks() -> None:
    made = run(DAYS[0], DAYS[2], **SCANS)
    read = CANDIDATES.upgrades[1](made.drop(RANKS).lazy()).collect()
    assert CANDIDATES.validate("x/candidates", read).drop(RANKS).equals(made.drop(RANKS))
    assert read.select(pl.all_horizontal(pl.col(RANKS).is_null().all())).item()
