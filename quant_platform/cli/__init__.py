"""The `quant` command: one module per command, thin over the orchestration."""
