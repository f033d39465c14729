"""Log lines: what they carry, and that no secret ever gets into one."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared.logs import configure_logging, redact
from shared.tokens import ClipToken, MediaToken, Signer
from tests.support.cli import own_place

WORDS = st.text("abc xyz.,:;!?-_()[]{}'\"", max_size=20)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SIGNER = Signer("the signing key")


def secret_text() -> st.SearchStrategy[tuple[str, str]]:
    """Return a secret and a text in the forms in which secrets come by."""
    key = st.text(LETTERS + "-._~", min_size=12, max_size=64)
    password = st.text(LETTERS + "-._~!$&*+=%@:", min_size=6, max_size=30).filter(lambda text: not text.endswith(":"))
    pat = st.builds(
        lambda name, rest: f"pat{name}.{rest}",
        st.text(LETTERS, min_size=14, max_size=14),
        st.text("0123456789abcdef", min_size=64, max_size=64),
    )
    clip = st.builds(lambda n: SIGNER.callback_token(ClipToken(f"job_{n}", 1, 1)), st.integers(0, 10**15))
    media = st.builds(lambda n: SIGNER.media_token(MediaToken(f"jobs/job_{n}/film.mp4", n)), st.integers(0, 10**15))
    forms: list[st.SearchStrategy[tuple[str, str]]] = [
        key.map(lambda text: (text, f"Authorization: Bearer {text}")),
        key.map(lambda text: (text, f"{{'authorization': 'bearer {text}'}}")),
        password.map(lambda text: (text, f"amqp://user:{text}@host:5672/vhost")),
        password.map(lambda text: (text, f"rediss://:{text}@host:6379")),
        pat.map(lambda text: (text, f"the token {text} was refused")),
        clip.map(lambda text: (text, f"https://host/api/callback/sora?t={text}")),
        clip.map(lambda text: (text, f"/api/callback/sora?x=1&t={text} 200")),
        media.map(lambda text: (text, f"GET https://host/media/{text}/film.mp4")),
        key.map(
            lambda text: (text, f"https://bucket.s3.amazonaws.com/film.mp4?X-Amz-Expires=60&X-Amz-Signature={text}")
        ),
    ]
    return st.one_of(forms)


@given(before=WORDS, case=secret_text(), after=WORDS)
def test_a_secret_never_appears_whatever_stands_around_it(before: str, case: tuple[str, str], after: str) -> None:
    secret, text = case
    assert secret not in redact(f"{before} {text} {after}")


@given(text=st.text("abcdefgh ijk/.-_:?=&0123456789", max_size=60).filter(lambda text: "/media/" not in text))
def test_text_without_secrets_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_what_is_left_of_a_line_still_tells_where_it_was() -> None:
    assert redact("amqp://user:hunter2@rabbit:5672 refused") == "amqp://user:***@rabbit:5672 refused"
    assert redact("amqp://a:p1@one,amqp://b:p@2@two") == "amqp://a:***@one,amqp://b:***@two"
    assert redact("GET /media/" + "x" * 40 + "/film.mp4") == "GET /media/***/film.mp4"


@pytest.fixture
def configured() -> Iterator[None]:
    """Put logging back as it was after the test."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    ours = {name: logging.getLogger(name).level for name in ("services", "shared", "sandbox", "sora_stitcher")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()
    for name, before in ours.items():
        logging.getLogger(name).setLevel(before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("configured")
def test_json_lines_carry_service_level_time_and_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("generator", "info", "json")
    log = structlog.get_logger("services.generator")
    with structlog.contextvars.bound_contextvars(job="job_1", clip=2):
        log.info("clip is home", size=10, problem=None)
    log.debug("not shown at this level")
    [line] = lines(capsys)
    assert line.items() >= {"event": "clip is home", "service": "generator", "level": "info", "job": "job_1"}.items()
    assert (line["clip"], line["size"]) == (2, 10)
    assert line["timestamp"].endswith("Z")
    assert "problem" not in line


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("fmt", ["json", "console"])
def test_secrets_stay_out_of_lines_wherever_they_are(capsys: pytest.CaptureFixture[str], fmt: Any) -> None:
    """In the message, in values, deep inside them, in objects, in exceptions, and in lines of libraries."""
    configure_logging("gateway", "debug", fmt)
    log = structlog.get_logger("services.gateway")
    url = "redis://:hunter2@host:6379"

    class Odd:
        def __str__(self) -> str:
            return url

    message = f"cannot reach {url}"
    log.warning(message, url=url, deep={"list": [url, {"key": (url,)}]}, odd=Odd(), names={url})
    try:
        raise ConnectionError(f"no connection to {url}")
    except ConnectionError:
        log.exception("failed", again=True)
    logging.getLogger("some.library").warning("retrying %s", url)
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert shown.count("redis://:***@host:6379") >= 7
    assert "ConnectionError" in shown
    if fmt == "json":
        for line in shown.splitlines():
            json.loads(line)


def test_commands_under_test_leave_logging_as_they_found_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What structlog does by itself takes seconds for a traceback: a minute for tests that come later."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    with own_place(tmp_path, monkeypatch):
        configure_logging("doctor", "error", "console")
    assert (structlog.get_config(), logging.getLogger().handlers) == (before, handlers)
