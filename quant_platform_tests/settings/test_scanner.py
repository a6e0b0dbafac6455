"""Scanner manifests: what they mean, and one sentence for each way to get one wrong."""

from __future__ import annotations

import polars as pl
import pytest

from quant_platform.errors import ConfigError
from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.settings.base import SettingsModel
from quant_platform.settings.scanner import ScannerNames, ScannerSettings, rules_of
from quant_platform.settings.schemas import schema_of
from quant_platform.settings.screener_fields import FIELDS, NUMBERS
from quant_platform_tests.scanners.manifests import SHIPPED, manifest, shipped

GOOD = """\
filters:
  - {left: RSI, operation: in_range, right: [30, 50.5]}
  - {left: Perf.1M, operation: greater, right: 0}
final_sort_by: Perf.1M
limit: 20
"""


def filters(*rules: str) -> str:
    """Write a manifest with these filters."""
    return "".join(
        ["filters:\n", *(f"  - {rule}\n" for rule in rules), "final_sort_by: RSI\nlimit: 5\n"]
    )


def test_a_manifest_says_what_is_asked_in_which_order() -> None:
    found = manifest(GOOD)
    asked = [(rule.name, rule.left, rule.comparison, rule.right) for rule in rules_of(found)]
    assert asked == [
        ("RSI egreater", "RSI", "egreater", 30.0),
        ("RSI eless", "RSI", "eless", 50.5),
        ("Perf.1M greater", "Perf.1M", "greater", 0.0),
    ]
    assert (found.sort_by, found.sort_order, found.prefilter_limit) == ("Value.Traded", "desc", 300)
    assert (found.final_sort_by, found.final_sort_order, found.limit) == ("Perf.1M", "desc", 20)
    assert (found.name, found.asset_class) == ("tried", "stock")


def test_the_fields_are_the_columns_of_the_screener() -> None:
    schema = SCREENER.empty().schema
    numeric = [name for name, dtype in schema.items() if dtype.is_numeric()]
    assert list(NUMBERS) == numeric
    identity = {"session", "security_id", "symbol", "asset_class"}
    assert set(schema) - set(FIELDS) == identity | {"requested", "actual", "fallback"}
    assert pl.Float64 in schema.values()


def test_the_editors_schema_knows_fields_and_both_forms_of_a_threshold() -> None:
    rule = schema_of(ScannerSettings)["properties"]["filters"]["items"]
    assert "Value.Traded" in rule["properties"]["left"]["enum"]
    forms = [form["type"] for form in rule["properties"]["right"]["anyOf"]]
    assert forms == ["number", "array", "string", "array"]
    assert set(rule["required"]) == {"left", "operation", "right"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_manifest_is_good(path: pytest.TempPathFactory) -> None:
    assert shipped(path.stem).description


REFUSALS = {
    "unknown field": (
        filters("{left: Perf.2M, operation: greater, right: 0}"),
        ["tried.yaml:2", "filters.0.left", "'Perf.2M'", "Perf.1M"],
    ),
    "field by another case": (
        filters("{left: value.traded, operation: greater, right: 0}"),
        ["'value.traded'", "write Value.Traded"],
    ),
    "text column": (
        filters("{left: sector, operation: equal, right: 1}"),
        ["filters.0", "sector is a column of names", "in or not_in"],
    ),
    "wrong operator": (
        filters("{left: RSI, operation: above, right: 0}"),
        ["tried.yaml:2", "filters.0.operation", "'above'", "greater or egreater or less"],
    ),
    "list where a number is due": (
        filters(
            "{left: close, operation: less, right: 3}", "{left: RSI, operation: less, right: [1]}"
        ),
        ["tried.yaml:3", "filters.1.right", "the list [1]", "expected a number"],
    ),
    "number where a list is due": (
        filters("{left: RSI, operation: in_range, right: 30}"),
        ["the number 30", "a list of two numbers"],
    ),
    "list of one": (
        filters("{left: RSI, operation: in_range, right: [30]}"),
        ["the list [30]", "a list of two numbers"],
    ),
    "list with a text": (
        filters("{left: RSI, operation: in_range, right: [30, high]}"),
        ["the list", "a list of two numbers"],
    ),
    "text": (
        filters("{left: RSI, operation: less, right: low}"),
        ["filters.0.right", "the text 'low'", "expected a number"],
    ),
    "truth value": (
        filters("{left: RSI, operation: less, right: true}"),
        ["the truth value true", "expected a number"],
    ),
    "nothing": (
        filters("{left: RSI, operation: less, right: }"),
        ["nothing (null)", "expected a number"],
    ),
    "a mapping": (
        filters("{left: RSI, operation: less, right: {a: 1}}"),
        ["found a mapping", "expected a number"],
    ),
    "no number": (
        filters("{left: RSI, operation: less, right: .nan}"),
        ["the number nan", "expected a number"],
    ),
    "no end": (
        filters("{left: RSI, operation: in_range, right: [1, .inf]}"),
        ["the list [1, inf]", "a list of two numbers"],
    ),
    "too large for a float": (
        filters("{left: RSI, operation: less, right: " + "9" * 99 + "9" * 300 + "}"),
        ["filters.0.right", "expected a number"],
    ),
    "no threshold": (
        filters("{left: RSI, operation: less}"),
        ["tried.yaml:2", "filters.0: right is missing", "add the key"],
    ),
    "no operator": (
        filters("{left: RSI, right: 3}"),
        ["filters.0.operation is missing", "greater or egreater"],
    ),
    "unknown key of a rule": (
        filters("{left: RSI, operator: less, operation: less, right: 3}"),
        ["unknown key 'operator' in filters.0", "operation"],
    ),
    "a range from high to low": (
        filters("{left: RSI, operation: in_range, right: [50, 30]}"),
        ["the range from 50 to 30 holds no number", "the lower bound first"],
    ),
    "rules that contradict": (
        filters(
            "{left: RSI, operation: greater, right: 50}", "{left: RSI, operation: eless, right: 50}"
        ),
        ["tried.yaml:1", "filters", "no number is greater 50 and eless 50", "RSI"],
    ),
    "equal outside the range": (
        filters(
            "{left: RSI, operation: equal, right: 90}",
            "{left: RSI, operation: in_range, right: [0, 80]}",
        ),
        ["no number is equal 90 and eless 80"],
    ),
    "a rule twice": (
        filters(
            "{left: RSI, operation: less, right: 50}", "{left: RSI, operation: less, right: 40}"
        ),
        ["RSI less is there twice (50 and 40)", "keep the stricter one"],
    ),
    "no rules": (
        "filters: []\nfinal_sort_by: RSI\nlimit: 5\n",
        ["filters", "an empty list", "at least one"],
    ),
    "limit 0": (GOOD.replace("limit: 20", "limit: 0"), ["limit", "the number 0", "from 1 to"]),
    "limit 2.5": (GOOD.replace("limit: 20", "limit: 2.5"), ["limit", "2.5", "a whole number"]),
    "limit above the first cut": (
        "prefilter_limit: 10\n" + GOOD,
        ["20 are to be found of the 10 that prefilter_limit lets through", "at most 10"],
    ),
    "unknown sort field": (
        GOOD.replace("final_sort_by: Perf.1M", "final_sort_by: Perf"),
        ["final_sort_by", "'Perf'", "expected Perf.Y or Perf.W"],
    ),
    "sort order": (GOOD + "sort_order: down\n", ["sort_order", "'down'", "desc or asc"]),
    "unknown key": (GOOD + "limits: 3\n", ["unknown key 'limits'", "expected limit"]),
    "symbol without exchange": (
        GOOD + "exclude_symbols: [AAPL]\n",
        ["exclude_symbols.0", "'AAPL'", "text that matches"],
    ),
    "symbol twice": (
        GOOD + "exclude_symbols: ['NYSE:A', 'NYSE:A']\n",
        ["NYSE:A is listed twice", "each symbol once"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_bad_manifest_is_one_sentence(case: str) -> None:
    text, parts = REFUSALS[case]
    with pytest.raises(ConfigError) as caught:
        manifest(text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence, sentence


@pytest.mark.parametrize("name", ["overlap", "liquidity_audit"])
def test_the_name_of_a_table_about_all_scanners_is_taken(name: str) -> None:
    with pytest.raises(ConfigError, match=f"scan_{name} is a table about all scanners"):
        manifest(GOOD, name)


def test_bounds_that_touch_leave_room() -> None:
    text = filters(
        "{left: RSI, operation: egreater, right: 50}", "{left: RSI, operation: eless, right: 50}"
    )
    assert len(rules_of(manifest(text))) == 2


class Holder(SettingsModel):
    scanners: ScannerNames


def test_the_scanners_of_a_sleeve_are_sorted_and_distinct() -> None:
    assert Holder.model_validate({"scanners": ["b", "a"]}).scanners == ("a", "b")
    for wrong in ([], ["a", "a"], ["A b"], "a"):
        with pytest.raises(ValueError, match="scanners"):
            Holder.model_validate({"scanners": wrong})
