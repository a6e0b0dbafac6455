"""Law 2 on the shipped graph, in good days and bad, and on graphs that break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quant_platform_tests.laws import planted
from quant_platform_tests.laws.broken import LawBroken, require_same
from quant_platform_tests.laws.conftest import FIRST, LAST, SMALL, SMALL_FIRST, SMALL_LAST
from quant_platform_tests.laws.deliveries import AlteredDelivery, garbled_delivery
from quant_platform_tests.laws.ranges import (
    Segment,
    check_made_over_again,
    check_range_equals_chunks,
    check_securities_apart,
)
from quant_platform_tests.laws.workshop import Workshop
from quant_platform_tests.small_project import SmallProject
