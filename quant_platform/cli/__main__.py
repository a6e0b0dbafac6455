"""``python -m quant_platform.cli``: the same as ``quant``."""

from quant_platform.cli.main import main

main()
