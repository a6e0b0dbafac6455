"""The sections of the settings: which files there are, and which model each one fills.

A section is either one file (``platform.yaml``) or a folder with one file for each of its entries
(``sleeves/``). Everything that goes through the settings as a whole (loader, layers, environment,
manifest, schemas, reference) goes through ``SECTIONS``; a new kind of file is a new line there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.base import SettingsModel
from quant_platform.settings.execution import ExecutionSettings
from quant_platform.settings.platform import PlatformSettings
from quant_platform.settings.portfolio import MetaSettings
from quant_platform.settings.project import CONFIG_FOLDER
from quant_platform.settings.regimes import RegimeSettings
from quant_platform.settings.scanner import PresetSettings, ScannerSettings
from quant_platform.settings.sleeve import SleeveSettings


@dataclass(frozen=True)
class Section:
    """One file of ``assets_config/``, or one folder of like files.

    Attributes
    ----------
    key
        First part of its dotted keys and of its variables: ``sleeves``.
    noun
        What one of its files describes, and the stem of the JSON Schema: ``sleeve``.
    model
        What one of its files says.
    location
        The file or folder, below ``assets_config/``.
    required
        Whether a project can not be without it.
    classes
        The subfolders that the files of a folder lie in, each named as the asset class that its
        files are about; none where they lie in the folder itself.
    """

    key: str
    noun: str
    model: type[SettingsModel]
    location: str
    required: bool = True
    classes: tuple[str, ...] = ()

    @property
    def many(self) -> bool:
        """Whether it is a folder of files, each with a name."""
        return not self.location.endswith(".yaml")

    @property
    def pattern(self) -> str:
        """Path of its files below the project folder, with the free parts in capitals."""
        if not self.many:
            return f"{CONFIG_FOLDER}/{self.location}"
        folder = f"{self.location}/ASSET_CLASS" if self.classes else self.location
        return f"{CONFIG_FOLDER}/{folder}/NAME.yaml"


SECTIONS = {
    section.key: section
    for section in (
        Section("platform", "platform", PlatformSettings, "platform.yaml"),
        Section("sleeves", "sleeve", SleeveSettings, "sleeves"),
        Section("scanners", "scanner", ScannerSettings, "scanners", classes=get_args(AssetClass)),
        Section(
            "presets",
            "preset",
            PresetSettings,
            "presets",
            required=False,
            classes=get_args(AssetClass),
        ),
        Section("metas", "meta", MetaSettings, "meta", required=False),
        Section("execution", "execution", ExecutionSettings, "execution.yaml", required=False),
        Section("regimes", "regimes", RegimeSettings, "regimes.yaml", required=False),
    )
}
