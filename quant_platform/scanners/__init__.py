"""Universe scans: the screener, the three-layer engine, and the union of what it finds."""
