"""Published figures, recomputed through the platform's own functions."""
