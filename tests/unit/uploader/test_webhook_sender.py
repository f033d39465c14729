"""What a receiver's answer means, and the guide's own verification of what we send."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Signature
from standardwebhooks import WebhookVerificationError

from services.uploader.webhook_sender import RETRY_AFTER_MAX_MS, Answer, judged, retry_after_ms
from shared.errors import ConfigurationError
from tests.support.world import load_settings

NOW = 1_700_000_000_000
GUIDE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_kind_of_yes_is_taken(status: int) -> None:
    assert judged(status, "", lambda: NOW) == Answer(is_taken=True, status=status)


@pytest.mark.parametrize("status", [199, 301, 302, 307, 400, 401, 403, 404, 408, 429, 500, 502, 503])
def test_everything_else_is_tried_again(status: int) -> None:
    answer = judged(status, "", lambda: NOW)
    assert (answer.is_taken, answer.is_final, answer.status) == (False, False, status)
    assert str(status) in answer.problem


def test_gone_is_final() -> None:
    assert judged(410, "", lambda: NOW).is_final


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        ("120", 120_000),
        (" 0 ", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60_000),
        ("Tue, 14 Nov 2023 22:14:20", 60_000),
        ("Tue, 14 Nov 2000 22:14:20 GMT", 0),
        ("", 0),
        ("soon", 0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("-5", 0),
        ("²", 0),
        ("9" * 5_000, 999_999_999_000),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, ms: int) -> None:
    assert retry_after_ms(header, NOW) == ms


def test_nobody_keeps_us_waiting_for_longer_than_an_hour() -> None:
    assert judged(503, "9" * 9, lambda: NOW).retry_after_ms == RETRY_AFTER_MAX_MS


def test_the_guides_python_verifies_what_we_sign() -> None:
    code = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    secret, now, body = f"whsec_{base64.b64encode(b'k' * 32).decode()}", datetime.now(UTC), '{"type":"job.completed"}'
    headers = {"webhook-id": "id", "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Signature(secret).sign("id", now, body)
    assert names["verified"](secret, body.encode(), headers) == {"type": "job.completed"}
    with pytest.raises(WebhookVerificationError):
        names["verified"](secret, body.encode() + b" ", headers)


@pytest.mark.parametrize("bytes_", [24, 32, 64])
def test_secrets_of_standard_webhooks_are_taken(bytes_: int) -> None:
    secret = f"whsec_{base64.b64encode(b'k' * bytes_).decode()}"
    settings = load_settings(webhook_secret=f"{secret}, {secret}")
    assert [each.get_secret_value() for each in settings.webhook_secret] == [secret, secret]


@pytest.mark.parametrize(
    "secret", ["secret", "whsec_", "whsec_a2V5", "whsec_!!!!", f"sk_{'A' * 32}", f"whsec_{'A' * 400}"]
)
def test_other_secrets_are_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_SECRET") as refused:
        load_settings(webhook_secret=secret)
    assert secret not in str(refused.value).removeprefix("cannot start") or secret == "whsec_"
