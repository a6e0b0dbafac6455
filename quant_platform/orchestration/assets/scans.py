"""Scans of a sleeve: cross-section, ``screener``, ``scan_<name>`` s, ``candidates``, audits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import dagster as dg

from quant_platform.orchestration.assets.context import SleeveContext
from quant_platform.orchestration.assets.features import family_shown
from quant_platform.orchestration.stage import Stage, Stored
from quant_platform.reports.candidates import candidates_markdown
from quant_platform.scanners.candidates import candidates_windows, unite
from quant_platform.scanners.cross_section import (
    cross_section_moments,
    cross_section_windows,
    moments_windows,
    rank_securities,
)
from quant_platform.scanners.engine import scan, scan_windows
from quant_platform.scanners.liquidity_audit import audit_liquidity, liquidity_audit_windows
from quant_platform.scanners.overlap import overlap_of_scanners, overlap_windows
from quant_platform.scanners.screener import screen, screener_windows

GROUP = "scans"


def scan_stages(sleeve: SleeveContext) -> list[Stage]:
    """Stages of a sleeve's scans, upstream first."""
    names = tuple(sleeve.scanners)
    # Only funds have facts: in another sleeve there is no such table.
    facts = sleeve.source.kinds if "etf" in sleeve.sleeve.asset_classes else frozenset()
    ranking = sleeve.sleeve.cross_section
    return [
        sleeve.decided(
            "cross_section",
            function=rank_securities,
            settings=ranking,
            description="Every security of the universe beside the others of its session: z-scores "
            "and percentiles of the ranked features, composite score and rank, and who passes the "
            "hard floors.",
            group=GROUP,
            shown=family_shown,
            windows=sleeve.windows(cross_section_windows()),
        ),
        sleeve.decided(
            "cross_section_moments",
            function=cross_section_moments,
            settings=ranking,
            description="Mean, deviation and percentiles of each ranked feature over the "
            "securities of a session.",
            group=GROUP,
            windows=sleeve.windows(moments_windows()),
        ),
        sleeve.decided(
            "screener",
            function=screen,
            description="What scanners look at: every listed security with a bar on the session, "
            "in the names that users of screeners know.",
            group=GROUP,
            windows=sleeve.windows(screener_windows(facts)),
        ),
        *(
            sleeve.decided(
                f"scan_{name}",
                function=scan,
                settings=manifest,
                description=f"{manifest.description} Every security it looked at, with each rule, "
                "the value tested and the threshold.".strip(),
                group=GROUP,
                windows=sleeve.windows(scan_windows(manifest)),
            )
            for name, manifest in sleeve.scanners.items()
        ),
        sleeve.decided(
            "candidates",
            function=unite,
            settings=names,
            description="Securities that at least one scanner passed.",
            group=GROUP,
            windows=sleeve.windows(candidates_windows(names)),
            shown=partial(
                candidates_shown,
                scanners=names,
                low_traded=sleeve.sleeve.liquidity_audit.value_traded_below,
            ),
        ),
        *([_overlap_stage(sleeve)] if len(names) > 1 else []),
        *([_liquidity_stage(sleeve)] if "etf" in sleeve.sleeve.asset_classes else []),
    ]


def candidates_shown(
    stored: Stored, scanners: Sequence[str], low_traded: float
) -> dict[str, dg.MetadataValue]:
    """Show the newest session of a run in the UI: funnel, overlap, top picks, warnings."""
    if not stored.sessions:
        return {}
    candidates = stored.tables["candidates"]
    described = candidates_markdown(
        max(stored.sessions),
        candidates,
        stored.frames["screener"],
        {name: stored.frames[f"scan_{name}"] for name in scanners},
        overlap=overlap_of_scanners({"candidates": candidates.lazy()}, None, stored.wanted),
        low_traded=low_traded,
    )
    return {"candidates": dg.MetadataValue.md(described)} if described else {}


def _overlap_stage(sleeve: SleeveContext) -> Stage:
    """Stage of what two scanners both found; a sleeve with one scanner has none."""
    return sleeve.decided(
        "scan_overlap",
        function=overlap_of_scanners,
        description="Of each two scanners, how much of what they found is the same; more than half "
        "is reported.",
        group=GROUP,
        windows=sleeve.windows(overlap_windows()),
    )


def _liquidity_stage(sleeve: SleeveContext) -> Stage:
    """Stage of what trading thin funds costs."""
    return sleeve.decided(
        "scan_liquidity_audit",
        function=audit_liquidity,
        settings=sleeve.sleeve.liquidity_audit,
        description="Funds of the screener that are traded thinly: place by Amihud among them, "
        "sessions without volume, cost of the median order, and whether each is within its limits.",
        group=GROUP,
        windows=sleeve.windows(liquidity_audit_windows()),
    )
