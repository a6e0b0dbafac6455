"""``quant explain``: every decision about a symbol on a session."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table
from rich.text import Text

from quant_platform.cli.console import table_console
from quant_platform.cli.explanation import Step, explain, number
from quant_platform.cli.held import Held
from quant_platform.cli.naming import refuse_unknown, sleeve_named
from quant_platform.cli.session_arguments import parse_day
from quant_platform.errors import CalendarError, LakeError, QuantError
from quant_platform.lakehouse.lake import Lake
from quant_platform.settings import Settings, load_settings

app = typer.Typer(add_completion=False)

_NAMING = ("universe", "selection", "weights")
"""Tables of which a security may be asked: who left the universe may still be held."""
_VERDICTS = {True: "in", False: "out", None: "–"}


@app.command()
def explain_command(
    symbol: Annotated[
        str, typer.Argument(help="EXCHANGE:TICKER, the ticker alone, or a security_id.")
    ],
    session: Annotated[str, typer.Option(help="Session, YYYY-MM-DD.")],
    sleeve: Annotated[
        str | None, typer.Option(help="Only this sleeve; every one that knows it without.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Explain what became of a symbol, from the universe through scans and selection to weights."""
    settings = load_settings()
    if sleeve is not None:
        sleeve_named(settings, sleeve)
    day = parse_day(session, "--session")
    lake = Lake.open(settings.lake_root)
    holding = _holding(settings, lake, session, sleeve)
    told: list[dict[str, Any]] = [
        {
            "sleeve": held.sleeve,
            "symbol": named,
            "security_id": security,
            "session": session,
            "steps": explain(
                held,
                [settings.scanners[name] for name in settings.sleeves[held.sleeve].scanners],
                security,
                day,
            ),
        }
        for held in holding
        for security, named in _matches(held, symbol, day)
    ]
    if not told:
        _refuse_symbol(holding, symbol, day)
    if as_json:
        plain = [one | {"steps": [vars(step) for step in one["steps"]]} for one in told]
        typer.echo(json.dumps(plain, indent=2, default=str))
        return
    for one in told:
        typer.echo("{symbol} ({security_id}) in {sleeve} on {session}".format(**one))
        _print_steps(one["steps"], day)


def _holding(settings: Settings, lake: Lake, session: str, sleeve: str | None) -> list[Held]:
    """Sleeves that hold anything of the session; if none does, the error of the first."""
    asked = list(settings.sleeves) if sleeve is None else [sleeve]
    found, refusals = [], list[QuantError]()
    for name in asked:
        held = Held(lake, name)
        try:
            day = held.session("universe", session)
        except (CalendarError, LakeError) as error:
            refusals.append(error)
            continue
        if any(held.state(kind, day) == "held" for kind in _NAMING):
            found.append(held)
        else:
            refusals.append(held.absent("universe", day))
    if not found:
        raise refusals[0]
    return found


def _named(held: Held, session: date) -> pl.DataFrame:
    """Every security that a table of the session names, by id and symbol."""
    frames = [held.rows(kind, session) for kind in _NAMING]
    return pl.concat(
        [frame.select("security_id", "symbol") for frame in frames if frame is not None]
    ).unique("security_id", keep="first", maintain_order=True)


def _matches(held: Held, symbol: str, session: date) -> list[tuple[str, str]]:
    """Securities that are called so, whatever the case."""
    named, asked = _named(held, session), symbol.casefold()
    folded = pl.col("symbol").str.to_lowercase()
    called = (
        (folded == asked)
        | (folded.str.split(":").list.last() == asked)
        | (pl.col("security_id").str.to_lowercase() == asked)
    )
    return list(named.filter(called).select("security_id", "symbol").sort("symbol").iter_rows())


def _refuse_symbol(holding: list[Held], symbol: str, session: date) -> None:
    """Say that a symbol is not listed on the session, or that nobody knows it, with near names."""
    known: set[str] = set()
    for held in holding:
        securities = held.table("securities")
        published = [day for day in held.lake.sessions(securities) if day <= session]
        told = held.lake.scan(securities, published).select("symbol", "security_id").collect()
        once = {name.casefold() for column in told.iter_columns() for name in column}
        once |= {name.rpartition(":")[2].casefold() for name in told["symbol"]}
        if symbol.casefold() in once:
            raise LakeError(
                f"'{symbol}' of {held.sleeve} is not listed on {session}",
                expected="a symbol that is",
                mend=f"ask 'quant sql' for its listing in {held.sleeve}.securities",
            )
        known |= set(_named(held, session)["symbol"])
    ticker = symbol.rpartition(":")[2].casefold()
    elsewhere = {name for name in known if name.rpartition(":")[2].casefold() == ticker}
    if elsewhere:
        known = elsewhere
    elif ":" not in symbol:
        # Tickers are near each other where whole symbols are not.
        known = {name.rpartition(":")[2] for name in known}
    mend = f"give a symbol that is known on {session}, or another --sleeve"
    refuse_unknown("symbol", symbol, known, mend, LakeError)


def _print_steps(steps: list[Step], session: date) -> None:
    table = Table("stage", "", "why")
    table.columns[2].overflow = "fold"
    for step in steps:
        stage = step.stage if step.session == session else f"{step.stage} of {step.session}"
        table.add_row(stage, _VERDICTS[step.passed], Text(step.told))
    console = table_console()
    console.print(table)
    for name in ("components", "vetoes"):
        for step in steps:
            if rows := step.detail.get(name):
                console.print(_audit(name, rows))


def _audit(title: str, rows: list[dict[str, Any]]) -> Table:
    """Lay out the entries of an audit, a column for each field."""
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else str(value)
