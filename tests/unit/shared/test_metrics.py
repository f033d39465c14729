"""What the metrics are called, and what is there before anything has happened."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shared.bus.topology import SUBSCRIPTIONS
from shared.metrics import ENDPOINTS, FAMILIES, SERVICES


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


def test_one_process_of_all_services_has_all_series() -> None:
    text = exposed_by("embedded")
    for subscription in SUBSCRIPTIONS:
        assert f'sora_stage_slots{{event="{subscription.event}",stage="{subscription.service}"}} 0.0' in text
