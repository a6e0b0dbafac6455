"""Everything that is refused: one sentence with the file, the line, the key and the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_platform.errors import ConfigError
from quant_platform.settings import load_settings
from quant_platform_tests.settings.conftest import Refusal

PLATFORM_REFUSALS = {
    # text of platform.yaml: (line, parts of the sentence)
    "# a\nhistory_strat: 2023-01-03\n": (2, ["unknown key 'history_strat'", "history_start"]),
    "ui:\n  prot: 3\n": (2, ["unknown key 'prot' in ui", "expected port"]),
    "ui:\n  zzz: 3\n": (2, ["unknown key 'zzz' in ui", "one of host, port"]),
    "rebalance:\n  step: yes\n": (2, ["rebalance.step", "the text 'yes'", "whole number"]),
    "rebalance:\n  step: true\n": (2, ["rebalance.step", "truth value true", "whole number"]),
    "rebalance:\n  step: 3.7\n": (2, ["the number 3.7", "from 1 to 252 (NYSE sessions)"]),
    "rebalance:\n  step: 3.0\n": (2, ["the number 3.0", "whole number"]),
    "rebalance:\n  step: '3'\n": (2, ["the text '3'", "whole number"]),
    "rebalance:\n  step: 0\n": (2, ["the number 0", "from 1 to 252"]),
    "rebalance:\n  step: [3]\n": (2, ["found a list", "whole number"]),
    "rebalance:\n  step:\n": (2, ["found nothing (null)", "whole number"]),
    "rebalance:\n  anchor: 2015-01-03\n": (2, ["2015-01-03 is a Saturday", "NYSE session"]),
    "lake_root: 2024\n": (1, ["lake_root: found the number 2024", "text"]),
    "lake_root: ''\n": (1, ["lake_root", "text that is not empty"]),
    "lake_root: s3://bucket/lake\n": (1, ["a s3:// address", "object stores come later"]),
    "lake_root: .\n": (1, ["lake_root", "holds the project itself"]),
    "lake_root: ../..\n": (1, ["lake_root", "holds the project itself"]),
    "lake_root: ~nobody_of_that_name/lake\n": (1, ["lake_root", "cannot be resolved"]),
    'lake_root: "a\\0b"\n': (1, ["lake_root", "unprintable"]),
    "\nui:\n": (2, ["ui: found nothing (null)", "a mapping", "write {}"]),
    "checks: 3\n": (1, ["checks: found the number 3", "a mapping"]),
    "history_start: 2023-13-40\n": (1, ["'2023-13-40'", "a date written YYYY-MM-DD"]),
    "history_start: 0203-01-03\n": (1, ["'0203-01-03'", "from 1990 to 2099"]),
    "history_start: 2023-01-03T00:00:00\n": (1, ["'2023-01-03T00:00:00'", "YYYY-MM-DD"]),
    "extra_holidays:\n  NYSE: [2024-01-02]\n": (2, ["NYSE is another name of XNYS"]),
    "extra_holidays:\n  XNYZ: [2024-01-02]\n": (2, ["unknown calendar 'XNYZ'", "XNYS"]),
    "extra_holidays:\n  XNYS: 2024-01-02\n": (2, ["extra_holidays.XNYS", "a list, each a date"]),
    "extra_holidays:\n  XNYS:\n    - 2024-01-02\n    - soon\n": (4, ["'soon'", "a date"]),
    "extra_holidays:\n  XNYS: [2024-01-02, 2024-01-02]\n": (2, ["2024-01-02 is listed twice"]),
    "extra_holidays: {XNYS: [2024-01-02]}\nextra_sessions: {XNYS: [2024-01-02]}\n": (
        2,
        ["2024-01-02 of XNYS is in extra_holidays as well"],
    ),
    "calendars:\n  XTKS: {job: us_daily, periods_per_year: 245}\n": (
        1,
        ["XNYS and XTKS both name the job us_daily"],
    ),
    "calendars:\n  XTKS: {job: portfolio_daily, periods_per_year: 245}\n": (
        1,
        ["XTKS names the job portfolio_daily", "metas, execution and reports"],
    ),
    "calendars:\n  XTKS:\n    job: tokyo\n": (2, ["calendars.XTKS.periods_per_year is missing"]),
    "calendars:\n  XNYS:\n    job: US daily\n": (3, ["'US daily'", "text that matches"]),
    "knowledge_lag_minutes: {Bars: 3}\n": (1, ["key 'Bars'", "text that matches"]),
    "embedded_market:\n  dirt:\n    late: 0.3\n": (3, ["number 0.3", "from 0.0 to 0.2"]),
    "embedded_market:\n  dirt:\n    late: .nan\n": (3, ["number nan", "from 0.0 to 0.2"]),
    "checks: {row_count: -0.1}\n": (1, ["the number -0.1", "from 0.0 to 1.0"]),
    # what is wrong with the text itself
    "": (1, ["the file is empty"]),
    "# only a comment\n": (1, ["the file is empty"]),
    "- a\n- b\n": (1, ["a list instead of keys", "key: value"]),
    "history_start\n": (1, ["one value instead of keys"]),
    "ui: {}\n---\nui: {}\n": (2, ["a second document (---)"]),
    "ui:\n  port: 1\n  host: a\n  port: 2\n": (
        4,
        ["key 'ui.port' is given twice", "first given in line 2"],
    ),
    "ui:\n\tport: 1\n": (2, ["a tab", "spaces"]),
    "ui:\n  port: [1\nfeatures: 2\n": (3, ["not valid YAML", "the one before it"]),
    "ui: 'x\n": (2, ["not valid YAML"]),
    'lake_root: "\\UFFFFFFFF"\n': (1, ["not YAML"]),
    "lake_root: a\x07b\n": (1, ["a control character"]),
    "ui: &a {port: 1}\n": (1, ["an anchor or alias", "written out"]),
    "\nui: *a\n": (2, ["an anchor or alias"]),
    "ui: !!python/object/apply:os.getcwd []\n": (1, ["a tag"]),
    "? [a]\n: 3\n": (1, ["a list or mapping as a key"]),
    "ui: " + "[" * 1000: (1, ["levels of nesting"]),
    "<<: {ui: {port: 1}}\n": (1, ["unknown key '<<'"]),
}


@pytest.mark.parametrize("text", PLATFORM_REFUSALS)
def test_platform_file(text: str, platform_file: Path, refusal: Refusal) -> None:
    line, parts = PLATFORM_REFUSALS[text]
    platform_file.write_text(text)
    sentence = refusal()
    assert sentence.startswith(f"assets_config/platform.yaml:{line}: ")
    for part in parts:
        assert part in sentence


SCANNERS = "scanners: [binance_spot_trend]\n"
SLEEVE = f"{SCANNERS}calendar: 24/7\nasset_classes: [crypto]\n"

SLEEVE_REFUSALS = {
    "": (1, ["the file is empty"]),
    SCANNERS + "asset_classes: [crypto]\n": (1, ["calendar is missing", "exchange_calendars"]),
    SCANNERS + "calendar: 24/7\n": (1, ["asset_classes is missing", "stock or etf or crypto"]),
    "calendar: 24/7\nasset_classes: [crypto]\n": (1, ["scanners is missing", "at least one"]),
    SCANNERS + "calendar: NYSX\nasset_classes: [crypto]\n": (
        2,
        ["unknown calendar 'NYSX'", "XNYS"],
    ),
    SCANNERS + "calendar: XTKS\nasset_classes: [crypto]\n": (
        2,
        ["XTKS has no job", "XNYS or 24/7", "add XTKS to calendars in platform.yaml"],
    ),
    SCANNERS + "calendar: 24/7\nasset_classes: [stocks]\n": (3, ["'stocks'", "write stock"]),
    SCANNERS + "calendar: 24/7\nasset_classes: []\n": (3, ["an empty list", "at least one"]),
    SCANNERS + "calendar: 24/7\nasset_classes: crypto\n": (3, ["the text 'crypto'", "a list"]),
    SCANNERS + "calendar: 24/7\nasset_classes: [crypto, crypto]\n": (
        3,
        ["crypto is listed twice"],
    ),
    SLEEVE + "kind: tactical\n": (4, ["a tactical sleeve comes later", "kind: rebalanced"]),
    SLEEVE + "kind: rebalance\n": (4, ["the text 'rebalance'", "write rebalanced"]),
    SLEEVE + "name: krypto\n": (4, ["'krypto'", "crypto, as the file's name says"]),
    SLEEVE + "sources: {bras: simulated}\n": (4, ["unknown key 'bras' in sources", "bars"]),
    SLEEVE + "sources:\n  bars: simulatd\n": (5, ["'simulatd'", "write simulated"]),
    SLEEVE + "sources: {bars: files, second_bars: simulated}\n": (
        4,
        ["second_bars comes from simulated and bars from files", "none that is invented"],
    ),
    SLEEVE + "sources: {bars: files, second_bars: tradingview}\n": (
        4,
        ["second_bars comes from tradingview", "screener"],
    ),
    SLEEVE + "symbols: 0\n": (4, ["the number 0", "from 1 to 10000 (symbols)"]),
    SLEEVE + "symbls: 3\n": (4, ["unknown key 'symbls'", "symbols"]),
    SLEEVE + "selection: {winner_max: 3}\n": (
        4,
        ["unknown key 'winner_max' in selection", "winners_max"],
    ),
    SLEEVE + "selection:\n  top_n_per_cluster: 0\n": (
        5,
        ["selection.top_n_per_cluster", "from 1 to 1000 (securities)"],
    ),
    SLEEVE + "selection: {winners_max: 10}\n": (
        4,
        ["winners_floor 15 is more than winners_max 10", "lower winners_floor"],
    ),
    SLEEVE + "selection:\n  directions: [long, long]\n": (5, ["each direction once"]),
    SLEEVE + "selection:\n  vetoes: {preset: strict}\n": (5, ["calibrated"]),
    SLEEVE + "returns: {execution_price: close}\n": (4, ["'close'", "open or typical"]),
    SLEEVE + "costs:\n  slippage_bps: -5\n": (5, ["costs.slippage_bps", "from 0.0 to 500.0 (bps"]),
    SLEEVE + "portfolio:\n  cap: 0\n": (5, ["portfolio.cap", "above 0.0 and of at most 1.0"]),
    SLEEVE + "portfolio:\n  profiles: [kelly]\n": (5, ["portfolio.profiles.0", "'kelly'", "hrp"]),
    SLEEVE + "portfolio:\n  min_rows: 70\n": (4, ["min_rows 70 is more than the lookback of 60"]),
    SLEEVE + "portfolio: {hrp: {leaf_order: 1}}\n": (4, ["hrp.leaf_order", "true or false"]),
    # names that lead nowhere
    "calendar: 24/7\nasset_classes: [crypto]\nscanners:\n  - binance_spot_trend\n  - a_trend\n": (
        5,
        ["there is no scanner 'a_trend'", "binance_spot_trend", "add its file to scanners/"],
    ),
    SLEEVE.replace("spot", "sport"): (1, ["no scanner 'binance_sport_trend'", "_spot_"]),
    SLEEVE.replace("binance_spot", "us"): (
        1,
        ["us_trend looks at stock, which crypto does not hold", "scanners of crypto"],
    ),
    SLEEVE.replace("[binance_spot_trend]", "[]"): (1, ["scanners", "an empty list"]),
}


@pytest.mark.parametrize("text", SLEEVE_REFUSALS)
def test_sleeve_file(text: str, crypto_file: Path, refusal: Refusal) -> None:
    line, parts = SLEEVE_REFUSALS[text]
    crypto_file.write_text(text)
    sentence = refusal()
    assert sentence.startswith(f"assets_config/sleeves/crypto.yaml:{line}: ")
    for part in parts:
        assert part in sentence


def test_a_future_is_refused_with_the_sentence(crypto_file: Path, refusal: Refusal) -> None:
    crypto_file.write_text(f"{SCANNERS}calendar: XNYS\nasset_classes:\n  - crypto\n  - future\n")
    sentence = refusal()
    assert sentence.startswith("assets_config/sleeves/crypto.yaml:5: ")
    assert sentence.endswith(
        "CME futures come later: the contracts reserve asset_class future, multiplier, expiry "
        "and roll, but no sleeve can hold one yet"
    )


ENVIRONMENT_REFUSALS = {
    ("QUANT_PLATFORM__HISTORY_STRAT", "2024-01-02"): ["unknown key", "expected history_start"],
    ("QUANT_PLATFORM_HISTORY_START", "2024-01-02"): ["QUANT_PLATFORM__HISTORY_START"],
    ("QUANT_PLATFROM__HISTORY_START", "2024-01-02"): ["QUANT_PLATFORM__HISTORY_START"],
    ("QUANT_PLATFORM", "3"): ["no setting has this name"],
    ("QUANT_PLATFORM__UI____PORT", "3"): ["no setting has this name", "QUANT_PLATFORM__UI__PORT"],
    ("QUANT_SLEEVES__CRYPTA__SYMBOLS", "3"): ["no sleeve 'crypta'", "expected crypto"],
    ("QUANT_SLEEVES__CRYPTO__SYMBLS", "3"): ["unknown key 'symbls'", "expected symbols"],
    ("QUANT_PLATFORM__UI__PORT", " "): ["it is set but empty", "unset it"],
    ("QUANT_PLATFORM__UI__PORT", "yes"): ["ui.port", "the text 'yes'", "from 1 to 65535"],
    ("QUANT_PLATFORM__UI__PORT", "[1"): ["not valid YAML"],
    ("QUANT_PLATFORM__UI__PORT", "\udcff"): ["a control character"],
    ("QUANT_PLATFORM__UI__PORT__X", "1"): ["ui.port: found a mapping", "whole number"],
    ("QUANT_PLATFORM__UI", "3"): ["ui: found the number 3", "a mapping"],
    ("QUANT_PLATFORM__UI", "{port: 1, port: 2}"): ["'port' is given twice", "given before"],
    ("QUANT_SCANNERS__US_TRND__LIMIT", "3"): ["no scanner 'us_trnd'", "expected us_trend"],
    ("QUANT_SCANNERS__US_TREND__LIMITS", "3"): ["unknown key 'limits'", "expected limit"],
    ("QUANT_SCANNERS__US_TREND__ASSET_CLASS", "etf"): ["'etf'", "stock, as the folder's name says"],
    ("QUANT_META__META__TRAIN", "3"): ["no setting has this name", "QUANT_METAS__META__TRAIN"],
    ("QUANT_METAS__META_X__TRAIN", "3"): ["no meta 'meta_x'", "assets_config/meta"],
    ("QUANT_EXECUTION_CASH", "3"): ["no setting has this name", "QUANT_EXECUTION__CASH"],
    ("QUANT_EXECUTION__CASH", "none"): ["cash: found the text 'none'", "above 0.0"],
    ("QUANT_EXECUTION__OPENED", "2022-06-01"): ["opened: 2022-06-01 is before", "2023-01-03"],
    ("QUANT_PLATFORM__HISTORY_START", "2024-01-02"): ["walk_forward_start: 2023-01-03 is before"],
    ("QUANT_PLATFORM__WALK_FORWARD_START", "2024-01-02"): ["opened: 2023-12-01 is before"],
    ("QUANT_REGIMES__BREADTH_SLEEVE", "stocks"): ["breadth_sleeve: there is no sleeve 'stocks'"],
}


@pytest.mark.parametrize(("name", "value"), ENVIRONMENT_REFUSALS)
def test_environment(name: str, value: str, refusal: Refusal) -> None:
    sentence = refusal(environ={name: value})
    assert sentence.startswith(f"environment {name}: ")
    for part in ENVIRONMENT_REFUSALS[name, value]:
        assert part in sentence


def test_a_section_set_wrongly_is_not_hidden_by_a_part_set_well(refusal: Refusal) -> None:
    environ = {"QUANT_PLATFORM__UI__PORT": "4", "QUANT_PLATFORM__UI": "3"}
    assert refusal(environ=environ).startswith("environment QUANT_PLATFORM__UI: ")


OVERRIDE_REFUSALS: dict[tuple[str, object], list[str]] = {
    ("platfrm.ui", 3): ["unknown key 'platfrm'", "expected platform"],
    ("platform.ui.prot", 3): ["unknown key 'prot' in ui", "expected port"],
    ("sleeves.krypto.symbols", 3): ["no sleeve 'krypto'", "expected crypto"],
    ("platform", 3): ["found the number 3", "a mapping"],
    ("platform.ui.port", 3.5): ["ui.port: found the number 3.5"],
    ("platform.ui.port", b"3"): ["ui.port: found"],
    ("scanners.us_trnd.limit", 3): ["no scanner 'us_trnd'", "expected us_trend"],
    ("metas", 3): ["metas: found the number 3", "a mapping"],
    ("execution", 3): ["found the number 3", "a mapping"],
    ("exection.cash", 3): ["unknown key 'exection'", "expected execution"],
}


@pytest.mark.parametrize(("key", "value"), OVERRIDE_REFUSALS)
def test_overrides(key: str, value: object, refusal: Refusal) -> None:
    sentence = refusal(overrides={key: value})
    assert sentence.startswith(f"override {key}: ")
    for part in OVERRIDE_REFUSALS[key, value]:
        assert part in sentence


def test_bytes_that_are_not_utf8(platform_file: Path, refusal: Refusal) -> None:
    platform_file.write_bytes("ui: {}\n# Z\xfcrich\n".encode("latin-1"))
    sentence = refusal()
    assert sentence.startswith("assets_config/platform.yaml:2: bytes that are not UTF-8")


def test_several_problems_are_counted(
    platform_file: Path, crypto_file: Path, refusal: Refusal
) -> None:
    platform_file.write_text("ui:\n  port: 0\nrebalance:\n  step: 0\n")
    assert refusal().endswith("; 1 more problem after this one")
    crypto_file.write_text("calendar: [\n")
    sentence = refusal(environ={"QUANT_PLATFORM__BACKFILL_CHUNK": "none"})
    assert sentence.startswith("assets_config/platform.yaml:2: ui.port")
    assert sentence.endswith("; 3 more problems after this one")


def test_one_bad_item_is_one_problem(crypto_file: Path, refusal: Refusal) -> None:
    crypto_file.write_text(f"{SCANNERS}calendar: 24/7\nasset_classes: [stok]\n")
    assert "more problem" not in refusal()


@pytest.mark.parametrize(
    "text",
    [
        "api_key: hunter2\n",
        "ui: {password: hunter2}\n",
        "ui: {password: {inner: hunter2}}\n",
        "knowledge_lag_minutes: {broker_token: hunter2}\n",
        "calendars: {XNYS: {job: 'secret=hunter2!'}}\n",
        "ui:\n  api_key: *hunter2\n",
        "ui:\n  api_key: !hunter2\n",
        "ui:\n  api_key: 'hunter2\n",
        'ui:\n  api_key: "\\hunter2"\n',
        "token:hunter2\n",
        "lake_root: token://hunter2\n",
    ],
)
def test_a_secret_is_never_echoed(text: str, platform_file: Path, refusal: Refusal) -> None:
    platform_file.write_text(text)
    assert "hunter2" not in refusal()
    platform_file.write_text("{}\n")
    assert "hunter2" not in refusal(environ={"QUANT_PLATFORM__API_KEY": "hunter2"})
    assert "hunter2" not in refusal(overrides={"platform.ui.token": "hunter2"})


def test_a_secret_in_the_wrong_place_is_not_echoed(crypto_file: Path, refusal: Refusal) -> None:
    crypto_file.write_text(f"{SCANNERS}calendar: token-hunter2\nasset_classes: [crypto]\n")
    assert "unknown calendar ***" in refusal()


def test_an_ordinary_value_is_echoed_and_a_secret_masked(
    platform_file: Path, refusal: Refusal
) -> None:
    platform_file.write_text("knowledge_lag_minutes: {broker_token: hunter2}\n")
    assert "found the text ***" in refusal()
    platform_file.write_text("knowledge_lag_minutes: {bars: hunter2}\n")
    assert "found the text 'hunter2'" in refusal()


def test_a_long_or_unprintable_value_is_shortened(platform_file: Path, refusal: Refusal) -> None:
    platform_file.write_text('ui:\n  port: "' + "\\e[31m\\n" + "x" * 5000 + '"\n')
    sentence = refusal()
    assert sentence.isprintable()
    assert len(sentence) < 300


def test_missing_files(project: Path, platform_file: Path, refusal: Refusal) -> None:
    sleeves = project / "assets_config" / "sleeves"
    platform_file.rename(platform_file.with_name("plattform.yaml"))
    assert refusal().startswith("no file assets_config/platform.yaml")
    assert "rename plattform.yaml" in refusal()
    platform_file.with_name("plattform.yaml").rename(platform_file)

    sleeves.rename(sleeves.with_name("sleeve"))
    assert "no folder assets_config/sleeves" in refusal()
    assert "rename sleeve" in refusal()
    sleeves.mkdir()
    (sleeves / "README.md").write_text("no sleeve")
    assert "no sleeve in assets_config/sleeves" in refusal()


def test_a_project_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder assets_config"):
        load_settings(tmp_path, environ={})


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("crypto.yml", "rename it crypto.yaml"),
        ("My Crypto.yaml", "name: found the text 'My Crypto'"),
        ("a__b.yaml", "name: found the text 'a__b'"),
        ("market.yaml", "the name market is taken by a shared branch"),
        ("execution.yaml", "the name execution is taken by a shared branch"),
        ("reports.yaml", "the name reports is taken by a shared branch"),
        ("meta.yaml", "the name meta is taken by a shared branch"),
        ("meta_x.yaml", "the name meta_x begins as those of metas do"),
    ],
)
def test_a_sleeve_file_with_an_unusable_name(
    name: str, part: str, crypto_file: Path, refusal: Refusal
) -> None:
    crypto_file.rename(crypto_file.with_name(name))
    sentence = refusal()
    assert sentence.startswith(f"assets_config/sleeves/{name}:1: ")
    assert part in sentence


def test_a_folder_where_a_file_should_be(platform_file: Path, refusal: Refusal) -> None:
    platform_file.unlink()
    platform_file.mkdir()
    assert "assets_config/platform.yaml:1: the file cannot be read" in refusal()


def test_an_error_carries_its_parts(project: Path, platform_file: Path) -> None:
    platform_file.write_text("ui: {prot: 3}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(project, environ={})
    assert caught.value.expected == "port"
    assert caught.value.mend == "correct or remove the key"
    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is None
