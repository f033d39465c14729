"""*Provider and money*: what is spent, what is left, and how the partners behave."""

from deploy.grafana.source.panels import Dashboard, Query, Row, graph, quantile, stat

RATE = "$__rate_interval"
SPENT = "sora_provider_credits_spent_total"


def _money() -> Row:
    return Row(
        "Money",
        (
            stat(
                "Credits left",
                "Balance at the provider, as last seen.",
                "min(sora_provider_credits_remaining)",
                "short",
                base="red",
                thresholds=((200, "orange"), (500, "green")),
                runbook="SoraProviderCreditsLow",
            ),
            stat(
                "They last",
                "At the rate of the last hour.",
                f"min(sora_provider_credits_remaining) / (sum(rate({SPENT}[1h])) > 0)",
                "s",
                base="red",
                thresholds=((6 * 3600, "orange"), (24 * 3600, "green")),
                no_value="nothing spent",
                runbook="SoraProviderCreditsRunOutSoon",
            ),
            stat("Spent (24 h)", "Credits, as the provider reports them.", f"sum(increase({SPENT}[24h]))", "short"),
            stat(
                "Credits per film (24 h)",
                "What was spent, by films completed.",
                f'sum(increase({SPENT}[24h])) / (sum(increase(sora_jobs_total{{outcome="completed"}}[24h])) > 0)',
                "short",
                no_value="no films",
            ),
            stat(
                "Ambiguous orders (24 h)",
                "Orders of which nobody knows whether they were taken, so perhaps paid for nothing. Healthy: 0.",
                "sum(increase(sora_ambiguous_orders_total[24h]))",
                "short",
                thresholds=((1, "orange"),),
                runbook="SoraAmbiguousOrders",
            ),
            stat(
                "Models without orders",
                "Models whose breaker is open. Healthy: 0.",
                "sum(max by (model) (sora_provider_breaker_open))",
                "short",
                thresholds=((1, "orange"),),
                runbook="SoraModelDown",
            ),
            graph(
                "Balance",
                "Credits left.",
                "short",
                Query("min by (provider) (sora_provider_credits_remaining)", "{{provider}}"),
                width=12,
            ),
            graph(
                "Spent per hour",
                "Credits by model.",
                "short",
                Query(f"sum by (model) (rate({SPENT}[{RATE}])) * 3600", "{{model}}"),
                width=12,
                is_stacked=True,
            ),
        ),
    )


def _provider() -> Row:
    return Row(
        "Provider",
        (
            graph(
                "Requests",
                "By operation and outcome.",
                "reqps",
                Query(
                    f"sum by (operation, outcome) (rate(sora_provider_requests_total[{RATE}])) > 0",
                    "{{operation}} {{outcome}}",
                ),
            ),
            graph(
                "Errors by reason",
                "`auth`, `credits` and `key_limit` need a person; the others pass or lead to the next model.",
                "reqps",
                Query(f"sum by (reason) (rate(sora_provider_errors_total[{RATE}]))", "{{reason}}"),
                is_stacked=True,
                runbook="SoraProviderErrors",
            ),
            graph(
                "Time to answer, p95",
                "By operation.",
                "s",
                Query(quantile(0.95, "sora_provider_request_duration_seconds", "operation"), "{{operation}}"),
            ),
            graph(
                "Time lost to the rate limit",
                "Seconds by which orders were put off, per second.",
                "s",
                Query(f"sum by (provider) (rate(sora_provider_rate_limit_wait_seconds_total[{RATE}]))", "{{provider}}"),
            ),
            graph(
                "Breakers",
                "1 while a model gets no orders.",
                "short",
                Query("max by (model) (sora_provider_breaker_open)", "{{model}}"),
                top=1,
                runbook="SoraModelDown",
            ),
            graph(
                "Breakers tripped",
                "By model.",
                "ops",
                Query(f"sum by (model) (rate(sora_provider_model_down_total[{RATE}]))", "{{model}}"),
            ),
        ),
    )


def _airtable() -> Row:
    calls = "sora_airtable_calls_total"
    return Row(
        "Airtable",
        (
            stat(
                "Calls this month",
                "Ours, since the month began (UTC). Airtable's plans allow a workspace 1,000 (free) or 100,000 (Team).",
                "max(sora_airtable_calls_this_month)",
                "short",
                width=8,
            ),
            stat(
                "Of the month's allowance",
                "Calls this month by `AIRTABLE_MONTHLY_CALLS`.",
                "max(sora_airtable_calls_this_month) / (max(sora_airtable_monthly_calls_limit) > 0)",
                "percentunit",
                thresholds=((0.8, "orange"), (0.95, "red")),
                width=8,
                no_value="AIRTABLE_MONTHLY_CALLS is not set",
                runbook="SoraAirtableQuotaLow",
            ),
            stat(
                "Calls per film (24 h)",
                "Calls, by films completed; looks for queued records are among them.",
                f'sum(increase({calls}[24h])) / (sum(increase(sora_jobs_total{{outcome="completed"}}[24h])) > 0)',
                "short",
                width=8,
                no_value="no films",
            ),
            graph(
                "Calls by outcome",
                "Healthy: `ok`.",
                "reqps",
                Query(f"sum by (outcome) (rate({calls}[{RATE}])) > 0", "{{outcome}}"),
                runbook="SoraAirtableErrors",
            ),
            graph(
                "Time of calls, p95",
                "By kind.",
                "s",
                Query(quantile(0.95, "sora_airtable_call_duration_seconds", "operation"), "{{operation}}"),
            ),
            graph(
                "Held back",
                "Seconds that calls waited for the base's limit, per second.",
                "s",
                Query(f"sum by (job) (rate(sora_airtable_rate_limit_wait_seconds_total[{RATE}]))", "{{job}}"),
            ),
        ),
    )


def money() -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid="sora-money",
        title="Provider and money",
        description="What is spent, what is left, and how the partners behave.",
        rows=(_money(), _provider(), _airtable()),
    )
