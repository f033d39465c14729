"""What the metrics are called, and what is there before anything has happened."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from shared.bus.topology import SUBSCRIPTIONS
from shared.metrics import ENDPOINTS, FAMILIES, SERVICES, Family


def test_names_have_one_prefix_and_end_with_their_unit() -> None:
    for family in FAMILIES:
        assert family.name.startswith("sora_")
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")


def test_no_label_could_hold_an_id() -> None:
    names = {label for family in FAMILIES for label in family.labels}
    assert names.isdisjoint({"job", "job_id", "record", "url", "prompt", "clip", "task", "instance"})


def test_every_way_to_ask_for_a_job_is_known() -> None:
    sources = (Path(__file__).parents[3] / "services" / "gateway").rglob("*.py")
    named = {name for source in sources for name in re.findall(r'endpoint="([^"]+)"', source.read_text())}
    assert named == set(ENDPOINTS)


@cache
def exposed_by(service: str) -> str:
    """Return what a process of a service exposes at its start."""
    program = f"""
        from prometheus_client import generate_latest
        from shared import metrics
        metrics.zero({service!r})
        print(generate_latest().decode())
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_own_series_are_there_at_zero_and_no_others(service: str) -> None:
    text = exposed_by(service)
    for subscription in SUBSCRIPTIONS:
        series = (
            f'sora_stage_messages_total{{event="{subscription.event}",outcome="dead",stage="{subscription.service}"}}'
        )
        assert (f"{series} 0.0" in text) == (subscription.service == service)
    assert ('sora_stitches_total{strategy="copy"} 0.0' in text) == (service == "stitcher")
    assert ('sora_jobs_accepted_total{endpoint="jobs"} 0.0' in text) == (service == "gateway")
    assert ('sora_deliveries_total{way="airtable"} 0.0' in text) == (service == "uploader")
    assert 'sora_jobs_total{code="none",outcome="completed"} 0.0' in text


def known_series(family: Family, service: str) -> Iterator[str]:
    """Yield a counter's series of a service; none if values of a label are not known beforehand."""
    if any(isinstance(values, str) for values in family.labels.values()):
        return
    events = {subscription.event for subscription in SUBSCRIPTIONS if subscription.service == service}
    for values in product(*family.labels.values()):
        labels = dict(zip(family.labels, values, strict=True))
        if "stage" in labels and (labels["stage"] != service or labels["event"] not in events):
            continue  # handled elsewhere
        text = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
        yield f"{family.name}{{{text}}} 0.0" if text else f"{family.name} 0.0"


@pytest.mark.parametrize("service", SERVICES)
def test_every_counter_whose_labels_are_known_is_there_at_zero(service: str) -> None:
    lines = set(exposed_by(service).splitlines())
    counters = [family for family in FAMILIES if family.kind == "counter" and service in family.services]
    expected = {series for family in counters for series in known_series(family, service)}
    assert len(expected) > 50
    assert expected - lines == set()


def test_one_process_of_all_services_has_all_series() -> None:
    text = exposed_by("embedded")
    for subscription in SUBSCRIPTIONS:
        assert f'sora_stage_slots{{event="{subscription.event}",stage="{subscription.service}"}} 0.0' in text
