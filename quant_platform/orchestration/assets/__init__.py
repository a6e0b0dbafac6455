"""The stages of the chain, one module for each link.

``branches`` puts them together: a sleeve's branch, the regime, the metas, execution, reports.
"""
