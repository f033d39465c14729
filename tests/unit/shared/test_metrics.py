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
from shared.job.failure_codes import NONE
from shared.metrics import ENDPOINTS, FAMILIES, REGISTRY, SERVICES, Family


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


BUILT = {
    "gateway": "from services.gateway.app import create_app; create_app(None).build_middleware_stack()",
    "generator": "from services.generator.measured import MeasuredProvider as M; "
    "from services.generator.provider.memory import MemoryProvider; M(MemoryProvider(), ['a-model'])",
}
"""What some services' own building adds: their labels are known to their own tables only."""


@cache
def exposed_by(service: str) -> str:
    """Return what a process of a service exposes at its start."""
    program = f"""
        from prometheus_client import generate_latest
        from shared import metrics
        {BUILT.get(service, "")}
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
    """Yield a metric's series of a service; none if values of a label are not known beforehand."""
    if any(isinstance(values, str) for values in family.labels.values()):
        return
    events = {subscription.event for subscription in SUBSCRIPTIONS if subscription.service == service}
    suffix = "_count" if family.kind == "histogram" else ""
    for values in product(*family.labels.values()):
        labels = dict(zip(family.labels, values, strict=True))
        if "stage" in labels and (labels["stage"] != service or labels["event"] not in events):
            continue  # handled elsewhere
        if family.name == "sora_jobs_total" and (labels["outcome"] == "failed") == (labels["code"] == NONE):
            continue  # only what failed has a reason
        text = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
        yield f"{family.name}{suffix}{{{text}}} 0.0" if text else f"{family.name}{suffix} 0.0"


def counted(service: str) -> list[Family]:
    """Return a service's counters and histograms: those that `rate()` is asked of."""
    return [family for family in FAMILIES if family.kind != "gauge" and service in family.services]


@pytest.mark.parametrize("service", SERVICES)
def test_every_series_whose_labels_are_known_is_there_at_zero(service: str) -> None:
    lines = set(exposed_by(service).splitlines())
    expected = {series for family in counted(service) for series in known_series(family, service)}
    assert len(expected) > 50
    assert expected - lines == set()


@pytest.mark.parametrize("service", SERVICES)
def test_no_labelled_metric_is_without_a_sample_at_the_start(service: str) -> None:
    named = set(re.findall(r"^(sora_\w+)\{", exposed_by(service), re.MULTILINE))
    labelled = [family for family in counted(service) if family.labels]
    assert {family.name for family in labelled if not {family.name, f"{family.name}_count"} & named} == set()


def test_every_metric_that_is_registered_is_declared() -> None:
    registered = {family.name for family in REGISTRY.collect() if family.name.startswith("sora_")}
    assert registered == {family.name.removesuffix("_total") for family in FAMILIES}


def test_one_process_of_all_services_has_all_series() -> None:
    text = exposed_by("embedded")
    for subscription in SUBSCRIPTIONS:
        assert f'sora_stage_slots{{event="{subscription.event}",stage="{subscription.service}"}} 0.0' in text
