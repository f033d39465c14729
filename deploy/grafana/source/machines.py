"""*Services and broker*: the processes and what they run on."""

from deploy.grafana.source.panels import Dashboard, Query, Row, graph, label_variable, stat

RATE = "$__rate_interval"
OURS = 'job=~"$job", job=~"gateway|generator|stitcher|uploader"'
QUEUES = 'queue=~"(generator|stitcher|uploader)[.][a-z]+[.][a-z]+"'


def _services() -> Row:
    return Row(
        "Services",
        (
            graph(
                "Replicas",
                "Processes that answer; follows the autoscaler.",
                "short",
                Query(f"sum by (job) (up{{{OURS}}})", "{{job}}"),
                runbook="SoraServiceDown",
            ),
            graph(
                "Connected to the broker",
                "Share of a service's processes with a connection. Healthy: 100 %.",
                "percentunit",
                Query('avg by (job) (sora_bus_connected{job=~"$job"})', "{{job}}"),
                top=1,
                runbook="SoraBusDisconnected",
            ),
            graph(
                "Versions",
                "Processes by version: two during a deployment, one otherwise.",
                "short",
                Query('count by (version) (sora_build_info{job=~"$job"})', "{{version}}"),
                is_stacked=True,
            ),
            graph(
                "Memory",
                "Resident set of the largest replica.",
                "bytes",
                Query(f"max by (job) (process_resident_memory_bytes{{{OURS}}})", "{{job}}"),
            ),
            graph(
                "CPU",
                "Cores used by all replicas, without FFmpeg, which runs in processes of its own.",
                "short",
                Query(f"sum by (job) (rate(process_cpu_seconds_total{{{OURS}}}[{RATE}]))", "{{job}}"),
            ),
            graph(
                "Open files",
                "Of the replica with most, as a share of its limit.",
                "percentunit",
                Query(f"max by (job) (process_open_fds{{{OURS}}} / process_max_fds{{{OURS}}})", "{{job}}"),
            ),
        ),
    )


def _events() -> Row:
    return Row(
        "Events",
        (
            graph(
                "Published",
                "By event.",
                "ops",
                Query(f'sum by (event) (rate(sora_events_published_total{{job=~"$job"}}[{RATE}])) > 0', "{{event}}"),
                width=12,
            ),
            graph(
                "Not confirmed",
                "Publishes that failed or found no queue; the reconciler repeats them. Healthy: 0.",
                "ops",
                Query(
                    f'sum by (job, outcome) (rate(sora_events_published_total{{outcome!="ok", job=~"$job"}}[{RATE}]))',
                    "{{job}} {{outcome}}",
                ),
                width=12,
            ),
        ),
    )


def _broker() -> Row:
    return Row(
        "Broker",
        (
            stat(
                "Connections", "To RabbitMQ; two for each process that consumes.", "sum(rabbitmq_connections)", "short"
            ),
            stat("Consumers", "Of all queues.", "sum(rabbitmq_detailed_queue_consumers)", "short"),
            stat("Queues", "Declared, with those for delays and dead letters.", "sum(rabbitmq_queues)", "short"),
            stat(
                "Dead letters",
                "Messages that were given up and wait for a person. Healthy: 0.",
                'sum(rabbitmq_detailed_queue_messages_ready{queue=~".+[.]dead"})',
                "short",
                thresholds=((1, "red"),),
                runbook="SoraDeadLetters",
            ),
            stat(
                "Suspects",
                "Messages that were in hand when processes died, tried one at a time. Healthy: 0, or soon again.",
                'sum(rabbitmq_detailed_queue_messages_ready{queue=~".+[.]suspect"})',
                "short",
                thresholds=((1, "orange"),),
            ),
            stat(
                "Free disk",
                "On the broker's volume; it blocks all publishers when it runs out.",
                "min(rabbitmq_disk_space_available_bytes)",
                "bytes",
                base="red",
                thresholds=((1e9, "orange"), (5e9, "green")),
            ),
            graph(
                "Ready",
                "Waiting for a consumer. Healthy: near 0, or falling.",
                "short",
                Query(f"sum by (queue) (rabbitmq_detailed_queue_messages_ready{{{QUEUES}}})", "{{queue}}"),
                runbook="SoraBacklogNotDraining",
            ),
            graph(
                "Unacknowledged",
                "Being handled.",
                "short",
                Query(f"sum by (queue) (rabbitmq_detailed_queue_messages_unacked{{{QUEUES}}})", "{{queue}}"),
            ),
            graph(
                "Consumers by queue",
                "None is right only for a service that was scaled to zero.",
                "short",
                Query(f"sum by (queue) (rabbitmq_detailed_queue_consumers{{{QUEUES}}})", "{{queue}}"),
                runbook="SoraQueueWithoutConsumers",
            ),
        ),
    )


def machines() -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid="sora-services",
        title="Services and broker",
        description="The processes and what they run on.",
        rows=(_services(), _events(), _broker()),
        variables=(label_variable("job", "Service", "sora_build_info"),),
    )
