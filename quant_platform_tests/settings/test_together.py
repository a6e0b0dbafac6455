"""What only all files together can show to be wrong, and files that nothing reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quant_platform.settings import load_settings
from quant_platform_tests.settings.conftest import Refusal

ACCOUNT, REGIMES, META = "execution.yaml", "regimes.yaml", "meta/meta.yaml"
CRYPTO, PLATFORM = "sleeves/crypto.yaml", "platform.yaml"

# Name of the case: file, what stands there, what is written instead, line of the new text that is
# told, parts of the sentence.
CLASHES = {
    "a closure of a calendar that the platform has not": (
        PLATFORM,
        "extra_holidays: {}",
        "extra_holidays: {XLON: [2023-01-04]}",
        "extra_holidays: {XLON: [2023-01-04]}",
        ["extra_holidays: XLON is none of the platform's calendars", "expected XNYS or 24/7"],
    ),
    "a session of a calendar that the platform has not": (
        PLATFORM,
        "extra_sessions: {}",
        "extra_sessions: {XLON: [2023-01-07]}",
        "extra_sessions: {XLON: [2023-01-07]}",
        ["extra_sessions: XLON is none of the platform's calendars"],
    ),
    "a closure of a Saturday": (
        PLATFORM,
        "extra_holidays: {}",
        "extra_holidays:\n  XNYS:\n    - 2023-01-04\n    - 2023-01-07",
        "    - 2023-01-07",
        ["extra_holidays: 2023-01-07 is a Saturday", "would trade"],
    ),
    "a lag of a table that takes none": (
        PLATFORM,
        "  bars: 30",
        "  bars: 30\n  barz: 10",
        "  barz: 10",
        ["knowledge_lag_minutes: no lag is assumed for a table 'barz'", "expected bars"],
    ),
    "a history that begins on a Saturday": (
        PLATFORM,
        "history_start: 2022-01-03",
        "history_start: 2022-01-01",
        "history_start: 2022-01-01",
        ["history_start: 2022-01-01 is a Saturday", "a NYSE session"],
    ),
    "a member that is no sleeve": (
        META,
        "members: [crypto, etfs, instruments]",
        "members:\n  - instruments\n  - etfs\n  - krypto",
        "  - krypto",
        ["members: there is no sleeve 'krypto'", "expected crypto", "sleeves/"],
    ),
    "a profile that a member does not run": (
        CRYPTO,
        "profiles: [equal_weight, hrp, min_variance]",
        "profiles: [equal_weight, min_variance]",
        (META, "profiles: [equal_weight, hrp, min_variance]"),
        ["profiles: sleeve crypto does not run hrp", "portfolio.profiles of crypto"],
    ),
    "an account on no meta": (
        ACCOUNT,
        "portfolio: meta",
        "portfolio: metta",
        "portfolio: metta",
        ["portfolio: there is no meta 'metta'", "expected meta", "meta/"],
    ),
    "an account on a profile that its meta does not run": (
        ACCOUNT,
        "profile: equal_weight",
        "profile: equal_weights",
        "profile: equal_weights",
        ["profile: meta does not run 'equal_weights'", "expected equal_weight"],
    ),
    "terms of no sleeve": (
        ACCOUNT,
        "sleeves: {}",
        "sleeves:\n  etf: {lot: 1.0}",
        "  etf: {lot: 1.0}",
        ["sleeves.etf: there is no sleeve 'etf'", "expected etfs"],
    ),
    "an account older than the walk-forward": (
        ACCOUNT,
        "opened: 2023-12-01",
        "opened: 2023-01-02",
        "opened: 2023-01-02",
        ["opened: 2023-01-02 is before", "2023-01-03 (walk_forward_start of platform.yaml)"],
    ),
    "a walk-forward older than the history": (
        PLATFORM,
        "walk_forward_start: 2023-01-03",
        "walk_forward_start: 2021-12-31",
        "walk_forward_start: 2021-12-31",
        ["walk_forward_start: 2021-12-31 is before history_start", "2022-01-03 (history_start)"],
    ),
    "a benchmark in no sleeve": (
        REGIMES,
        "  sleeve: etfs",
        "  sleeve: efts",
        "  sleeve: efts",
        ["benchmark.sleeve: there is no sleeve 'efts'", "expected etfs"],
    ),
    "a sleeve's benchmark in no sleeve": (
        "sleeves/instruments.yaml",
        "benchmark: {sleeve: etfs, security_id: etfs-0000}",
        "benchmark: {sleeve: efts, security_id: etfs-0000}",
        "benchmark: {sleeve: efts, security_id: etfs-0000}",
        ["benchmark.sleeve: there is no sleeve 'efts'", "expected etfs"],
    ),
    "a sleeve's benchmark on another calendar": (
        "sleeves/instruments.yaml",
        "benchmark: {sleeve: etfs, security_id: etfs-0000}",
        "benchmark: {sleeve: crypto, security_id: etfs-0000}",
        "benchmark: {sleeve: crypto, security_id: etfs-0000}",
        [
            "benchmark.sleeve: sleeve crypto trades on 24/7, and instruments on XNYS",
            "expected etfs or instruments",
        ],
    ),
    "breadth of no sleeve": (
        REGIMES,
        "breadth_sleeve: instruments",
        "breadth_sleeve: stocks",
        "breadth_sleeve: stocks",
        ["breadth_sleeve: there is no sleeve 'stocks'", "crypto or etfs or instruments"],
    ),
    "a benchmark that trades around the clock": (
        REGIMES,
        "  sleeve: etfs",
        "  sleeve: crypto",
        "  sleeve: crypto",
        [
            "benchmark.sleeve: sleeve crypto trades on 24/7, and the regime counts",
            "sessions of XNYS",
            "expected etfs or instruments",
        ],
    ),
    "breadth of a sleeve that trades around the clock": (
        REGIMES,
        "breadth_sleeve: instruments",
        "breadth_sleeve: crypto",
        "breadth_sleeve: crypto",
        ["breadth_sleeve: sleeve crypto trades on 24/7"],
    ),
    "another market in no sleeve": (
        REGIMES,
        "  crypto:",
        "  coins:",
        "  coins:",
        ["there is no sleeve 'coins'", "crypto or etfs or instruments"],
    ),
    "a scanner that calls itself otherwise": (
        "scanners/stock/us_trend.yaml",
        "final_sort_by: Perf.1M",
        "final_sort_by: Perf.1M\nname: us_trends",
        "name: us_trends",
        ["name: found 'us_trends'", "us_trend, as the file's name says", "rename the file"],
    ),
    "a scanner of another class than its folder": (
        "scanners/stock/us_trend.yaml",
        "final_sort_by: Perf.1M",
        "final_sort_by: Perf.1M\nasset_class: etf",
        "asset_class: etf",
        ["asset_class: found 'etf'", "stock, as the folder's name says", "move the file"],
    ),
}


@pytest.mark.parametrize("case", CLASHES)
def test_files_that_clash(case: str, project: Path, refusal: Refusal) -> None:
    file, old, new, told, parts = CLASHES[case]
    config = project / "assets_config"
    text = (config / file).read_text()
    lines = text.splitlines()
    assert sum(line.endswith(old) for line in lines) == 1
    (config / file).write_text(text.replace(old, new))
    told_in, told_line = told if isinstance(told, tuple) else (file, told)
    line = (config / told_in).read_text().splitlines().index(told_line) + 1
    sentence = refusal()
    assert sentence.startswith(f"assets_config/{told_in}:{line}: ")
    for part in parts:
        assert part in sentence
    assert "more problem" not in sentence


def test_what_follows_from_one_moved_date_is_told_at_the_layer_that_moved_it(
    refusal: Refusal,
) -> None:
    later = {"platform.history_start": "2024-01-02"}
    assert refusal(overrides=later).startswith("override platform.history_start: walk_forward_")
    later |= {"platform.walk_forward_start": "2024-01-02"}
    sentence = refusal(overrides=later)
    assert sentence.startswith("override platform.walk_forward_start: opened: 2023-12-01 is before")
    assert "more problem" not in sentence


def test_a_date_on_the_border_is_none_too_early(project: Path) -> None:
    day = "2024-01-02"
    moved = {
        "platform.history_start": day,
        "platform.walk_forward_start": day,
        "execution.opened": day,
    }
    settings = load_settings(project, environ={}, overrides=moved)
    assert settings.platform.walk_forward_start == settings.platform.history_start


def test_where_every_day_is_a_session_a_saturday_is_none_too_odd(project: Path) -> None:
    config = project / "assets_config"
    for file in (*config.glob("meta/*.yaml"), config / ACCOUNT, config / REGIMES):
        file.unlink()
    for name in ("etfs", "instruments"):
        (config / "sleeves" / f"{name}.yaml").unlink()
    moved = {"platform.history_start": "2022-01-01", "platform.extra_holidays.24/7": ["2022-01-08"]}
    settings = load_settings(project, environ={}, overrides=moved)
    assert settings.platform.history_start.isoformat() == "2022-01-01"


def test_without_an_account_nothing_asks_for_its_meta(project: Path, refusal: Refusal) -> None:
    shutil.rmtree(project / "assets_config" / "meta")
    sentence = refusal()
    assert "portfolio: there is no meta 'meta'" in sentence
    assert "meta/" in sentence
    (project / "assets_config" / ACCOUNT).unlink()
    assert load_settings(project, environ={}).metas == {}


def test_a_scanner_that_a_sleeve_takes_is_missed(project: Path, refusal: Refusal) -> None:
    (project / "assets_config" / "scanners" / "stock" / "us_trend.yaml").unlink()
    sentence = refusal()
    assert sentence.startswith("assets_config/sleeves/instruments.yaml:")
    assert "scanners: there is no scanner 'us_trend'; expected " in sentence
    assert "mean_reversion" in sentence


def test_a_meta_by_a_name_that_a_sleeve_could_have(project: Path, refusal: Refusal) -> None:
    path = project / "assets_config" / "meta" / "meta.yaml"
    path.rename(path.with_name("balanced.yaml"))
    assert refusal() == (
        "assets_config/meta/balanced.yaml:1: the name balanced could be that of a sleeve; "
        "expected meta, or a name that begins with meta_; rename the file meta_balanced.yaml"
    )


def test_two_scanners_of_one_name(project: Path, refusal: Refusal) -> None:
    folder = project / "assets_config" / "scanners"
    shutil.copy(folder / "etf" / "sector_etf_trend.yaml", folder / "stock")
    sentence = refusal()
    assert sentence.startswith("assets_config/scanners/stock/sector_etf_trend.yaml:1: ")
    assert "assets_config/scanners/etf/sector_etf_trend.yaml has this name as well" in sentence


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("exection.yaml", ["nothing reads this", "expected execution.yaml"]),
        ("execution.yml", ["nothing reads this", "expected execution.yaml"]),
        ("notes.yaml", ["nothing reads this", "platform.yaml or execution.yaml or regimes.yaml"]),
        ("metas/meta_x.yaml", ["nothing reads this", "expected meta"]),
        ("meta/meta_x.yml", ["its suffix is .yml", "rename it meta_x.yaml"]),
        (
            "scanners/trend.yaml",
            ["not in a folder of an asset class", "assets_config/scanners/etf"],
        ),
        ("scanners/stocks/trend.yaml", ["not in a folder of an asset class", "rename it stock"]),
        (
            "scanners/stock/old/trend.yaml",
            ["a folder inside the folder stock", "move its files up"],
        ),
        ("scanners/stock/trend.YAML", ["its suffix is .YAML", "rename it trend.yaml"]),
    ],
)
def test_a_file_that_nothing_would_read(
    place: str, parts: list[str], project: Path, refusal: Refusal
) -> None:
    path = project / "assets_config" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("limit: 3\n")
    sentence = refusal()
    for part in parts:
        assert part in sentence
    assert "more problem" not in sentence


@pytest.mark.parametrize(
    ("file", "variable", "override"),
    [
        (ACCOUNT, "QUANT_EXECUTION__CASH", "execution.cash"),
        (REGIMES, "QUANT_REGIMES__PERIODS_PER_YEAR", "regimes.periods_per_year"),
    ],
)
def test_upper_layers_add_no_file(
    file: str, variable: str, override: str, project: Path, refusal: Refusal
) -> None:
    (project / "assets_config" / file).unlink()
    for sentence in (refusal(environ={variable: "3"}), refusal(overrides={override: 3})):
        assert f"there is no file assets_config/{file}" in sentence
        assert "more problem" not in sentence


def test_a_folder_that_no_project_can_be_without(project: Path, refusal: Refusal) -> None:
    folder = project / "assets_config" / "scanners"
    folder.rename(folder.with_name("scaners"))
    assert refusal() == (
        "no folder assets_config/scanners; expected one YAML file for each scanner in it; "
        "rename scaners"
    )
    shutil.rmtree(folder.with_name("scaners"))
    folder.mkdir()
    assert refusal().startswith("no scanner in assets_config/scanners")


SCANNER = "filters:\n  - {left: RSI, operation: less, right: 40}\nfinal_sort_by: RSI\nlimit: 5\n"

FILE_REFUSALS = {
    ("scanners/stock/us_trend.yaml", SCANNER.replace("RSI, op", "RSY, op")): (2, ["'RSY'", "RSI"]),
    ("scanners/stock/us_trend.yaml", SCANNER + "base_preset: x\n"): (
        5,
        ["base_preset: there is no preset 'x'", "add its file to presets/"],
    ),
    ("scanners/stock/us_trend.yaml", "limit: [\n"): (2, ["not valid YAML"]),
    (META, "train: 60\n"): (1, ["members is missing", "a list of at least one"]),
    (META, "members: [crypto]\n"): (1, ["1 sleeves between 0.05 and 0.5"]),
    (META, "members: [crypto, etfs]\nbounds:\n  lower: 0.6\n"): (1, ["can not add up to one"]),
    (META, "members: [crypto, etfs]\nmin_joint: 70\n"): (1, ["min_joint 70", "train"]),
    (ACCOUNT, "broker: alpaca\n"): (1, ["'alpaca'", "expected paper"]),
    (ACCOUNT, "risk:\n  floor: 2\n"): (2, ["risk.floor", "from 0.0 to 1.0 (share of equity)"]),
    (ACCOUNT, "risk: {floor: 0.9, ceiling: 0.8}\n"): (1, ["risk: floor 0.9 is above ceiling"]),
    (ACCOUNT, "gates: {kill_switch: off}\n"): (1, ["gates.kill_switch", "date"]),
    (ACCOUNT, ""): (1, ["the file is empty"]),
    (REGIMES, "breadth_sleeve: etfs\n"): (1, ["benchmark is missing"]),
    (REGIMES, "throttle:\n  CALM: 1.0\n"): (1, ["benchmark is missing"]),
}


@pytest.mark.parametrize(("file", "text"), FILE_REFUSALS)
def test_one_file_that_is_wrong(file: str, text: str, project: Path, refusal: Refusal) -> None:
    line, parts = FILE_REFUSALS[file, text]
    (project / "assets_config" / file).write_text(text)
    sentence = refusal()
    assert sentence.startswith(f"assets_config/{file}:{line}: ")
    for part in parts:
        assert part in sentence


def test_a_label_that_there_is_not(project: Path, refusal: Refusal) -> None:
    path = project / "assets_config" / REGIMES
    path.write_text(path.read_text().replace("  NEUTRAL: ", "  NEUTRL: "))
    sentence = refusal()
    assert "unknown key 'NEUTRL' in throttle; expected NEUTRAL" in sentence
