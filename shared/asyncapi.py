"""The AsyncAPI 3.0 document of all events, made from the models and the topology that the services run on.

`python -m shared.asyncapi` prints it; `docs/asyncapi.yaml` holds it, and a test keeps that current. It is written as
JSON, which is YAML too. Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from inspect import cleandoc
from typing import Any

from shared.bus.topology import EXCHANGE, SUBSCRIPTIONS
from shared.events import CONTENT_TYPE, PAYLOADS, Event, EventName

PUBLISHERS: dict[EventName, tuple[str, ...]] = {
    EventName.JOB_CREATED: ("gateway",),
    EventName.VIDEO_REQUESTED: ("generator",),
    EventName.VIDEO_CALLBACK: ("gateway",),
    EventName.VIDEO_READY: ("generator",),
    EventName.VIDEO_FAILED: ("generator",),
    EventName.JOB_STITCHING: ("stitcher",),
    EventName.JOB_STITCHED: ("stitcher",),
    EventName.JOB_UPLOADING: ("uploader",),
    EventName.JOB_COMPLETED: ("uploader",),
    EventName.JOB_FAILED: ("generator", "stitcher", "uploader"),
    EventName.JOB_CANCELLED: ("gateway",),
    EventName.JOB_REVIEW: ("generator",),
    EventName.JOB_PROGRESS: ("stitcher",),
    EventName.WEBHOOK_DUE: ("gateway", "uploader"),
}
"""Who publishes an event first. The reconciler, which runs in every service, may publish any of them again."""


def document() -> dict[str, Any]:
    """Return the document."""
    names = list(EventName)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sora Video Stitcher",
            "version": "1",
            "description": "Events between the services: CloudEvents 1.0 in structured JSON mode over RabbitMQ. "
            "An event is a nudge; the job document is the truth. Events come at least once and in any order.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {str(name): _channel(name) for name in names},
        "operations": {**_sends(names), **_receives()},
        "components": {"messages": {_message_key(name): _message(name) for name in names}},
    }


def render() -> str:
    """Return the document as text."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _message_key(name: EventName) -> str:
    return f"{name}.v1"


def _channel(name: EventName) -> dict[str, Any]:
    return {
        "address": str(name),
        "description": cleandoc(PAYLOADS[name].__doc__ or ""),
        "messages": {_message_key(name): {"$ref": f"#/components/messages/{_message_key(name)}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _message(name: EventName) -> dict[str, Any]:
    envelope = Event.model_json_schema()
    envelope["properties"]["type"] = {"const": _message_key(name)}
    envelope["properties"]["data"] = PAYLOADS[name].model_json_schema(by_alias=True)
    return {
        "name": _message_key(name),
        "title": str(name),
        "summary": PAYLOADS[name].__doc__,
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/subject"},
        "payload": envelope,
    }


def _sends(names: list[EventName]) -> dict[str, Any]:
    return {
        f"{service}.sends.{name}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "tags": [{"name": service}],
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": "0.3.0"}},
        }
        for name in names
        for service in PUBLISHERS[name]
    }


def _receives() -> dict[str, Any]:
    return {
        f"{subscription.service}.receives.{subscription.event}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{subscription.event}"},
            "tags": [{"name": subscription.service}],
            "description": f"Quorum queue `{subscription.queue}`, dead letters in `{subscription.queue}.dead`.",
            "bindings": {"amqp": {"ack": True, "bindingVersion": "0.3.0"}},
        }
        for subscription in SUBSCRIPTIONS
    }


if __name__ == "__main__":
    print(render(), end="")
