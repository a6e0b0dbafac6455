"""What shares a fixture is named as it is."""

from __future__ import annotations

from pathlib import Path

from quant_platform_tests.scheduling import LONG, SHARING, together, turn

HERE = Path(__file__).parent


def test_every_name_is_there() -> None:
    files = [file for group in SHARING.values() for file in group]
    assert len(set(files)) == len(files)
    assert all((HERE / f"{file}.py").is_file() for file in files)
    assert all((HERE / folder).is_dir() for folder in LONG)


def test_files_of_one_fixture_stay_together_and_begin_first() -> None:
    chain = "quant_platform_tests/laws/test_chain.py::test_isolation"
    alarms = "quant_platform_tests/laws/test_alarms.py::test_an_alarm[x]"
    gates = "quant_platform_tests/laws/test_gates.py::test_x"
    short = "quant_platform_tests/market/test_pairs.py::test_y"
    assert together(chain) == together(alarms) != together(gates)
    assert sorted([short, gates, alarms], key=turn) == [alarms, gates, short]
