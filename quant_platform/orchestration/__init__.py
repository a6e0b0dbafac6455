"""The graph in Dagster: the only package that imports it, one module per concept."""
