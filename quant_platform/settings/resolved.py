"""The resolved settings of a project: models, folders, manifest, origins and hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from quant_platform.errors import ConfigError
from quant_platform.settings.canonical import slice_hash
from quant_platform.settings.execution import ExecutionSettings
from quant_platform.settings.platform import PlatformSettings
from quant_platform.settings.portfolio import MetaSettings
from quant_platform.settings.problems import DEFAULT_PLACE, KeyPath, Place, dotted, place_of
from quant_platform.settings.regimes import RegimeSettings
from quant_platform.settings.scanner import PresetSettings, ScannerSettings
from quant_platform.settings.sections import SECTIONS
from quant_platform.settings.sleeve import SleeveSettings

FOLDERS = ("lake_root", "dagster_home")


@dataclass(frozen=True)
class Settings:
    """Everything a project is configured with.

    Attributes
    ----------
    project_root
        The absolute folder that holds ``assets_config/``.
    lake_root
        The absolute folder of the lake.
    dagster_home
        The absolute folder of the Dagster instance.
    platform
        What holds for every sleeve.
    sleeves
        The sleeves by name, in sorted order.
    scanners
        The scanners by name, in sorted order, whether a sleeve takes them or not.
    presets
        What scanners stand on, by name, in sorted order; it is in the scanners already.
    metas
        The meta-portfolios by name, in sorted order; there may be none.
    execution
        The account that trades a meta; None without ``execution.yaml``.
    regimes
        The market's regime; None without ``regimes.yaml``.
    origins
        By dotted key of the manifest: ``default``, ``file assets_config/platform.yaml:12``,
        ``environment QUANT_…`` or ``override``.
    """

    project_root: Path
    lake_root: Path
    dagster_home: Path
    platform: PlatformSettings
    sleeves: dict[str, SleeveSettings]
    scanners: dict[str, ScannerSettings]
    presets: dict[str, PresetSettings]
    metas: dict[str, MetaSettings]
    execution: ExecutionSettings | None
    regimes: RegimeSettings | None
    origins: dict[str, str]

    @classmethod
    def resolve(
        cls,
        project_root: Path,
        places: Mapping[KeyPath, Place],
        *,
        platform: PlatformSettings,
        sleeves: dict[str, SleeveSettings],
        scanners: dict[str, ScannerSettings],
        presets: dict[str, PresetSettings],
        metas: dict[str, MetaSettings],
        execution: ExecutionSettings | None,
        regimes: RegimeSettings | None,
    ) -> Settings:
        """Resolve folders against the project and name the origin of every value."""
        lake_root, dagster_home = (
            _folder(project_root, key, getattr(platform, key), places) for key in FOLDERS
        )
        settings = cls(
            project_root=project_root,
            lake_root=lake_root,
            dagster_home=dagster_home,
            platform=platform,
            sleeves=sleeves,
            scanners=scanners,
            presets=presets,
            metas=metas,
            execution=execution,
            regimes=regimes,
            origins={},
        )
        origins = {
            dotted(path): places.get(path, DEFAULT_PLACE).origin
            for path in _leaves(settings.manifest(), ())
        }
        return replace(settings, origins=origins)

    def manifest(self) -> dict[str, Any]:
        """Return every resolved value as JSON types, the same on every machine.

        A folder outside the project is reduced to its last part, since its whole path says
        something about the machine and nothing about the results.
        """
        manifest: dict[str, Any] = _plain(self._sections)
        for key in FOLDERS:
            folder: Path = getattr(self, key)
            inside = folder.is_relative_to(self.project_root)
            manifest["platform"][key] = (
                folder.relative_to(self.project_root).as_posix() if inside else f".../{folder.name}"
            )
        return manifest

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 of all settings that can change a result."""
        return slice_hash(self._sections)

    @property
    def _sections(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in SECTIONS}


def _plain(value: Any) -> Any:
    """Return models as JSON types, those in a mapping too."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _leaves(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path


def _folder(root: Path, key: str, written: str, places: Mapping[KeyPath, Place]) -> Path:
    try:
        return (root / Path(written).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError):
        place = place_of(("platform", key), places)
        raise ConfigError(
            f"{place}: {key}: the folder cannot be resolved",
            expected="a path without loops or unknown users",
        ) from None
