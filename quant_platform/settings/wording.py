"""How a value that was found is echoed in a sentence: on one line, short, and never a secret."""

from __future__ import annotations

import re

MASK = "***"
LONGEST_ECHO = 60

_SECRET = re.compile("key|secret|token|passw|credential", re.IGNORECASE)


def plain(text: str) -> str:
    """Return text that is safe on one line of a terminal, shortened if it is long."""
    printable = text if text.isprintable() else ascii(text)[1:-1]
    return printable if len(printable) <= LONGEST_ECHO else printable[:LONGEST_ECHO] + "…"


def smells_of_secret(text: str) -> bool:
    """Tell whether a key or a value has a word in it that names a secret."""
    return _SECRET.search(text) is not None


def quoted(text: str) -> str:
    """Return a value in quotes, masked if it smells of a secret."""
    return MASK if smells_of_secret(text) else repr(plain(text))
