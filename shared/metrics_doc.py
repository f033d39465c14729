"""`docs/metrics.md`, made from the code: `python -m shared.metrics_doc`."""

import sys

from shared.metrics import FAMILIES, SERVICES, Family, Values

HEAD = """\
# Metrics

Made from `shared/metrics.py` by `make docs`; do not edit.

The gateway serves them at `/metrics` on `PORT`, the others on `METRICS_PORT`; all in one process if run by
`sora-stitcher up`. Prometheus' text format, or OpenMetrics with exemplars (trace ids) for whoever asks for it.

* Series whose labels are known exist at zero from the start, so that `rate()` sees the first event.
* `stage` is the service that handles a message, `event` the event it handles; `sum by (stage)` is what most want.
* No label ever holds a job id, an address or a text.
* Gauges known to one process of many are 0 (or missing) in the others: ask for the `max`.
* Beside these, every process has `process_*` and `python_*` of `prometheus_client`.
"""


def render() -> str:
    """Return the document."""
    parts = [HEAD]
    for title, services in _groups():
        parts.append(f"\n## {title}\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |")
        parts += [_row(family) for family in FAMILIES if tuple(family.services) == services]
    return "\n".join(parts) + "\n"


def _groups() -> list[tuple[str, tuple[str, ...]]]:
    found: dict[tuple[str, ...], None] = {tuple(family.services): None for family in FAMILIES}
    return [("All services" if each == SERVICES else " and ".join(each).capitalize(), each) for each in found]


def _row(family: Family) -> str:
    labels = "<br>".join(f"`{name}`: {_values(values)}" for name, values in family.labels.items())
    return f"| `{family.name}` | {family.kind} | {labels or '-'} | {family.help} |"


def _values(values: Values) -> str:
    if isinstance(values, str):
        return values
    return " ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    sys.stdout.write(render())
