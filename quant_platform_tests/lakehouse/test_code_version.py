"""The code version: what changes it, and what does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quant_platform.lakehouse import code_version as module
from quant_platform.lakehouse.code_version import code_version, git_sha, import_closure

REPOSITORY = Path(__file__).parents[2]
TREND = "quant_platform.features.trend"
_SOURCE = module._source


def test_the_closure_follows_imports_and_stays_in_the_package() -> None:
    closure = import_closure([TREND])
    assert closure == sorted(set(closure))
    assert all(name.startswith("quant_platform") for name in closure)
    for name in (
        TREND,
        "quant_platform.features.panel",
        "quant_platform.lakehouse.vintages",
        "quant_platform.lakehouse.windows",
        "quant_platform.calendars.sessions",
        "quant_platform.lakehouse.contracts.features_trend",
    ):
        assert name in closure


def test_the_closure_leaves_out_what_decides_no_number() -> None:
    closure = import_closure(["quant_platform.features.trend", "quant_platform.features.state"])
    for part in ("orchestration", "cli", "sources", "reports"):
        assert not any(name.startswith(f"quant_platform.{part}") for name in closure)
    for name in ("lake", "store", "catalog", "ledgers"):
        assert f"quant_platform.lakehouse.{name}" not in closure


def test_another_module_changes_the_version() -> None:
    alone = code_version((TREND,))
    assert alone == code_version((TREND,))
    assert alone != code_version((TREND, "quant_platform.features.state"))


def _forget() -> None:
    """Read sources and libraries anew, as a new process does."""
    for cached in (
        code_version,
        _SOURCE,
        module._first_party_imports,
        module._is_module,
        module._library_version,
    ):
        cached.cache_clear()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Lay a user's own module beside the package, and forget what was cached before and after."""
    path = tmp_path / "own_features.py"
    path.write_text("from quant_platform.features.panel import Panel\n\nLENGTH = 20\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield path
    _forget()
    sys.modules.pop("own_features", None)


def test_a_users_module_counts_with_what_it_imports_of_the_package(own: Path) -> None:
    assert "quant_platform.lakehouse.vintages" in import_closure(["own_features"])
    before = code_version(("own_features",))
    own.write_text(own.read_text().replace("20", "21"))
    _forget()
    changed = code_version(("own_features",))
    assert changed != before
    own.write_text(own.read_text().replace("21", "20"))
    _forget()
    assert code_version(("own_features",)) == before


def test_a_new_numeric_library_changes_every_version(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_version((TREND,))
    _forget()
    monkeypatch.setattr(module, "version", lambda name: "0.0.1")
    assert code_version((TREND,)) != before


def test_a_changed_import_changes_the_versions_above_it(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = {
        "trend": ("quant_platform.features.trend",),
        "state": ("quant_platform.features.state",),
    }
    before = {name: code_version(modules) for name, modules in stages.items()}

    def edited(name: str) -> bytes:
        extra = b"\n# edited" if name == "quant_platform.features.ratings" else b""
        return _SOURCE(name) + extra

    _forget()
    monkeypatch.setattr(module, "_source", edited)
    after = {name: code_version(modules) for name, modules in stages.items()}
    assert after["trend"] != before["trend"]
    assert after["state"] == before["state"]


def test_another_process_finds_the_same_version_and_no_text_in_what_was_typed() -> None:
    """A notebook's own code is in no file: its module counts, with nothing in it."""
    text = (
        "from quant_platform.lakehouse.code_version import code_version, import_closure\n"
        f"print(code_version(('{TREND}',)), import_closure(['__main__']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    _forget()
    assert done.stdout.strip() == f"{code_version((TREND,))} ['__main__']"


def test_a_module_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"features\.tend"):
        code_version(("quant_platform.features.tend",))


def test_the_commit_is_told_and_unknown_outside_a_checkout(tmp_path: Path) -> None:
    assert git_sha(tmp_path) == "unknown"
    assert git_sha(tmp_path / "absent") == "unknown"
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    git_sha.cache_clear()
    assert len(git_sha(tmp_path)) == 40
