"""*Pipeline*: is it working? Then one row per stage, in the order in which a film passes them."""

from collections.abc import Sequence

from deploy.grafana.source.panels import Dashboard, Panel, Query, Row, graph, heatmap, quantile, stat

RATE = "$__rate_interval"


def _working() -> Row:
    ended = 'sora_jobs_total{outcome=~"completed|failed"}'
    return Row(
        "Is it working?",
        (
            stat(
                "Jobs completed (1 h)",
                "Share of the jobs of the last hour that were completed, without cancelled ones. Objective: 99 %.",
                f'sum(rate(sora_jobs_total{{outcome="completed"}}[1h])) / (sum(rate({ended}[1h])) > 0)',
                "percentunit",
                base="red",
                thresholds=((0.95, "orange"), (0.99, "green")),
                no_value="no jobs",
                runbook="SoraErrorBudgetFastBurn",
            ),
            stat(
                "End to end p95",
                "From acceptance to the end, without waiting for a person: 95 % of the jobs of the last 15 minutes "
                "stayed below. Objective: 600 s.",
                "histogram_quantile(0.95, sum by (le) (rate(sora_job_duration_seconds_bucket[15m])))",
                "s",
                thresholds=((300, "orange"), (600, "red")),
                no_value="no jobs",
            ),
            stat(
                "Oldest unfinished job",
                "Age of the oldest job with something outstanding. Healthy: minutes.",
                "max(sora_oldest_unfinished_job_age_seconds)",
                "s",
                thresholds=((1200, "orange"), (3600, "red")),
                runbook="SoraJobStuck",
            ),
            stat(
                "Dead letters",
                "Messages that were given up and wait for a person. Healthy: 0.",
                'sum(rabbitmq_detailed_queue_messages_ready{queue=~".+[.]dead"})',
                "short",
                thresholds=((1, "red"),),
                runbook="SoraDeadLetters",
            ),
            stat(
                "Services that answer",
                "Processes whose metrics Prometheus can read, of all it knows. Healthy: 100 %.",
                'avg(up{job=~"gateway|generator|stitcher|uploader"})',
                "percentunit",
                base="red",
                thresholds=((1, "green"),),
                runbook="SoraServiceDown",
            ),
            stat(
                "Credits left",
                "Balance at the provider, as last seen.",
                "min(sora_provider_credits_remaining)",
                "short",
                base="red",
                thresholds=((200, "orange"), (500, "green")),
                runbook="SoraProviderCreditsLow",
            ),
        ),
    )


def _jobs() -> Row:
    return Row(
        "Jobs",
        (
            graph(
                "Accepted and ended",
                "A lasting gap is work piling up.",
                "ops",
                Query(f"sum(rate(sora_jobs_accepted_total[{RATE}]))", "accepted"),
                Query(f"sum by (outcome) (rate(sora_jobs_total[{RATE}]))", "{{outcome}}"),
            ),
            graph(
                "Jobs by status",
                "Jobs in the store. Those that are not completed, failed or cancelled are under way.",
                "short",
                Query("max by (status) (sora_jobs_stored)", "{{status}}"),
                is_stacked=True,
            ),
            graph(
                "Failures by code",
                "Why jobs failed; the code stands in the job, too. Only those that occur, and `timeout`.",
                "ops",
                Query(
                    f'sum by (code) (rate(sora_jobs_total{{outcome="failed"}}[{RATE}])) > 0'
                    f' or sum by (code) (rate(sora_jobs_total{{outcome="failed", code="timeout"}}[{RATE}]))',
                    "{{code}}",
                ),
                is_stacked=True,
            ),
            heatmap(
                "End to end",
                "Distribution of the time from acceptance to the end. Two bands are two kinds of jobs.",
                "s",
                f"sum by (le) (increase(sora_job_duration_seconds_bucket[{RATE}]))",
                width=16,
            ),
            graph(
                "Published again",
                "Events repeated for jobs that made no progress. Healthy: few; many mean lost messages.",
                "ops",
                Query(f"sum by (event) (rate(sora_reconciler_nudges_total[{RATE}]))", "{{event}}"),
            ),
        ),
    )


def _gateway() -> Row:
    return Row(
        "Gateway: accepts jobs, serves films",
        (
            graph(
                "Requests",
                "By route and status, of the routes that are asked for.",
                "reqps",
                Query(f"sum by (route, status) (rate(sora_http_requests_total[{RATE}])) > 0", "{{status}} {{route}}"),
                runbook="SoraGatewayErrors",
            ),
            graph(
                "Time to answer, p95",
                "By route; a job is accepted without waiting for the provider.",
                "s",
                # Of a route that nobody asks for it is no number, and would fill the legend.
                Query(quantile(0.95, "sora_http_request_duration_seconds", "route") + " >= 0", "{{route}}"),
            ),
            graph(
                "Jobs accepted",
                "By the way in which they were asked for.",
                "ops",
                Query(f"sum by (endpoint) (rate(sora_jobs_accepted_total[{RATE}]))", "{{endpoint}}"),
                is_stacked=True,
            ),
        ),
    )


def _stage(stage: str, title: str, own: Sequence[Panel]) -> Row:
    """Return the row of a service that handles messages: waiting, working, done, and what is its own."""
    where = f'stage="{stage}"'
    queues = f'queue=~"{stage}[.][a-z]+[.][a-z]+"'
    return Row(
        title,
        (
            graph(
                "Waiting",
                "Messages ready in the stage's queues. Healthy: near 0, or falling.",
                "short",
                Query(f"sum by (queue) (rabbitmq_detailed_queue_messages_ready{{{queues}}})", "{{queue}}"),
                runbook="SoraBacklogNotDraining",
            ),
            graph(
                "Wait in queue, p95",
                "From publishing to the start of handling: the earliest sign of too few workers.",
                "s",
                Query(quantile(0.95, "sora_stage_queue_wait_seconds", "event", where), "{{event}}"),
                runbook="SoraQueueWaitHigh",
            ),
            graph(
                "Slots in use",
                "Deliveries being handled, of those this stage's replicas can handle at once. Near 100 %: scale out.",
                "percentunit",
                Query(
                    f"sum by (event) (sora_stage_in_flight{{{where}}}) / sum by (event) (sora_stage_slots{{{where}}})",
                    "{{event}}",
                ),
                top=1,
            ),
            graph(
                "Handled",
                "Deliveries by how they ended. `duplicate` found nothing to do, which is normal.",
                "ops",
                Query(
                    f"sum by (event, outcome) (rate(sora_stage_messages_total{{{where}}}[{RATE}])) > 0",
                    "{{event}} {{outcome}}",
                ),
            ),
            graph(
                "Time to handle",
                "Inside the handler: half and 95 % of the deliveries stay below.",
                "s",
                Query(quantile(0.5, "sora_stage_duration_seconds", "event", where), "{{event}} p50"),
                Query(quantile(0.95, "sora_stage_duration_seconds", "event", where), "{{event}} p95"),
            ),
            graph(
                "Retries and dead letters",
                "Deliveries put back (`waiting` is a rate limit, no failure) and given up, by reason.",
                "ops",
                Query(f"sum by (reason) (rate(sora_stage_retries_total{{{where}}}[{RATE}]))", "again: {{reason}}"),
                Query(f"sum by (reason) (rate(sora_stage_dead_letters_total{{{where}}}[{RATE}]))", "dead: {{reason}}"),
                runbook="SoraDeadLetters",
            ),
            *own,
        ),
    )


_GENERATOR = (
    graph(
        "Orders and looks",
        "Requests to the provider; more on *Provider and money*.",
        "reqps",
        Query(
            f"sum by (operation, outcome) (rate(sora_provider_requests_total[{RATE}])) > 0", "{{operation}} {{outcome}}"
        ),
        width=12,
    ),
    graph(
        "Put off by the rate limit",
        "Orders that had to wait for the provider's limit, and by how long.",
        "ops",
        Query(f"sum(rate(sora_provider_rate_limit_waits_total[{RATE}]))", "orders"),
        width=12,
    ),
)
_STITCHER = (
    graph(
        "Films by strategy",
        "`copy` joins without encoding; `mixed` encodes joints only; `encode` all of it.",
        "ops",
        Query(f"sum by (strategy) (rate(sora_stitches_total[{RATE}]))", "{{strategy}}"),
        Query(f"sum(rate(sora_stitch_fallbacks_total[{RATE}]))", "plans that failed their check"),
    ),
    graph(
        "Time to join, p95",
        "Without reading and storing files.",
        "s",
        Query(quantile(0.95, "sora_stitch_duration_seconds", "strategy"), "{{strategy}}"),
    ),
    graph(
        "Film made",
        "Seconds of film and bytes per second.",
        "short",
        Query(f"sum(rate(sora_film_seconds_total[{RATE}]))", "seconds of film"),
        Query(f"sum(rate(sora_film_bytes_total[{RATE}])) / 1e6", "megabytes"),
    ),
    graph(
        "Encoded ahead",
        "Stretches encoded while other clips were still being made (`made`), and whether films took them. "
        "`busy`: not begun, for another job was worked on.",
        "ops",
        Query(f"sum by (outcome) (rate(sora_pieces_ahead_total[{RATE}]))", "{{outcome}}"),
    ),
)
_UPLOADER = (
    graph(
        "Delivered",
        "Films attached to records, and events told to webhooks.",
        "ops",
        Query(f"sum by (way) (rate(sora_deliveries_total[{RATE}]))", "{{way}}"),
        width=12,
    ),
    graph(
        "Webhooks",
        "Tries to tell users' systems of events. `retried` is tried again, `given_up` is not.",
        "ops",
        Query(f"sum by (outcome) (rate(sora_webhooks_total[{RATE}]))", "{{outcome}}"),
        width=12,
    ),
    graph(
        "Calls to Airtable",
        "By kind and outcome.",
        "reqps",
        Query(
            f"sum by (operation, outcome) (rate(sora_airtable_calls_total[{RATE}])) > 0", "{{operation}} {{outcome}}"
        ),
        runbook="SoraAirtableErrors",
    ),
    graph(
        "Time of calls to Airtable, p95",
        "By kind.",
        "s",
        Query(quantile(0.95, "sora_airtable_call_duration_seconds", "operation"), "{{operation}}"),
    ),
)


def pipeline() -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid="sora-pipeline",
        title="Pipeline",
        description="From the request to the film in the record.",
        rows=(
            _working(),
            _jobs(),
            _gateway(),
            _stage("generator", "Generator: orders clips and brings them home", _GENERATOR),
            _stage("stitcher", "Stitcher: joins the clips", _STITCHER),
            _stage("uploader", "Uploader: delivers", _UPLOADER),
        ),
    )
