"""The settings of portfolios: the profiles and costs of a sleeve, and the metas over sleeves.

``ProfilesSettings`` and ``CostSettings`` are parts of a sleeve's file; ``MetaSettings`` is one file
of ``assets_config/meta/``. Each table reads one of them and no more, so that another commission
recomputes no weights.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from quant_platform.settings.base import Identifier, SettingsModel, described, refuse

ProfileName = Literal[
    "equal_weight",
    "min_variance",
    "risk_parity",
    "max_sharpe",
    "max_diversification",
    "hrp",
    "herc",
    "nco",
]
"""A risk profile, which is also the name of its method."""

# A guard against 5 written for 5 bps as a percentage, not a limit of any market.
MOST_BPS = 500.0
# Bounds such as 1/3 are written with few digits: 3 x 0.3333 is meant to be one.
ROUNDING = 1e-9


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise refuse(f"{twice} is listed twice", expected="each name once")
    return tuple(sorted(names))


# A list in YAML becomes a tuple; sorted, because the order of a list changes no result.
Profiles = Annotated[
    tuple[ProfileName, ...], Field(strict=False, min_length=1), AfterValidator(_distinct)
]
Members = Annotated[
    tuple[Identifier, ...], Field(strict=False, min_length=1), AfterValidator(_distinct)
]


class CostSettings(SettingsModel):
    """What a trade costs, as a share of the amount bought or sold."""

    model: Literal["flat"] = described(
        "The cost model: flat is slippage plus commission on every amount traded.", "flat"
    )
    slippage_bps: float = described(
        "Distance of the fill from the execution price, always against us.",
        5.0,
        unit="bps of the amount traded",
        ge=0.0,
        le=MOST_BPS,
    )
    commission_bps: float = described(
        "Fee of the broker or exchange.",
        1.0,
        unit="bps of the amount traded",
        ge=0.0,
        le=MOST_BPS,
    )

    @property
    def rate(self) -> float:
        """Cost of trading an amount of one."""
        return (self.slippage_bps + self.commission_bps) * 1e-4


class HrpSettings(SettingsModel):
    """Which hierarchical risk parity is meant: libraries differ under the same name."""

    distance: Literal["correlation", "columns"] = described(
        "correlation: the square root of (1 - correlation) / 2. columns: the Euclidean distance "
        "between the columns of that matrix, as in the first paper.",
        "correlation",
    )
    linkage: Literal["single", "complete", "average", "ward"] = described(
        "How the distance between clusters follows from that between their members.", "ward"
    )
    leaf_order: bool = described(
        "Whether the leaves are put in the order of least distance between neighbours.", True
    )


class ProfilesSettings(SettingsModel):
    """The tournament of risk profiles inside one sleeve."""

    profiles: Profiles = described(
        "Risk profiles that the sleeve runs side by side.", ("equal_weight", "hrp", "min_variance")
    )
    lookback: int = described(
        "Sessions of the sleeve up to the decision whose returns the risk profiles see.",
        60,
        unit="sessions",
        ge=2,
        le=2520,
    )
    min_rows: int = described(
        "A name with fewer returns among those is left out of the risk profiles, and its row "
        "says so.",
        40,
        unit="returns",
        ge=2,
        le=2520,
    )
    cap: float = described(
        "Largest weight of one name, or 1/n where the n names selected are too few for it.",
        0.25,
        unit="share of the profile's value",
        gt=0.0,
        le=1.0,
    )
    hrp: HrpSettings = described("The variant of hierarchical risk parity.", HrpSettings())

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.min_rows > self.lookback:
            raise refuse(
                f"min_rows {self.min_rows} is more than the lookback of {self.lookback} sessions",
                expected="at most the look-back",
                mend="lower min_rows or raise lookback",
            )
        return self


class MetaBoundSettings(SettingsModel):
    """How little and how much one sleeve may be of the meta at a decision."""

    lower: float = described(
        "Smallest weight of a sleeve.", 0.05, unit="share of the meta's value", ge=0.0, le=1.0
    )
    upper: float = described(
        "Largest weight of a sleeve.", 0.5, unit="share of the meta's value", gt=0.0, le=1.0
    )


class MetaSettings(SettingsModel):
    """Everything in one file of ``assets_config/meta/``: one meta-portfolio over sleeves."""

    name: Identifier = described(
        "The meta's name and the prefix of its asset keys: the file's name without .yaml. "
        "May be left out; if it is given it must say the same."
    )
    description: str = described("A sentence for the reader of the graph.", "", outside_hash=True)
    members: Members = described("Sleeves that the meta holds.")
    profiles: Profiles = described(
        "Profiles of the meta; each sees the streams of the same profile of every sleeve.",
        ("equal_weight", "hrp", "min_variance"),
    )
    bounds: MetaBoundSettings = described(
        "Bounds on each sleeve's weight, held at the decision; drift may pass them.",
        MetaBoundSettings(),
    )
    train: int = described(
        "Joint sessions up to the decision that it sees.", 60, unit="sessions", ge=2, le=2520
    )
    min_joint: int = described(
        "With fewer joint sessions than this the last weights are held, and the rows say so.",
        40,
        unit="sessions",
        ge=2,
        le=2520,
    )
    hrp: HrpSettings = described("The variant of hierarchical risk parity.", HrpSettings())

    @model_validator(mode="after")
    def _solvable(self) -> Self:
        count, lower, upper = len(self.members), self.bounds.lower, self.bounds.upper
        if not count * lower <= 1 + ROUNDING or not count * upper >= 1 - ROUNDING or lower > upper:
            raise refuse(
                f"{count} sleeves between {lower:g} and {upper:g} each can not add up to one",
                expected=f"bounds with {count} x lower <= 1 <= {count} x upper",
                mend="change the bounds or the members",
            )
        if self.min_joint > self.train:
            raise refuse(
                f"min_joint {self.min_joint} is more than the {self.train} sessions of train",
                expected="at most train",
                mend="lower min_joint or raise train",
            )
        return self
