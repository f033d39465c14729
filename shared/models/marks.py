"""Marks in the store that say how the provider and its models do."""

DOWN = "model-down:"
"""Prefix of the marks of models whose breaker is open; the value says why."""
PAUSE = "provider:pause"
"""Until when (ms) nothing is ordered, because the provider said that it is too much."""
CREDITS = "provider-credits:"
"""Prefix of the marks of what is left on the account, by provider."""
