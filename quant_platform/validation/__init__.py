"""Evidence: whether what was found, or made, holds.

So far the stylised facts of returns, by which a simulated market is compared with real ones.
"""

from quant_platform.validation.stylised_facts import FACTS, stylised_facts

__all__ = ["FACTS", "stylised_facts"]
