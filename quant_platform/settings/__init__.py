"""Typed settings of ``assets_config/``: models, loader, resolved manifest and its hash.

What belongs here: everything a user can tune, its bounds, its description and its default, and how
the layers of a project become one frozen object. What does not: what a setting does.
"""

from __future__ import annotations

from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.base import SettingsModel
from quant_platform.settings.canonical import slice_hash
from quant_platform.settings.execution import ExecutionSettings
from quant_platform.settings.loader import load_settings
from quant_platform.settings.platform import (
    CalendarSettings,
    CheckSettings,
    DirtSettings,
    EmbeddedMarketSettings,
    FeatureSettings,
    PlatformSettings,
    RebalanceSettings,
    StateSettings,
    TrendSettings,
    UiSettings,
)
from quant_platform.settings.portfolio import CostSettings, MetaSettings, ProfilesSettings
from quant_platform.settings.project import find_project_root
from quant_platform.settings.regimes import RegimeSettings
from quant_platform.settings.resolved import Settings
from quant_platform.settings.returns import ReturnsSettings
from quant_platform.settings.risk_features import (
    BetaSettings,
    CompositeSettings,
    GarchSettings,
    VolatilitySettings,
)
from quant_platform.settings.scanner import ScannerSettings
from quant_platform.settings.selection import SelectionSettings
from quant_platform.settings.sleeve import SleeveSettings

__all__ = [
    "AssetClass",
    "BetaSettings",
    "CalendarSettings",
    "CheckSettings",
    "CompositeSettings",
    "CostSettings",
    "DirtSettings",
    "EmbeddedMarketSettings",
    "ExecutionSettings",
    "FeatureSettings",
    "GarchSettings",
    "MetaSettings",
    "PlatformSettings",
    "ProfilesSettings",
    "RebalanceSettings",
    "RegimeSettings",
    "ReturnsSettings",
    "ScannerSettings",
    "SelectionSettings",
    "Settings",
    "SettingsModel",
    "SleeveSettings",
    "StateSettings",
    "TrendSettings",
    "UiSettings",
    "VolatilitySettings",
    "find_project_root",
    "load_settings",
    "slice_hash",
]
