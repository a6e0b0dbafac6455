"""``quant scanners``: which there are, what each asks and who said so, and whether all are used."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from quant_platform.cli.config import leaves
from quant_platform.cli.console import table_console
from quant_platform.cli.naming import scanner_named, sleeve_named
from quant_platform.errors import ConfigError
from quant_platform.settings import Settings, load_settings
from quant_platform.settings.presets import PRESETS, SCANNERS, stands_on, unreferenced
from quant_platform.settings.scan_rules import NameRule, Rule
from quant_platform.settings.scanner import COMPOSITE, ScannerSettings, names_asked, rules_of

app = typer.Typer(
    add_completion=False, help="List, show and validate the scanners.", no_args_is_help=True
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SIGNS = {"greater": ">", "egreater": ">=", "less": "<", "eless": "<=", "equal": "="}


@app.command("list")
def list_command(
    sleeve: Annotated[
        str | None, typer.Option(help="Only the scanners that this sleeve lists.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """List the scanners, what they stand on, and which sleeves take them."""
    settings = load_settings()
    names = settings.scanners if sleeve is None else sleeve_named(settings, sleeve).scanners
    told = [_summary(settings, settings.scanners[name]) for name in names]
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table("scanner", "asset class", "stands on", "rules", "limit", "research", "sleeves")
    for number in (3, 4):
        table.columns[number].justify = "right"
    for row in told:
        table.add_row(
            row["scanner"],
            row["asset_class"],
            " → ".join(row["presets"]) or "–",
            str(len(row["rules"])),
            str(row["limit"]),
            "yes" if row["research"] else "–",
            ", ".join(row["sleeves"]) or "–",
        )
    table_console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Scanner, such as us_trend.")],
    as_json: _AsJson = False,
) -> None:
    """Print the resolved manifest of a scanner, and where each value comes from."""
    settings = load_settings()
    scanner = scanner_named(settings, name)
    manifest = scanner.model_dump(mode="json")
    values = dict(leaves(manifest, ""))
    origins = {key: settings.origins[f"{SCANNERS}.{name}.{key}"] for key in values}
    if as_json:
        told = _summary(settings, scanner) | {"manifest": manifest, "origins": origins}
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table("key", "value", "given by", "origin")
    for column in table.columns:
        column.overflow = "fold"
    for key, value in values.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        # Text, because a value such as [stock] would be read as markup.
        table.add_row(*map(Text, (key, shown, _giver(settings, name, origins[key]), origins[key])))
    table_console().print(table)
    told = _summary(settings, scanner)
    typer.echo(f"stands on: {' → '.join(told['presets']) or 'nothing'}")
    typer.echo(f"asked, in this order: {'; '.join(told['rules']) or 'nothing'}")
    typer.echo(f"listed by: {', '.join(told['sleeves']) or 'no sleeve'}")


@app.command()
def validate(as_json: _AsJson = False) -> None:
    """Load every scanner and preset; fail where one is used by nothing, or against its purpose.

    A scanner that no sleeve lists is told and no error: the shipped scanners are a library. One
    that is for research alone is refused by the loader where a sleeve lists it.
    """
    settings = load_settings()
    idle = unreferenced(settings)
    problems = [
        f"no scanner stands on the preset '{name}' ({settings.presets[name].layer}); "
        "remove its file, or name it as base_preset"
        for name in idle[PRESETS]
    ]
    problems += _disguised(settings)
    research = {
        section: [name for name, manifest in manifests.items() if manifest.research]
        for section, manifests in ((SCANNERS, settings.scanners), (PRESETS, settings.presets))
    }
    if as_json:
        told = {
            "valid": not problems,
            "problems": problems,
            "unlisted": idle[SCANNERS],
            "research": research,
        }
        typer.echo(json.dumps(told, indent=2))
    else:
        for problem in problems:
            typer.echo(f"Problem: {problem}.")
        if idle[SCANNERS]:
            typer.echo(f"Listed by no sleeve, which is no error: {', '.join(idle[SCANNERS])}.")
        for section, names in research.items():
            if names:
                typer.echo(f"For research alone, {section}: {', '.join(names)}.")
        verdict = f"{len(problems)} problems" if problems else "No problem"
        typer.echo(
            f"{verdict} in {len(settings.scanners)} scanners and {len(settings.presets)} presets."
        )
    if problems:
        raise typer.Exit(ConfigError.exit_code)


def _disguised(settings: Settings) -> list[str]:
    """Scanners that stand on something for research alone and say that they are not."""
    return [
        f"the scanner '{name}' says research: false and stands on the preset '{base}', which is "
        "for research alone; take that line out, or stand on another preset"
        for name, scanner in settings.scanners.items()
        if not scanner.research
        for base in stands_on(settings, scanner)
        if settings.presets[base].research
    ]


def _summary(settings: Settings, scanner: ScannerSettings) -> dict[str, Any]:
    rules = [*map(_asked_of_name, names_asked(scanner)), *map(_asked, rules_of(scanner))]
    by = scanner.final_sort_by
    return {
        "scanner": scanner.name,
        "asset_class": scanner.asset_class,
        "description": scanner.description,
        "presets": stands_on(settings, scanner),
        "rules": rules,
        "final_sort_by": by if by != COMPOSITE else list(scanner.momentum_composite_fields),
        "limit": scanner.limit,
        "research": scanner.research,
        "sleeves": [n for n, own in settings.sleeves.items() if scanner.name in own.scanners],
    }


def _asked(rule: Rule) -> str:
    right = rule.right if isinstance(rule.right, str) else f"{rule.right:g}"
    name = f"{rule.left} {_SIGNS[rule.comparison]} {right}"
    return f"{name} (one of {rule.group})" if rule.group else name


def _asked_of_name(rule: NameRule) -> str:
    return f"{rule.left} {'in' if rule.among else 'not in'} {', '.join(rule.names)}"


def _giver(settings: Settings, name: str, origin: str) -> str:
    """Say in a word who gave a value: a preset, the scanner's own file, or another layer."""
    layer, _, rest = origin.partition(" ")
    if layer != "file":
        return layer
    folder, _, file = rest.rpartition("/")
    stem = file.partition(".yaml")[0]
    if folder.startswith(f"assets_config/{PRESETS}/") and stem in settings.presets:
        return f"preset {stem}"
    return "its own file" if stem == name else rest
