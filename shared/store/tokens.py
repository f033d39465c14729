"""The tokens of a row's latest writes, by which a repeated write is told from a conflicting one.

A client that lost an answer repeats its write, and other writes may have come in between; so a row keeps a
few tokens, not only the last. Kept as words of one text, newest first, to store the same way everywhere.
"""

KEPT = 8
"""How many writes may follow a write whose answer was lost and is asked for again."""


def remember(token: str, tokens: str) -> str:
    """Return `tokens` with `token` in front, the oldest left out."""
    return " ".join([token, *tokens.split()][:KEPT])


def is_remembered(token: str, tokens: str) -> bool:
    """Whether `token` is that of one of the row's latest writes."""
    return token in tokens.split()
