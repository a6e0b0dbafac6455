"""Pure functions from published rows to features, one module per family."""
