"""Tests of the batched event log."""
