"""The market's regime."""
