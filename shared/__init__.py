"""What every service shares: the job (pure), events, bus, store, artifacts, settings, logging, metrics.

Nothing here knows of a service. Adapters to the outside world live behind small protocols, each with a
real and an in-process implementation that pass the same conformance suite.
"""
