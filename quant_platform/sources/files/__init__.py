"""Bring your own history: a folder of files, a mapping file, and the source that answers from them.

``mapping`` says how files are to be read, ``layouts`` and ``reading`` read them, ``publication``
tells since when a row was known and ``identity`` who is who, ``convert`` turns a folder into the
rows of the protocol, ``preparing`` holds them against what was told before, ``store`` keeps them in
the lake, ``source`` answers from there. Nothing here judges a row: that is hygiene's.
"""

from quant_platform.sources.files.again import Again
from quant_platform.sources.files.convert import FolderReader
from quant_platform.sources.files.manifest import Manifest
from quant_platform.sources.files.mapping import Mapping, read_mapping
from quant_platform.sources.files.preparing import Prepared
from quant_platform.sources.files.source import FilesSource
from quant_platform.sources.files.store import ImportStore

__all__ = [
    "Again",
    "FilesSource",
    "FolderReader",
    "ImportStore",
    "Manifest",
    "Mapping",
    "Prepared",
    "read_mapping",
]
