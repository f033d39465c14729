"""Every Prometheus metric of every service: names, labels and buckets in one place.

One prefix, `stage` as a label and never in a name, label values from closed sets (no job id, no URL), base
units.
"""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]

STEP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1200)
JOB_BUCKETS = (1, 5, 10, 30, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 7200)

MESSAGES = Counter("sora_stage_messages_total", "Deliveries by how they ended.", ("stage", "event", "outcome"))
DURATION = Histogram("sora_stage_duration_seconds", "Time from delivery to outcome.", ("stage", "event"),
                     buckets=STEP_BUCKETS)  # fmt: skip
QUEUE_WAIT = Histogram("sora_stage_queue_wait_seconds", "Time a message waited in its queue.", ("stage", "event"),
                       buckets=STEP_BUCKETS)  # fmt: skip
IN_FLIGHT = Gauge("sora_stage_in_flight", "Deliveries being handled.", ("stage", "event"))
DEAD_LETTERS = Counter("sora_stage_dead_letters_total", "Messages given up.", ("stage", "event"))
PUBLISHED = Counter("sora_events_published_total", "Events published, by outcome.", ("event", "outcome"))

JOBS_ACCEPTED = Counter("sora_jobs_accepted_total", "Jobs accepted over HTTP.", ("endpoint",))
JOBS_ENDED = Counter("sora_jobs_total", "Jobs ended, by outcome and failure code.", ("outcome", "code"))
JOB_DURATION = Histogram("sora_job_duration_seconds", "From acceptance to the end.", ("outcome",), buckets=JOB_BUCKETS)
OLDEST_UNFINISHED = Gauge("sora_oldest_unfinished_job_age_seconds", "Age of the oldest job that is not settled.")
NUDGES = Counter("sora_reconciler_nudges_total", "Events the reconciler published again.", ("event",))
AMBIGUOUS = Counter("sora_ambiguous_orders_total", "Orders of which nobody knows whether they were taken.")

PROVIDER_REQUESTS = Counter("sora_provider_requests_total", "Requests to the video provider.", ("operation", "outcome"))
PROVIDER_WAITS = Counter("sora_provider_rate_limit_waits_total", "Orders put off by the provider's rate limit.")
CREDITS_SPENT = Counter("sora_provider_credits_spent_total", "Credits spent, as the provider reports them.", ("model",))
MODEL_DOWN = Counter("sora_provider_model_down_total", "Times a model's breaker was tripped.", ("model",))

STITCHES = Counter("sora_stitches_total", "Films joined, by strategy.", ("strategy",))
STITCH_FALLBACKS = Counter("sora_stitch_fallbacks_total", "Films for which the first plan failed its check.")
FILM_BYTES = Counter("sora_film_bytes_total", "Bytes of the films joined.")
FILM_SECONDS = Counter("sora_film_seconds_total", "Seconds of film joined.")

AIRTABLE_CALLS = Counter("sora_airtable_calls_total", "Calls to Airtable.", ("operation", "outcome"))
DELIVERIES = Counter("sora_deliveries_total", "Films delivered, by way.", ("way",))

HTTP_REQUESTS = Counter("sora_http_requests_total", "HTTP requests.", ("method", "route", "status"))
HTTP_DURATION = Histogram("sora_http_request_duration_seconds", "HTTP request duration.", ("method", "route"),
                          buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))  # fmt: skip
BUILD = Gauge("sora_build_info", "Always 1; what is running.", ("service", "version"))

__all__ = ["REGISTRY"]
