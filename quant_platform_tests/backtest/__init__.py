"""Tests of `quant_platform.backtest`."""
