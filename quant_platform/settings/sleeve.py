"""The settings of one sleeve: one file of ``assets_config/sleeves/``, one branch of the graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.base import (
    CalendarCode,
    Identifier,
    SettingsModel,
    described,
    refuse,
)
from quant_platform.settings.clusters import ClusterSettings
from quant_platform.settings.cross_section import CrossSectionSettings
from quant_platform.settings.hygiene import HygieneSettings
from quant_platform.settings.liquidity_audit import LiquidityAuditSettings
from quant_platform.settings.portfolio import CostSettings, ProfilesSettings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.risk_features import SleeveBenchmark
from quant_platform.settings.scanner import ScannerNames
from quant_platform.settings.selection import SelectionSettings
from quant_platform.settings.universe import UniverseSettings
from quant_platform.settings.wording import plain

SourceKind = Literal[
    "bars",
    "second_bars",
    "securities",
    "actions",
    "earnings",
    "membership",
    "fund_facts",
    "series",
    "screener",
]
SECOND_KIND: SourceKind = "second_bars"
"""Not what a sleeve decides on: another source's bars, which its own are compared with."""
SHARED_KIND: SourceKind = "series"
"""Not a sleeve's own: one sleeve at most says where ``market/series`` comes from."""
LIVE_KIND: SourceKind = "screener"
"""Not history: what a vendor says of tonight, which only a snapshot at its time can tell."""
SourceName = Literal["simulated", "files", "tradingview"]
LIVE_SOURCE: SourceName = "tradingview"
"""The source of snapshots, and of nothing else."""

# Key prefixes of the shared branches; a sleeve of that name would mix its tables with theirs.
RESERVED_NAMES = frozenset(
    {"market", "meta", "execution", "research", "reports", "checks", "ledger", "quarantine"}
)
META_PREFIX = "meta_"
"""Beginning of the names of all metas but the one that is called ``meta``."""


def _no_future_yet(value: object) -> object:
    if value == "future":
        raise refuse(
            "CME futures come later: the contracts reserve asset_class future, multiplier, "
            "expiry and roll, but no sleeve can hold one yet"
        )
    return value


def _no_tactical_yet(value: object) -> object:
    if value == "tactical":
        raise refuse(
            "a tactical sleeve comes later, with the trade engine", expected="kind: rebalanced"
        )
    return value


def _distinct(classes: tuple[AssetClass, ...]) -> tuple[AssetClass, ...]:
    if len(set(classes)) != len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise refuse(f"{twice} is listed twice", expected="each asset class once")
    return tuple(sorted(classes))


def _free_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise refuse(
            f"the name {name} is taken by a shared branch of the graph",
            expected="another name",
            mend="rename the file",
        )
    if name.startswith(META_PREFIX):
        raise refuse(
            f"the name {plain(name)} begins as those of metas do",
            expected=f"a name that does not begin with {META_PREFIX}",
            mend="rename the file",
        )
    return name


class FilesSettings(SettingsModel):
    """The folder that the source ``files`` was imported from."""

    folder: str = described(
        "Folder of the files, relative to the project or absolute.",
        outside_hash=True,
        min_length=1,
    )
    mapping: str | None = described(
        "Mapping file, relative to the project or absolute; none for the documented layout.", None
    )


def _with_bars(sources: dict[SourceKind, SourceName]) -> dict[SourceKind, SourceName]:
    if "bars" not in sources:
        raise refuse("sources has no bars", expected="a source of bars; other kinds follow it")
    second = sources.get(SECOND_KIND)
    if second != "files" and second in ("simulated", sources["bars"]):
        raise refuse(
            f"{SECOND_KIND} comes from {second} and bars from {sources['bars']}",
            expected="another source than that of bars, and none that is invented; files may be "
            "both, because each has a folder of its own",
            mend=f"name another one, or take {SECOND_KIND} out: nothing is compared then",
        )
    for kind, name in sources.items():
        if (kind == LIVE_KIND) != (name == LIVE_SOURCE):
            raise refuse(
                f"{kind} comes from {name}",
                expected=f"{LIVE_KIND} from {LIVE_SOURCE}, which has nothing else, or no "
                f"{LIVE_KIND}: it is made from the features then",
            )
    return sources


class SleeveSettings(SettingsModel):
    """Everything in one file of ``assets_config/sleeves/``."""

    name: Annotated[Identifier, AfterValidator(_free_name)] = described(
        "The sleeve's name and the prefix of its asset keys: the file's name without .yaml. "
        "May be left out; if it is given it must say the same."
    )
    description: str = described("A sentence for the reader of the graph.", "", outside_hash=True)
    kind: Annotated[Literal["rebalanced"], BeforeValidator(_no_tactical_yet)] = described(
        "How the sleeve decides: rebalanced takes new weights on the rebalance grid.",
        "rebalanced",
    )
    calendar: CalendarCode = described(
        "Calendar whose sessions partition the sleeve's tables; it must be one of the calendars "
        "in platform.yaml.",
        unit="a code of exchange_calendars, such as XNYS or 24/7",
    )
    asset_classes: Annotated[
        tuple[Annotated[AssetClass, BeforeValidator(_no_future_yet)], ...],
        Field(strict=False, min_length=1),
        AfterValidator(_distinct),
    ] = described("What the sleeve may hold.")
    sources: Annotated[dict[SourceKind, SourceName], AfterValidator(_with_bars)] = described(
        "By kind of data: the source that delivers it. simulated is the embedded market, files is "
        "what 'quant import' took in. A kind that is not named comes from the source of bars, if "
        "that has it; but second_bars, with which the bars are compared and nothing else is done, "
        "come from nowhere then. series are shared by all sleeves: one of them may name their "
        "source, without "
        "that they are the embedded market's where a sleeve stands on it. screener may come from "
        "tradingview: a session of which a snapshot was taken in time has its values then, every "
        "other those of the features.",
        {"bars": "simulated"},
    )
    files: FilesSettings | None = described(
        "Where the source files was imported from; 'quant import' writes it.", None
    )
    second_files: FilesSettings | None = described(
        "Where second_bars were imported from, if they are files: another folder than that of "
        "files, taken in by 'quant import --second'.",
        None,
    )
    symbols: Annotated[int, Field(ge=1, le=10_000)] | None = described(
        "How many symbols the embedded market lists in this sleeve; without it "
        "embedded_market.symbols_per_sleeve of platform.yaml.",
        None,
        unit="symbols",
    )
    scanners: ScannerNames = described(
        "Scanners whose finds are the sleeve's candidates: names of files in "
        "assets_config/scanners/, in the folder of an asset class that the sleeve holds."
    )
    benchmark: SleeveBenchmark | None = described(
        "The security to which the sleeve's betas are; without it there is no features_beta.", None
    )
    returns: ReturnsSettings = described(
        "How bars become returns, and at which price an order fills.", ReturnsSettings()
    )
    hygiene: HygieneSettings = described(
        "How the sleeve's market data are looked over.", HygieneSettings()
    )
    universe: UniverseSettings = described(
        "Who of those listed may be looked at.", UniverseSettings()
    )
    cross_section: CrossSectionSettings = described(
        "How the securities of a session are ranked.", CrossSectionSettings()
    )
    liquidity_audit: LiquidityAuditSettings = described(
        "How thinly traded funds are looked over, in a sleeve that holds funds.",
        LiquidityAuditSettings(),
    )
    clusters: ClusterSettings = described(
        "Which candidates of a rebalance session are one bet.", ClusterSettings()
    )
    selection: SelectionSettings = described(
        "How a rebalance session chooses among the candidates.", SelectionSettings()
    )
    portfolio: ProfilesSettings = described(
        "The tournament of risk profiles over what was selected.", ProfilesSettings()
    )
    costs: CostSettings = described("What the sleeve's trades cost.", CostSettings())
