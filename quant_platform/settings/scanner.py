"""The settings of one scanner, and of the presets that it stands on.

A scanner is a file of ``assets_config/scanners/<asset class>/``; a preset one of
``assets_config/presets/<asset class>/``. The file's name is its name, its folder the asset class.
``base_preset`` names what it stands on: universe, hygiene, template, strategy, scanner, each over
the one before (`settings.presets`). A sleeve takes the scanners that its own file lists.

A threshold has the unit of its screener column: returns are fractions (0.02 is 2 %), slopes are
percent, value traded is money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.base import Identifier, SettingsModel, described, refuse
from quant_platform.settings.scan_blocks import (
    BoundsSettings,
    PredictabilitySettings,
    ScreensSettings,
    TrendSettings,
    VolatilitySettings,
    VolumeSettings,
)
from quant_platform.settings.scan_filters import (
    AnyField,
    FilterSettings,
    NumberField,
    Symbols,
    each_once,
    filters_of,
    known_number,
    names_of,
)
from quant_platform.settings.scan_rules import (
    NameRule,
    Rule,
    refuse_contradictions,
)
from quant_platform.settings.screener_fields import MARKETS, NUMBERS, QUOTES

COMPOSITE = "Momentum.Composite"
"""What a final sort is called that is by ``momentum_composite_fields``."""
SortOrder = Literal["desc", "asc"]
Market = Literal["america", "crypto"]
Layer = Literal["universe", "hygiene", "template", "strategy"]
LAYERS: tuple[Layer, ...] = ("universe", "hygiene", "template", "strategy")
"""Layers of presets, lowest first."""

_FINAL = (*NUMBERS, COMPOSITE)


def _final(name: object) -> object:
    return name if name == COMPOSITE else known_number(name)


FinalField = Annotated[
    str, BeforeValidator(_final), WithJsonSchema({"type": "string", "enum": list(_FINAL)})
]

ScannerNames = Annotated[
    tuple[Identifier, ...], Field(strict=False, min_length=1), AfterValidator(each_once("scanner"))
]
"""The scanners of a sleeve by name, sorted: the type of ``scanners`` in a sleeve's file."""


RESERVED_NAMES = frozenset({"liquidity_audit", "overlap"})
"""Tables of a sleeve that tell of its scanners together: ``scan_overlap``, for one."""


class ManifestSettings(SettingsModel):
    """What a scanner and a preset may say."""

    name: Identifier = described(
        "Its name: the file's name without .yaml. May be left out; if it is given it must say the "
        "same."
    )
    asset_class: AssetClass = described(
        "What it looks at: the folder's name. May be left out; if it is given it must say the same."
    )
    description: str = described("What it is meant to find.", "", outside_hash=True)
    base_preset: Identifier | None = described(
        "Preset of the same asset class whose values hold where this file says nothing.", None
    )
    research: bool = described(
        "Only for looking: no sleeve may take it, so that it never reaches weights.", False
    )
    markets: Annotated[
        tuple[Market, ...], Field(strict=False), AfterValidator(each_once("market"))
    ] = described("Markets that are looked at; none given: all.", ())
    exchanges: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")], ...],
        Field(strict=False),
        AfterValidator(each_once("exchange")),
    ] = described("Exchanges that are looked at; none given: all.", ())
    types: Annotated[
        tuple[Literal["stock", "fund", "spot", "swap"], ...],
        Field(strict=False),
        AfterValidator(each_once("type")),
    ] = described("Kinds of instruments that are looked at; none given: all.", ())
    symbols: Symbols = described("The only symbols that are looked at; none given: all.", ())
    include_symbols: Symbols = described(
        "Symbols that are looked at whatever market, exchange, names and first cut say.", ()
    )
    exclude_symbols: Symbols = described("Symbols that never pass, as EXCHANGE:TICKER.", ())
    ensure_symbols: Symbols = described(
        "Symbols that are found whatever the rules say; the audit keeps what they failed.", ()
    )
    quotes: Annotated[
        tuple[str, ...], Field(strict=False), AfterValidator(each_once("quote currency"))
    ] = described("Currencies that a pair may be quoted in; none given: all.", ())
    exclude_stable_bases: bool = described(
        "Whether pairs of two currencies that are both money are left out.", False
    )
    attach_perp_counterparts: bool = described(
        "Whether the perpetual of a pair that was found is found with it.", False
    )
    filters: Annotated[tuple[FilterSettings, ...], Field(strict=False)] = described(
        "Rules, in the order in which they are asked; all must pass.", ()
    )
    columns: Annotated[
        tuple[AnyField, ...], Field(strict=False), AfterValidator(each_once("column", ordered=True))
    ] = described("Columns that are shown beside what is found.", (), outside_hash=True)
    price: BoundsSettings | None = described("Bounds of the close.", None)
    market_cap: BoundsSettings | None = described("Bounds of the market capitalisation.", None)
    volatility: VolatilitySettings | None = described("How wild it may be.", None)
    volume: VolumeSettings | None = described("How much must be traded.", None)
    recent_perf: dict[NumberField, BoundsSettings] = described(
        "By column: bounds of recent returns.", {}
    )
    trend: TrendSettings | None = described("What is asked of the trend.", None)
    screens: ScreensSettings | None = described("Trends of several time frames.", None)
    predictability: PredictabilitySettings | None = described(
        "How predictable it must be, on rebalance sessions.", None
    )
    sort_by: NumberField = described(
        "First cut: the column that decides which securities reach the filters.", "Value.Traded"
    )
    sort_order: SortOrder = described("desc: the largest first; asc: the smallest.", "desc")
    prefilter_limit: int = described(
        "First cut: how many securities reach the filters.", 300, unit="symbols", ge=1, le=100_000
    )
    base_universe_limit: Annotated[int, Field(ge=1, le=100_000)] | None = described(
        "Second cut: how many of those that passed are ranked, in the order of the first cut.",
        None,
        unit="symbols",
    )
    momentum_composite_fields: Annotated[
        tuple[NumberField, ...], Field(strict=False), AfterValidator(each_once("column"))
    ] = described(
        "Columns whose mean z-score among those that passed is Momentum.Composite; who lacks one "
        "has none.",
        (),
    )
    final_sort_by: FinalField | None = described(
        "Last cut: the column by which those that passed are ranked, or Momentum.Composite.", None
    )
    final_sort_order: SortOrder = described("desc: the largest first; asc: the smallest.", "desc")
    limit: Annotated[int, Field(ge=1, le=100_000)] | None = described(
        "Last cut: how many are found at most.", None, unit="symbols"
    )
    metadata: dict[str, Any] = described(
        "Whatever a person or a program wants to note.", {}, outside_hash=True
    )

    @field_validator("quotes")
    @classmethod
    def _are_quotes(cls, quotes: tuple[str, ...]) -> tuple[str, ...]:
        for quote in quotes:
            if quote not in QUOTES:
                raise refuse(f"{quote} is no quote currency", expected=" or ".join(QUOTES))
        return quotes


class PresetSettings(ManifestSettings):
    """Everything in one file of ``assets_config/presets/<asset class>/``."""

    layer: Layer = described(
        "What kind of preset it is: a universe, what is asked of everything in it (hygiene), of "
        "the asset class (template), of one idea (strategy). It may stand on one of its own layer "
        "or of a lower one."
    )


class ScannerSettings(ManifestSettings):
    """Everything in one file of ``assets_config/scanners/<asset class>/``."""

    final_sort_by: FinalField = described(
        "Last cut: the column by which those that passed are ranked, or Momentum.Composite."
    )
    limit: int = described(
        "Last cut: how many are found at most.", unit="symbols", ge=1, le=100_000
    )

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise refuse(
                f"the name {name} is taken: scan_{name} is a table about all scanners",
                expected="another name",
                mend="rename the file",
            )
        return name

    @field_validator("filters")
    @classmethod
    def _agree(cls, filters: tuple[FilterSettings, ...]) -> tuple[FilterSettings, ...]:
        refuse_contradictions(filters_of(filters))
        return filters

    @field_validator("limit")
    @classmethod
    def _fits(cls, limit: int, info: ValidationInfo) -> int:
        for key in ("prefilter_limit", "base_universe_limit"):
            reached = info.data.get(key)
            if reached is not None and limit > reached:
                raise refuse(
                    f"{limit} are to be found of the {reached} that {key} lets through",
                    expected=f"at most {reached}",
                    mend=f"lower limit or raise {key}",
                )
        return limit

    @model_validator(mode="after")
    def _asks_something(self) -> ScannerSettings:
        rules = rules_of(self)
        if not rules and not self.symbols:
            raise refuse(
                "filters: an empty list, and nothing else is asked",
                expected="at least one rule",
                mend="add filters, volume, trend or another block",
            )
        refuse_contradictions(rules)
        both = {*self.exclude_symbols} & {*self.ensure_symbols, *self.include_symbols}
        if both:
            raise refuse(
                f"exclude_symbols: {min(both)} is excluded and asked for",
                expected="each symbol on one side",
            )
        if (self.final_sort_by == COMPOSITE) != bool(self.momentum_composite_fields):
            raise refuse(
                f"final_sort_by: {self.final_sort_by} with "
                f"{len(self.momentum_composite_fields)} momentum_composite_fields",
                expected=f"{COMPOSITE} and its fields, or neither",
            )
        return self


def rules_of(scanner: ManifestSettings) -> Sequence[Rule]:
    """List the comparisons of a manifest, in the order in which they are asked."""
    rules = filters_of(scanner.filters)
    if scanner.price is not None:
        rules += scanner.price.rules("close")
    if scanner.market_cap is not None:
        rules += scanner.market_cap.rules("market_cap_basic")
    if scanner.volatility is not None:
        rules += scanner.volatility.rules()
    if scanner.volume is not None:
        rules += scanner.volume.rules()
    for left, bounds in scanner.recent_perf.items():
        rules += bounds.rules(left)
    for block in (scanner.trend, scanner.screens, scanner.predictability):
        rules += block.rules() if block is not None else []
    return rules


def names_asked(scanner: ManifestSettings) -> Sequence[NameRule]:
    """List what a manifest asks of names: before anything is cut."""
    rules = names_of(scanner.filters)
    listed = [exchange for market in scanner.markets for exchange in MARKETS[market]]
    if scanner.markets and listed:
        rules.append(NameRule("exchange", tuple(listed), among=True))
    if scanner.exchanges:
        rules.append(NameRule("exchange", scanner.exchanges, among=True))
    if scanner.types:
        rules.append(NameRule("type", scanner.types, among=True))
    if scanner.quotes:
        rules.append(NameRule("currency", scanner.quotes, among=True))
    return rules


def fields_of(scanner: ManifestSettings) -> list[str]:
    """List the numeric columns that a manifest's rules and cuts read, each once."""
    rules = rules_of(scanner)
    names = [scanner.sort_by, *(rule.left for rule in rules)]
    names += [rule.right for rule in rules if isinstance(rule.right, str)]
    names += [*scanner.momentum_composite_fields]
    if scanner.final_sort_by not in (None, COMPOSITE):
        names.append(str(scanner.final_sort_by))
    return list(dict.fromkeys(names))


__all__ = [
    "COMPOSITE",
    "LAYERS",
    "ManifestSettings",
    "PresetSettings",
    "ScannerNames",
    "ScannerSettings",
    "SortOrder",
    "fields_of",
    "names_asked",
    "rules_of",
]
