"""Judging a history of returns: metrics, drawdowns, robustness standards."""
