"""The file layer: which files of ``assets_config/`` there are, and what they say.

1. A section that a project can not be without is there, else loading ends at once.
2. A name that no section has is a problem: a file that is passed over would be settings that
   silently do nothing. (A folder is one only if its name is nearly that of a section.)
3. Each file is laid over the defaults of its model. Its name comes from the file, and where files
   lie by asset class, the class from the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from quant_platform.errors import ConfigError
from quant_platform.settings.base import near_names
from quant_platform.settings.documents import read_document
from quant_platform.settings.layers import LayeredTree
from quant_platform.settings.problems import FILE_LAYER, KeyPath, Place, Problem
from quant_platform.settings.project import CONFIG_FOLDER, is_folder
from quant_platform.settings.sections import SECTIONS, Section
from quant_platform.settings.wording import plain


def lay_files(tree: LayeredTree, config: Path) -> set[KeyPath]:
    """Lay the models' defaults and every file over them.

    Parameters
    ----------
    tree
        The tree of values, still empty.
    config
        The folder ``assets_config/``.

    Returns
    -------
    set[KeyPath]
        The paths whose file could be read; for the others there is a problem in the tree.

    Raises
    ------
    ConfigError
        A file or folder is missing that no project can be without.
    """
    names = _names(config, "")
    for section in SECTIONS.values():
        _require(section, config, names)
    _report_strangers(tree, config, names)
    readable: set[KeyPath] = set()
    for section in SECTIONS.values():
        if section.many:
            _lay_folder(tree, config, section, readable)
        elif section.location in names:
            tree.lay_defaults(section.model, (section.key,))
            _lay_file(tree, config, section.location, (section.key,), readable)
    return readable


def _require(section: Section, config: Path, names: list[str]) -> None:
    there = is_folder(config / section.location) if section.many else section.location in names
    if there or not section.required:
        return
    near = near_names(section.location, names)
    mend = f"rename {plain(near[0])}" if near else "restore it from the repository"
    if section.many:
        expected = f"one YAML file for each {section.noun} in it"
        raise ConfigError(f"no folder {_label(section.location)}", expected=expected, mend=mend)
    expected = "the settings that hold for every sleeve"
    raise ConfigError(f"no file {_label(section.location)}", expected=expected, mend=mend)


def _report_strangers(tree: LayeredTree, config: Path, names: list[str]) -> None:
    known = [section.location for section in SECTIONS.values()]
    # By the stem, since the suffix alone would make any two files alike.
    by_stem = {PurePosixPath(location).stem: location for location in known}
    for name in names:
        near = [by_stem[stem] for stem in near_names(PurePosixPath(name).stem, list(by_stem))]
        is_settings = _is_yaml(name) or (near and is_folder(config / name))
        if name not in known and is_settings:
            files = [location for location in known if location.endswith(".yaml")]
            expected = " or ".join(near or files)
            tree.problems.append(
                Problem(_place(name), "nothing reads this", expected, "rename or remove it")
            )


def _lay_folder(tree: LayeredTree, config: Path, section: Section, readable: set[KeyPath]) -> None:
    """Lay every file of a section's folder under its name."""
    first: dict[str, str] = {}
    problems = len(tree.problems)
    for file in _files(tree, config, section):
        stem, suffix = PurePosixPath(file).stem, PurePosixPath(file).suffix
        other = first.setdefault(stem, file)
        if suffix != ".yaml":
            mend = f"rename it {plain(stem)}.yaml"
            tree.problems.append(Problem(_place(file), f"its suffix is {suffix}", ".yaml", mend))
        elif other != file:
            found = f"{_label(other)} has this name as well"
            expected = f"each name of a {section.noun} once"
            tree.problems.append(Problem(_place(file), found, expected, "rename one of the two"))
        else:
            path = (section.key, stem)
            tree.lay_defaults(section.model, path)
            tree.fix(stem, _place(file), (*path, "name"))
            if section.classes:
                folder = PurePosixPath(file).parent.name
                tree.fix(folder, _place(file), (*path, "asset_class"))
            _lay_file(tree, config, file, path, readable)
    if section.required and not first and len(tree.problems) == problems:
        raise ConfigError(
            f"no {section.noun} in {_label(section.location)}",
            expected=f"at least one file {section.pattern.removeprefix(CONFIG_FOLDER + '/')}",
            mend="restore one from the repository",
        )


def _files(tree: LayeredTree, config: Path, section: Section) -> Iterator[str]:
    """Find the YAML files of a section's folder, as paths below ``assets_config/``."""
    if not is_folder(config / section.location):
        return
    for name in _names(config, section.location):
        below = f"{section.location}/{name}"
        if not section.classes:
            if _is_yaml(name):
                yield below
        elif name in section.classes and is_folder(config / below):
            for file in _names(config, below):
                if _is_yaml(file):
                    yield f"{below}/{file}"
                elif is_folder(config / below / file):
                    found = f"a folder inside the folder {name}"
                    mend = "move its files up"
                    place = _place(f"{below}/{file}")
                    tree.problems.append(Problem(place, found, f"files {name}/NAME.yaml", mend))
        elif _is_yaml(name) or is_folder(config / below):
            near = near_names(name, list(section.classes))
            tree.problems.append(
                Problem(
                    _place(below),
                    f"it is not in a folder of an asset class of {section.key}",
                    " or ".join(f"{_label(section.location)}/{name}" for name in section.classes),
                    f"rename it {near[0]}" if near else "move it into one of them",
                )
            )


def _names(config: Path, folder: str) -> list[str]:
    """List what is in a folder below ``assets_config/``, without what is hidden."""
    try:
        names = sorted(entry.name for entry in (config / folder).iterdir())
    except OSError as error:
        raise ConfigError(
            f"the folder {_label(folder)} cannot be read: {error.strerror}",
            mend="check its permissions",
        ) from None
    return [name for name in names if not name.startswith((".", "_"))]


def _is_yaml(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in (".yaml", ".yml")


def _label(below: str) -> str:
    return f"{CONFIG_FOLDER}/{plain(below)}" if below else CONFIG_FOLDER


def _place(file: str) -> Place:
    return Place(FILE_LAYER, _label(file), 1)


def _lay_file(
    tree: LayeredTree, config: Path, file: str, path: KeyPath, readable: set[KeyPath]
) -> None:
    try:
        data = (config / file).read_bytes()
    except OSError as error:
        found = f"the file cannot be read: {error.strerror}"
        tree.problems.append(Problem(_place(file), found, mend="check its permissions"))
        return
    document = read_document(data, _place(file))
    tree.problems.extend(document.problems)
    if isinstance(document.value, dict):
        places = {(*path, *below): found for below, found in document.places.items()}
        tree.lay(document.value, places, path)
        readable.add(path)
