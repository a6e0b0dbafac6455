"""The asset classes: what a sleeve may hold, and the folders that scanners lie in."""

from __future__ import annotations

from typing import Literal

AssetClass = Literal["stock", "etf", "crypto"]
