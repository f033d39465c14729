"""Every Prometheus metric of every service: names, labels and buckets in one place.

One prefix, `stage` as a label and never in a name, label values from closed sets (no job id, no URL), base
units. Series whose labels are known beforehand exist at zero from the start (`zero`): `rate()` would miss the
first event otherwise, and an alert could not tell "none yet" from "not measured". Where only one process of
many knows a value (the reconciler's), it is 0 in the others, so ask for the `max`.
`docs/metrics.md` is made from this module.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from shared.airtable import errors as airtable
from shared.airtable.protocol import Operation
from shared.bus.topology import SUBSCRIPTIONS
from shared.events import EventName
from shared.job.failure_codes import FAILURE_CODES, NONE, OTHER
from shared.job.model import JobStatus
from shared.job.webhooks import JOB_EVENTS, OPTIONAL_EVENTS

disable_created_metrics()  # type: ignore[no-untyped-call]

STEP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1200)
JOB_BUCKETS = (1, 5, 10, 30, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 7200)
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CALL_BUCKETS = (*HTTP_BUCKETS, 30, 60)

SERVICES = ("gateway", "generator", "stitcher", "uploader")
WORKERS = SERVICES[1:]
OUTCOMES = ("ok", "duplicate", "retried", "dead", "abandoned")
RETRY_REASONS = ("error", "asked", "waiting", "bus", "store", "artifacts", "partner")
DEAD_REASONS = ("rejected", "attempts", "unreadable")
PUBLICATIONS = ("ok", "unroutable", "failed")
ENDPOINTS = ("generate-video", "process-record", "jobs", "jobs:batch", "airtable-trigger")
JOB_OUTCOMES = ("completed", "failed", "cancelled")
JOB_CODES = (NONE, *FAILURE_CODES, OTHER)
STRATEGIES = ("copy", "mixed", "encode")
PIECE_OUTCOMES = ("made", "used", "unused", "busy", "failed", "stopped")
WAYS = ("airtable", "webhook")
WEBHOOK_EVENTS = (*JOB_EVENTS.values(), *OPTIONAL_EVENTS)
WEBHOOK_OUTCOMES = ("delivered", "retried", "given_up")
AIRTABLE_OUTCOMES = (
    "ok",
    *(
        error.code
        for error in (
            *(airtable.AirtableAuth, airtable.AirtableForbidden, airtable.TableNotFound, airtable.RecordNotFound),
            *(airtable.AirtableRejected, airtable.UnknownField, airtable.SelectOptionRefused),
            *(airtable.TooLargeForUpload, airtable.RateLimited, airtable.QuotaExhausted, airtable.AirtableDown),
            airtable.AirtableAmbiguous,
        )
    ),
)

Values = Sequence[str] | str
"""The values of a label, or in words where they come from."""


@dataclass(frozen=True, slots=True)
class Family:
    """What `docs/metrics.md` says of one metric."""

    metric: MetricWrapperBase
    name: str
    kind: str
    help: str
    labels: Mapping[str, Values]
    services: Sequence[str]


FAMILIES: list[Family] = []


def _counter(name: str, text: str, services: Sequence[str] = SERVICES, **labels: Values) -> Counter:
    metric = Counter(name, text, tuple(labels))
    FAMILIES.append(Family(metric, name, "counter", text, labels, services))
    return metric


def _gauge(name: str, text: str, services: Sequence[str] = SERVICES, **labels: Values) -> Gauge:
    metric = Gauge(name, text, tuple(labels))
    FAMILIES.append(Family(metric, name, "gauge", text, labels, services))
    return metric


def _histogram(
    name: str, text: str, buckets: Sequence[float], services: Sequence[str] = SERVICES, **labels: Values
) -> Histogram:
    metric = Histogram(name, text, tuple(labels), buckets=buckets)
    FAMILIES.append(Family(metric, name, "histogram", text, labels, services))
    return metric


_EVENTS = tuple(EventName)
_STAGE: dict[str, Values] = {"stage": WORKERS, "event": _EVENTS}

MESSAGES = _counter(
    "sora_stage_messages_total",
    "Deliveries by how they ended; `duplicate` found nothing to do (any more), `abandoned` was cut off by a shutdown.",
    WORKERS,
    **_STAGE,
    outcome=OUTCOMES,
)
DURATION = _histogram(
    "sora_stage_duration_seconds", "Time inside the handler.", STEP_BUCKETS, WORKERS, **_STAGE, outcome=OUTCOMES
)
QUEUE_WAIT = _histogram(
    "sora_stage_queue_wait_seconds", "From publishing to the start of handling.", STEP_BUCKETS, WORKERS, **_STAGE
)
IN_FLIGHT = _gauge("sora_stage_in_flight", "Deliveries being handled.", WORKERS, **_STAGE)
SLOTS = _gauge("sora_stage_slots", "Deliveries this process handles at the same time at most.", WORKERS, **_STAGE)
RETRIES = _counter(
    "sora_stage_retries_total",
    "Deliveries put back: after an error, because the step asked for it, to wait for its turn, or for a dependency.",
    WORKERS,
    **_STAGE,
    reason=RETRY_REASONS,
)
DEAD_LETTERS = _counter(
    "sora_stage_dead_letters_total",
    "Messages given up: refused by the step, out of attempts, or unreadable.",
    WORKERS,
    **_STAGE,
    reason=DEAD_REASONS,
)
PUBLISHED = _counter(
    "sora_events_published_total", "Events published; `failed` may have been stored.", event=_EVENTS,
    outcome=PUBLICATIONS,
)  # fmt: skip
BUS_CONNECTED = _gauge("sora_bus_connected", "1 while a publish has a chance.", service=SERVICES)

JOBS_ACCEPTED = _counter("sora_jobs_accepted_total", "Jobs accepted over HTTP.", ("gateway",), endpoint=ENDPOINTS)
JOBS_ENDED = _counter(
    "sora_jobs_total", "Jobs ended, by outcome and failure code (`none` for those that did not fail).",
    outcome=JOB_OUTCOMES, code=JOB_CODES,
)  # fmt: skip
JOB_DURATION = _histogram(
    "sora_job_duration_seconds", "From acceptance to the end, without what a person was waited for: an approval, or a "
    "retry of a failed job.", JOB_BUCKETS, outcome=JOB_OUTCOMES,
)  # fmt: skip
JOBS = _gauge("sora_jobs_stored", "Jobs in the store; known to one process, ask for the max.", status=tuple(JobStatus))
OLDEST_UNFINISHED = _gauge(
    "sora_oldest_unfinished_job_age_seconds",
    "Age of the oldest job with something outstanding; known to one process, ask for the max.",
)
NUDGES = _counter("sora_reconciler_nudges_total", "Events the reconciler published again.", event=_EVENTS)

_KIE: dict[str, Values] = {"provider": "`VideoProvider.name`"}
PROVIDER_REQUESTS = _counter(
    "sora_provider_requests_total",
    "Requests to the video provider.",
    ("generator",),
    **_KIE,
    operation=("create", "look", "credits", "fresh_url", "alive"),
    outcome="taken, declined, unknown (of orders); running, succeeded, failed, missing, unanswered (of looks); "
    "ok, unanswered (of the others)",
)
PROVIDER_DURATION = _histogram(
    "sora_provider_request_duration_seconds", "Time a request to the provider took.", CALL_BUCKETS, ("generator",),
    **_KIE, operation=("create", "look", "credits", "fresh_url", "alive"),
)  # fmt: skip
PROVIDER_ERRORS = _counter(
    "sora_provider_errors_total", "Refusals and failures of the provider.", ("generator",), **_KIE,
    reason="the provider's error code in our words (`ErrorCode`), or `unknown` for an order of unknown fate",
)  # fmt: skip
PROVIDER_WAITS = _counter(
    "sora_provider_rate_limit_waits_total", "Orders put off by the rate limit.", ("generator",), **_KIE
)
PROVIDER_WAIT_SECONDS = _counter(
    "sora_provider_rate_limit_wait_seconds_total", "Time by which orders were put off.", ("generator",), **_KIE
)
_MODEL: dict[str, Values] = {**_KIE, "model": "`VIDEO_MODELS`, and what jobs ask for"}
CREDITS_SPENT = _counter(
    "sora_provider_credits_spent_total", "Credits spent, as the provider reports them.", ("generator",), **_MODEL
)
CREDITS_LEFT = _gauge(
    "sora_provider_credits_remaining", "Last balance seen; known to one process.", ("generator",), **_KIE
)
MODEL_DOWN = _counter("sora_provider_model_down_total", "Times a model's breaker tripped.", ("generator",), **_MODEL)
BREAKER_OPEN = _gauge(
    "sora_provider_breaker_open", "1 while a model gets no orders; known to one process, ask for the max.",
    ("generator",), **_MODEL,
)  # fmt: skip
AMBIGUOUS = _counter(
    "sora_ambiguous_orders_total", "Orders of which nobody knows whether they were taken.", ("generator",)
)

STITCHES = _counter("sora_stitches_total", "Films joined.", ("stitcher",), strategy=STRATEGIES)
STITCH_DURATION = _histogram(
    "sora_stitch_duration_seconds", "Time to join a film, without reading and storing files.", STEP_BUCKETS,
    ("stitcher",), strategy=STRATEGIES,
)  # fmt: skip
STITCH_FALLBACKS = _counter("sora_stitch_fallbacks_total", "Plans that failed their check.", ("stitcher",))
PIECES_AHEAD = _counter(
    "sora_pieces_ahead_total",
    "Stretches of film to be encoded before all clips were home: those encoded, and what became of them when the film "
    "was joined; and those that were not, for another job was worked on, it failed, or was no longer wanted.",
    ("stitcher",), outcome=PIECE_OUTCOMES,
)  # fmt: skip
FILM_BYTES = _counter("sora_film_bytes_total", "Bytes of the films joined.", ("stitcher",))
FILM_SECONDS = _counter("sora_film_seconds_total", "Seconds of film joined.", ("stitcher",))

_ASKERS = ("gateway", "uploader")
_OPERATIONS = tuple(Operation)
AIRTABLE_CALLS = _counter(
    "sora_airtable_calls_total", "Calls to Airtable, each of which counts towards the workspace's monthly quota.",
    _ASKERS, operation=_OPERATIONS, outcome=AIRTABLE_OUTCOMES,
)  # fmt: skip
AIRTABLE_DURATION = _histogram(
    "sora_airtable_call_duration_seconds", "Time a call to Airtable took.", CALL_BUCKETS, _ASKERS,
    operation=_OPERATIONS,
)  # fmt: skip
AIRTABLE_MONTH = _gauge(
    "sora_airtable_calls_this_month",
    "Calls to Airtable since the month began (UTC), by all processes; known to one process, ask for the max.",
)
AIRTABLE_LIMIT = _gauge(
    "sora_airtable_monthly_calls_limit", "`AIRTABLE_MONTHLY_CALLS`; 0 where it is not set.", _ASKERS
)
AIRTABLE_WAITS = _counter(
    "sora_airtable_rate_limit_wait_seconds_total", "Time calls to Airtable were held back for its limit.", _ASKERS
)
DELIVERIES = _counter("sora_deliveries_total", "Films and events delivered.", ("uploader",), way=WAYS)
WEBHOOKS = _counter(
    "sora_webhooks_total", "Tries to tell a job's webhook of an event, by how they ended.", ("uploader",),
    event=WEBHOOK_EVENTS, outcome=WEBHOOK_OUTCOMES,
)  # fmt: skip

HTTP_REQUESTS = _counter(
    "sora_http_requests_total", "HTTP requests.", ("gateway",), method="known methods, `other`",
    route="path templates, `unmatched`", status="HTTP status; what a route is known to answer is there from the start",
)  # fmt: skip
HTTP_DURATION = _histogram(
    "sora_http_request_duration_seconds", "Time to answer an HTTP request.", HTTP_BUCKETS, ("gateway",),
    method="known methods, `other`", route="path templates, `unmatched`",
)  # fmt: skip
BUILD = _gauge("sora_build_info", "Always 1; what is running.", service=SERVICES, version="of this package")


def zero(service: str) -> None:
    """Create the series of a service whose labels are known, at zero; of every service if it is none of them."""
    if service not in SERVICES:
        for each in SERVICES:
            zero(each)
        return
    _zero_stage(service)
    _create(NUDGES, EventName)
    _create(PUBLISHED, EventName, PUBLICATIONS)
    _create(JOBS, JobStatus)
    _create(JOB_DURATION, JOB_OUTCOMES)
    _create(JOBS_ENDED, ("completed", "cancelled"), (NONE,))
    _create(JOBS_ENDED, ("failed",), (*FAILURE_CODES, OTHER))
    if service in _ASKERS:
        _create(AIRTABLE_CALLS, Operation, AIRTABLE_OUTCOMES)
        _create(AIRTABLE_DURATION, Operation)
    if service == "gateway":
        _create(JOBS_ACCEPTED, ENDPOINTS)
    if service == "stitcher":
        _create(STITCHES, STRATEGIES)
        _create(STITCH_DURATION, STRATEGIES)
        _create(PIECES_AHEAD, PIECE_OUTCOMES)
    if service == "uploader":
        _create(DELIVERIES, WAYS)
        _create(WEBHOOKS, WEBHOOK_EVENTS, WEBHOOK_OUTCOMES)


def _zero_stage(service: str) -> None:
    for subscription in SUBSCRIPTIONS:
        if subscription.service != service:
            continue
        stage = ((subscription.service,), (str(subscription.event),))
        for metric in (QUEUE_WAIT, IN_FLIGHT, SLOTS):
            _create(metric, *stage)
        _create(MESSAGES, *stage, OUTCOMES)
        _create(DURATION, *stage, OUTCOMES)
        _create(RETRIES, *stage, RETRY_REASONS)
        _create(DEAD_LETTERS, *stage, DEAD_REASONS)


def _create(metric: MetricWrapperBase, *values: Iterable[str]) -> None:
    for labels in product(*values):
        metric.labels(*labels)


__all__ = ["REGISTRY"]
