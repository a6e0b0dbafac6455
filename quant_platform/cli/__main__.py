"""``python -m quant_platform.cli``: the same as ``quant``."""

from quant_platform.cli.main import main

if __name__ == "__main__":
    main()
