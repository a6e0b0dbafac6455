"""What only all files together can show to be wrong: names in one file that lead to no other.

Each check yields problems at the line of the name that leads nowhere, wherever the layers have it
from. The models are valid one by one before anything here is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from quant_platform.settings.base import near_names
from quant_platform.settings.layers import LayeredTree
from quant_platform.settings.problems import KeyPath, Place, Problem, dotted, place_of
from quant_platform.settings.resolved import Settings
from quant_platform.settings.sections import SECTIONS
from quant_platform.settings.sleeve import META_PREFIX
from quant_platform.settings.wording import plain

META = "meta"
NYSE = "XNYS"
LAGGING_TABLES = ("bars",)
"""Tables whose source may not say when a row was published."""
CRYPTO_VENUES = ("BINANCE",)
"""Where coins are traded (chapter 04 of the specification); others are for research."""
_HOW_TO_MOVE = {"name": "rename the file", "asset_class": "move the file"}


def check_together(settings: Settings, tree: LayeredTree) -> list[Problem]:
    """Check what no model can see alone.

    Parameters
    ----------
    settings
        The resolved settings, each model valid by itself.
    tree
        The layered tree that they were made of, for the places of its keys.
    """
    misnamed = list(_names(settings, tree))
    if misnamed:
        # A file under a wrong name is missed by every file that means it; say so once.
        return misnamed
    return [
        problem
        for check in (
            _dates,
            _corrections,
            _lags,
            _sleeves,
            _benchmarks,
            _metas,
            _execution,
            _regimes,
            _lake,
        )
        for problem in check(settings, tree)
    ]


def _names(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    """Ask that a file says of itself what its name and its folder say."""
    for path, expected in tree.fixed.items():
        found = tree.at(path)
        key = str(path[-1])
        if found != expected:
            yield Problem(
                place_of(path, tree.places),
                f"{key}: found {plain(str(found))!r}",
                f"{expected}, as the {'file' if key == 'name' else 'folder'}'s name says",
                f"remove the key or {_HOW_TO_MOVE[key]}",
            )
    for name in settings.metas:
        if name != META and not name.startswith(META_PREFIX):
            yield Problem(
                place_of(("metas", name, "name"), tree.places),
                f"the name {plain(name)} could be that of a sleeve",
                f"{META}, or a name that begins with {META_PREFIX}",
                f"rename the file {META_PREFIX}{plain(name)}.yaml",
            )


def _dates(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    """Ask that market, history, walk-forward and account begin in this order."""
    platform = settings.platform
    history, market = platform.history_start, platform.embedded_market.start
    simulated = any("simulated" in sleeve.sources.values() for sleeve in settings.sleeves.values())
    if simulated and history < market:
        yield Problem(
            place_of(("platform", "history_start"), tree.places),
            f"history_start: {history} is before the simulated market begins",
            f"{market} (embedded_market.start) or later",
        )
    if _is_weekend(history) and any(s.calendar == NYSE for s in settings.sleeves.values()):
        yield Problem(
            place_of(("platform", "history_start"), tree.places),
            f"history_start: {history} is a {history:%A}",
            "a NYSE session, because a sleeve counts in those",
        )
    start = platform.walk_forward_start
    if start < history:
        yield Problem(
            _uppermost(tree, ("platform", "walk_forward_start"), ("platform", "history_start")),
            f"walk_forward_start: {start} is before history_start",
            f"{history} (history_start) or later",
        )
    account = settings.execution
    if account is not None and account.opened < start:
        yield Problem(
            _uppermost(tree, ("execution", "opened"), ("platform", "walk_forward_start")),
            f"opened: {account.opened} is before the first target portfolio",
            f"{start} (walk_forward_start of {SECTIONS['platform'].location}) or later",
        )


def _corrections(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    """Ask that corrections are those of a calendar that is used, and that a closure closes.

    Which weekdays are holidays only the calendar itself knows; it refuses those when it is built.
    """
    platform = settings.platform
    for key in ("extra_holidays", "extra_sessions"):
        corrections: dict[str, tuple[date, ...]] = getattr(platform, key)
        for code, days in corrections.items():
            path = ("platform", key, code)
            if code not in platform.calendars:
                yield Problem(
                    place_of(path, tree.places),
                    f"{key}: {code} is none of the platform's calendars",
                    " or ".join(platform.calendars),
                    f"correct it, or add {code} to calendars",
                )
            elif code == NYSE and key == "extra_holidays":
                for day in filter(_is_weekend, days):
                    yield Problem(
                        _place_of_item(tree, path, day.isoformat()),
                        f"{key}: {day} is a {day:%A}, no session of {code} anyway",
                        "a day on which the calendar would trade",
                        "correct or remove the day",
                    )


def _lags(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    for table in settings.platform.knowledge_lag_minutes:
        if table not in LAGGING_TABLES:
            yield Problem(
                place_of(("platform", "knowledge_lag_minutes", table), tree.places),
                f"knowledge_lag_minutes: no lag is assumed for a table {plain(table)!r}",
                " or ".join(LAGGING_TABLES),
                "correct or remove the key",
            )


def _sleeves(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    calendars = settings.platform.calendars
    for name, sleeve in settings.sleeves.items():
        if sleeve.calendar not in calendars:
            yield Problem(
                place_of(("sleeves", name, "calendar"), tree.places),
                f"calendar: {sleeve.calendar} has no job",
                " or ".join(calendars),
                f"add {sleeve.calendar} to calendars in {SECTIONS['platform'].location}",
            )
        path = ("sleeves", name, "scanners")
        for found in sleeve.scanners:
            scanner = settings.scanners.get(found)
            if scanner is None:
                fitting = [
                    other.name
                    for other in settings.scanners.values()
                    if other.asset_class in sleeve.asset_classes
                ]
                yield _nowhere(tree, path, "scanner", found, near_names(found, fitting) or fitting)
            elif scanner.asset_class not in sleeve.asset_classes:
                yield Problem(
                    _place_of_item(tree, path, found),
                    f"scanners: {found} looks at {scanner.asset_class}, which {name} does not hold",
                    f"scanners of {' or '.join(sleeve.asset_classes)}",
                    "correct scanners or asset_classes",
                )
            elif scanner.research:
                yield Problem(
                    _place_of_item(tree, path, found),
                    f"scanners: {found} is for research alone and can not feed weights",
                    "scanners without research: true",
                    "take it out of the list",
                )
            elif scanner.asset_class == "crypto" and scanner.exchanges != CRYPTO_VENUES:
                yield Problem(
                    _place_of_item(tree, path, found),
                    f"scanners: {found} looks at {' or '.join(scanner.exchanges) or 'any venue'}, "
                    "and coins are traded on one",
                    f"a scanner with exchanges [{', '.join(CRYPTO_VENUES)}]",
                    "give it a universe of that venue, or take it out of the list",
                )


def _metas(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    for name, meta in settings.metas.items():
        members = {
            member: settings.sleeves[member]
            for member in meta.members
            if member in settings.sleeves
        }
        for member in meta.members:
            if member not in members:
                path = ("metas", name, "members")
                yield _nowhere(tree, path, "sleeve", member, settings.sleeves)
        for profile in meta.profiles:
            without = [
                member
                for member, sleeve in members.items()
                if profile not in sleeve.portfolio.profiles
            ]
            if without:
                yield Problem(
                    _place_of_item(tree, ("metas", name, "profiles"), profile),
                    f"profiles: sleeve {without[0]} does not run {profile}",
                    "profiles that every member runs",
                    f"add it to portfolio.profiles of {without[0]} or remove it here",
                )


def _execution(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    account = settings.execution
    if account is None:
        return
    meta = settings.metas.get(account.portfolio)
    if meta is None:
        yield _nowhere(tree, ("execution", "portfolio"), "meta", account.portfolio, settings.metas)
    elif account.profile not in meta.profiles:
        near = near_names(account.profile, list(meta.profiles))
        yield Problem(
            _uppermost(tree, ("execution", "profile"), ("execution", "portfolio")),
            f"profile: {meta.name} does not run {plain(account.profile)!r}",
            " or ".join(near or meta.profiles),
        )
    for sleeve in account.sleeves:
        if sleeve not in settings.sleeves:
            yield _nowhere(
                tree, ("execution", "sleeves", sleeve), "sleeve", sleeve, settings.sleeves
            )


def _benchmarks(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    """Ask that the benchmark of a sleeve has a sleeve, whose sessions are the same."""
    for name, own in settings.sleeves.items():
        if own.benchmark is None:
            continue
        path = ("sleeves", name, "benchmark", "sleeve")
        other = settings.sleeves.get(own.benchmark.sleeve)
        if other is None:
            yield _nowhere(tree, path, "sleeve", own.benchmark.sleeve, settings.sleeves)
        elif other.calendar != own.calendar:
            fitting = [n for n, some in settings.sleeves.items() if some.calendar == own.calendar]
            yield Problem(
                place_of(path, tree.places),
                f"benchmark.sleeve: sleeve {own.benchmark.sleeve} trades on {other.calendar}, "
                f"and {plain(name)} on {own.calendar}",
                " or ".join(fitting),
            )


def _regimes(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    if settings.regimes is None:
        return
    named = {
        ("regimes", "benchmark", "sleeve"): settings.regimes.benchmark.sleeve,
        ("regimes", "breadth_sleeve"): settings.regimes.breadth_sleeve,
    }
    for path, sleeve in named.items():
        if sleeve not in settings.sleeves:
            yield _nowhere(tree, path, "sleeve", sleeve, settings.sleeves)
        elif settings.sleeves[sleeve].calendar != NYSE:
            fitting = [n for n, own in settings.sleeves.items() if own.calendar == NYSE]
            yield Problem(
                place_of(path, tree.places),
                f"{plain(dotted(path[1:]))}: sleeve {sleeve} trades on "
                f"{settings.sleeves[sleeve].calendar}, and the regime counts sessions of {NYSE}",
                " or ".join(fitting) or f"a sleeve on {NYSE}",
            )
    for sleeve in settings.regimes.others:
        if sleeve not in settings.sleeves:
            yield _nowhere(tree, ("regimes", "others", sleeve), "sleeve", sleeve, settings.sleeves)


def _lake(settings: Settings, tree: LayeredTree) -> Iterator[Problem]:
    """Refuse a lake that would hold the project itself, with its code and its settings."""
    if settings.project_root.is_relative_to(settings.lake_root):
        yield Problem(
            place_of(("platform", "lake_root"), tree.places),
            "lake_root: this folder holds the project itself",
            "a folder of its own",
            "write lakehouse, for instance",
        )


def _nowhere(
    tree: LayeredTree, path: KeyPath, noun: str, name: str, known: Iterable[str]
) -> Problem:
    """Report a name without a file, with the names that come near, else all of them."""
    choices = list(known)
    near = near_names(name, choices) or choices
    (location,) = (section.location for section in SECTIONS.values() if section.noun == noun)
    return Problem(
        _place_of_item(tree, path, name),
        f"{plain(dotted(path[1:] if path[0] in _SINGLE else path[2:]))}: "
        f"there is no {noun} {plain(name)!r}",
        " or ".join(near),
        f"correct it, or add its file to {location}/",
    )


_SINGLE = {section.key for section in SECTIONS.values() if not section.many}


def _is_weekend(day: date) -> bool:
    return day.isoweekday() > 5


def _place_of_item(tree: LayeredTree, path: KeyPath, name: str) -> Place:
    """Return the line of a name that stands in a list; a validated list is no longer in order."""
    written = tree.at(path)
    names = list(map(str, written)) if isinstance(written, list) else []
    if name in names:
        path = (*path, names.index(name))
    return place_of(path, tree.places)


def _uppermost(tree: LayeredTree, *paths: KeyPath) -> Place:
    """Return the place of the uppermost layer: of two that clash, the one that was changed."""
    return max((place_of(path, tree.places) for path in paths), key=lambda place: place.layer)
