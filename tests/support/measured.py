"""Reading metrics as Prometheus would."""

from prometheus_client import REGISTRY


def measured(name: str, **labels: str) -> float:
    """Return the value of a sample; 0 where there is none yet."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
