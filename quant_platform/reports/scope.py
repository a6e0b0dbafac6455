"""What there is to report on, and which sessions of which tables that takes.

A project may lack an account, a meta or a regime model. What is not in the scope has no window; the
report says that it is not configured.

Blocked sessions of an input count as empty, because the report of a bad evening is the one that is
needed most. The orders of an evening are handed over after everything else, or never: they are
shown as far as they are there.
"""

from __future__ import annotations

from datetime import date
from typing import Self

from quant_platform.lakehouse.windows import Window
from quant_platform.settings import Settings
from quant_platform.settings.base import Identifier, SessionDate, SettingsModel, described

YEAR = 252
"""Sessions of the longest look-back, about a year."""
MONTH = 21
"""Sessions of the short look-back, about a month."""

EVENING = ("orders_plan", "execution_ready", "risk_controls", "reconciliation")
"""Tables of the account of which only the evening itself is shown."""


class AccountScope(SettingsModel):
    """The account that trades a profile of a meta."""

    portfolio: Identifier = described("The meta that is traded.")
    profile: Identifier = described("The profile of it that is traded.")
    currency: str = described("Currency of the account.")
    opened: SessionDate = described("First session of the account, or the last day before it.")


class DailyScope(SettingsModel):
    """What ``reports/daily`` depends on, and nothing else."""

    sleeves: dict[Identifier, tuple[str, ...]] = described("Profiles of each sleeve.")
    metas: dict[Identifier, tuple[str, ...]] = described("Profiles of each meta.", {})
    account: AccountScope | None = described("The account, if there is one.", None)
    biased: tuple[Identifier, ...] = described("Sleeves whose history is that of survivors.", ())
    regime: bool = described("Whether the market's regime is in the graph.", False)
    sessions_per_year: int = described(
        "Sessions of a year on the report's calendar, by which volatility is annualised.",
        252,
        unit="sessions",
        ge=1,
        le=366,
    )
    top: int = described("Targets that are figures of their own.", 10, unit="names", ge=1, le=500)

    @classmethod
    def of(cls, settings: Settings, calendar: str = "XNYS") -> Self:
        """Take the scope out of all settings.

        Parameters
        ----------
        settings
            All settings.
        calendar
            Code of the report's calendar.
        """
        execution = settings.execution
        return cls(
            sleeves={
                name: tuple(sleeve.portfolio.profiles) for name, sleeve in settings.sleeves.items()
            },
            metas={name: tuple(meta.profiles) for name, meta in settings.metas.items()},
            account=None
            if execution is None
            else AccountScope(
                portfolio=execution.portfolio,
                profile=execution.profile,
                currency=execution.currency,
                opened=execution.opened,
            ),
            biased=tuple(
                name
                for name, sleeve in settings.sleeves.items()
                if sleeve.universe.survivorship == "biased"
            ),
            regime=settings.regimes is not None,
            sessions_per_year=settings.platform.calendars[calendar].periods_per_year,
        )

    @property
    def target(self) -> tuple[str, str] | None:
        """Meta and profile whose targets are shown: what is traded, else the first there is."""
        if self.account is not None:
            return self.account.portfolio, self.account.profile
        return next(((name, profiles[0]) for name, profiles in sorted(self.metas.items())), None)

    @property
    def currency(self) -> str:
        """Currency of amounts; without an account there are none."""
        return "money" if self.account is None else self.account.currency

    def before_account(self, session: date) -> bool:
        """Tell whether the account did not exist yet."""
        return self.account is not None and session < self.account.opened


def daily_windows(scope: DailyScope) -> dict[str, Window]:
    """Sessions of its inputs that ``reports/daily`` depends on; every table is named in full.

    Parameters
    ----------
    scope
        What there is to report on.
    """
    # The leg of another calendar begins on the day after the session before the first.
    windows = {f"returns_{name}": _shown(f"{name}/profile_returns", YEAR) for name in scope.sleeves}
    for meta in scope.metas:
        windows[f"returns_{meta}"] = _shown(f"{meta}/portfolio_returns", YEAR)
        windows[f"weights_{meta}"] = _shown(f"{meta}/weights")
    windows["gates"] = _shown("reports/gates", YEAR - 1)
    if scope.target is not None:
        windows["target_portfolio"] = _shown(f"{scope.target[0]}/target_portfolio")
    if scope.account is not None:
        windows["positions"] = _shown("execution/positions", YEAR)
        windows["fills"] = _shown("execution/fills", MONTH - 1)
        windows["orders"] = Window("execution/orders", required=False)
        windows |= {name: _shown(f"execution/{name}") for name in EVENING}
    if scope.regime:
        windows["regime"] = _shown("market/regime")
    return windows


def _shown(table: str, lookback: int = 0) -> Window:
    return Window(table, lookback, withdraws=False)
