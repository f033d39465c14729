# ruff: noqa: INP001
"""The system on Railway: `railway config plan` shows what would change, `railway config apply` does it.

Four services from one Dockerfile, Redis, RabbitMQ with a volume, and a bucket for clips and films. Other secrets than
the bucket's are set once in Railway's dashboard and left alone here (`preserve()`). docs/deploy/railway.md goes through
it.
"""

from typing import Any

from railway_sdk import bucket, define_railway, github, image, preserve, project, redis, service, volume

REPOSITORY = github("example/sora-video-stitcher", branch="main")
SECRETS = {
    "gateway": ("SECRET_KEY", "AIRTABLE_API_KEY", "API_KEYS", "SORA_WEBHOOK_HMAC_KEY"),
    "generator": ("SECRET_KEY", "SORA_API_KEY"),
    "stitcher": (),
    "uploader": ("SECRET_KEY", "AIRTABLE_API_KEY", "WEBHOOK_SECRET"),
}
DRAIN_S = {"gateway": 25, "generator": 60, "stitcher": 900, "uploader": 120}
"""How long each may finish what runs; Railway waits half a minute longer."""


@define_railway
def main(_context: object = None) -> Any:
    """Return the project."""
    store = redis("store")
    queues = volume("rabbitmq-data", sizeMB=5000)
    films = bucket("films", region="ams")
    broker = service(
        "rabbitmq",
        source=image("docker.io/library/rabbitmq:4.3-management"),
        volumeMounts={"/var/lib/rabbitmq": queues},
        env={
            "RABBITMQ_DEFAULT_USER": "stitcher",
            "RABBITMQ_DEFAULT_PASS": preserve(),
            # The data folder is named after the node, and the host's name changes with every deploy.
            "RABBITMQ_NODENAME": "rabbit@localhost",
        },
    )
    common: dict[str, Any] = {
        "REDIS_URL": store.env.REDIS_URL,
        "RABBITMQ_HOST": "${{rabbitmq.RAILWAY_PRIVATE_DOMAIN}}",
        "RABBITMQ_USER": broker.env.RABBITMQ_DEFAULT_USER,
        "RABBITMQ_PASSWORD": broker.env.RABBITMQ_DEFAULT_PASS,
        "PUBLIC_URL": "https://${{gateway.RAILWAY_PUBLIC_DOMAIN}}",
        "ARTIFACTS_URL": "s3://${{films.BUCKET}}/films",
        "AWS_ENDPOINT_URL": films.env.ENDPOINT,
        "AWS_S3_ADDRESSING_STYLE": "virtual",
        "AWS_REGION": films.env.REGION,
        "AWS_ACCESS_KEY_ID": films.env.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": films.env.SECRET_ACCESS_KEY,
        "AIRTABLE_BASE_ID": preserve(),
        "LOG_FORMAT": "json",
    }

    def role(name: str, **more: Any) -> Any:
        own = {secret: preserve() for secret in SECRETS[name]} | {"DRAIN_S": str(DRAIN_S[name])}
        return service(
            name,
            source=REPOSITORY,
            start=f"start {name}",
            env=common | own,
            deploy={"drainingSeconds": str(DRAIN_S[name] + 30)},
            **more,
        )

    roles = [role("gateway", healthcheck="/readyz"), role("generator"), role("stitcher"), role("uploader")]
    return project("sora-video-stitcher", resources=[store, queues, films, broker, *roles])
