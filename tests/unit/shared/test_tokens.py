"""Signed tokens: what we made and nobody altered, or `BadToken` and nothing else."""

import base64
import contextlib
import hashlib
import hmac
import json
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.tokens import BadToken, ClipToken, MediaToken, Signer

SIGNER = Signer("a key")
NOW = 1_000
CLIP = ClipToken("job_1700000000000_0123456789abcdef", 2, 1)
MEDIA = MediaToken("jobs/job_1/film.mp4", NOW + 1)
TOKEN_CHARACTERS = set(string.ascii_letters + string.digits + "-_.")

ANY_TEXT = st.text(st.characters(codec=None)) | st.binary().map(lambda raw: raw.decode("latin-1"))
"""Text as hostile as Python lets it be, lone surrogates included."""


def reads(text: str, signer: Signer = SIGNER, now: int = NOW) -> list[ClipToken | MediaToken]:
    """Return what the text is taken for; anything but `BadToken` passes through and fails the test."""
    found: list[ClipToken | MediaToken] = []
    with contextlib.suppress(BadToken):
        found.append(signer.read_callback_token(text))
    with contextlib.suppress(BadToken):
        found.append(signer.read_media_token(text, now))
    return found


@given(job=st.text(st.characters(codec="utf-8")), clip=st.integers(), attempt=st.integers())
def test_a_callback_token_names_what_it_was_made_for(job: str, clip: int, attempt: int) -> None:
    token = ClipToken(job, clip, attempt)
    text = SIGNER.callback_token(token)
    assert SIGNER.read_callback_token(text) == token
    assert set(text) <= TOKEN_CHARACTERS, "it goes into a URL as it is"


@given(key=st.text(st.characters(codec="utf-8")), expires_at=st.integers(min_value=1))
def test_a_media_token_gives_access_to_what_it_was_made_for_until_it_expires(key: str, expires_at: int) -> None:
    token = MediaToken(key, expires_at)
    text = SIGNER.media_token(token)
    assert SIGNER.read_media_token(text, expires_at - 1) == token
    with pytest.raises(BadToken, match="expired"):
        SIGNER.read_media_token(text, expires_at)


def test_a_token_of_one_purpose_is_worth_nothing_for_another() -> None:
    assert reads(SIGNER.callback_token(CLIP)) == [CLIP]
    assert reads(SIGNER.media_token(MEDIA)) == [MEDIA]


def test_a_token_of_another_key_is_worth_nothing() -> None:
    assert reads(Signer("another key").callback_token(CLIP)) == []
    assert reads(Signer("").callback_token(CLIP)) == []


def test_the_same_token_is_always_spelled_the_same() -> None:
    """A redelivered callback must carry the token that the provider was told."""
    assert SIGNER.callback_token(CLIP) == Signer("a key").callback_token(CLIP)
    assert SIGNER.callback_token(CLIP) != SIGNER.callback_token(ClipToken(CLIP.job_id, 2, 2))


def test_every_single_character_counts() -> None:
    """Also the last one, whose unused bits a lenient base64 decoder would overlook."""
    for text in (SIGNER.callback_token(CLIP), SIGNER.media_token(MEDIA)):
        for index in range(len(text)):
            for other in "A_9.=":
                altered = text[:index] + other + text[index + 1 :]
                assert altered == text or reads(altered) == []
        for altered in (text[:-1], text + "=", text + ".", text + "A", f" {text}", text + "\n", text.swapcase()):
            assert reads(altered) == []


@given(cut=st.integers(0, 200), junk=ANY_TEXT, keep=st.integers(0, 200))
def test_an_altered_token_is_refused(cut: int, junk: str, keep: int) -> None:
    text = SIGNER.callback_token(CLIP)
    altered = text[:cut] + junk + text[cut + keep :]
    assert reads(altered) == ([CLIP] if altered == text else [])


@settings(max_examples=300)
@given(text=ANY_TEXT)
@example("")
@example(".")
@example("\ud800.AAAA")
@example("AAAA.\udfff")
@example("é.é")
@example("\x00.\x00")
@example("a.b.c")
@example("." * 10_000)
def test_garbage_is_refused_and_nothing_worse(text: str) -> None:
    assert reads(text) == []


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, "x", 1, ["job", 1], ["job", "1", 1], ["job", 1, 1, 1], [1, 1, 1], ["job", 1.5, 1], [["job"], 1]],
)
def test_a_payload_we_never_write_is_refused_even_with_a_good_signature(payload: object) -> None:
    """Someone with the key, or an older version of ours, may have signed anything."""
    for purpose in ("callback", "media"):
        assert reads(signed(purpose, json.dumps(payload).encode())) == []


def test_the_errors_do_not_tell_what_was_expected() -> None:
    text = SIGNER.callback_token(CLIP)
    with pytest.raises(BadToken) as caught:
        SIGNER.read_callback_token(text[:-4] + "AAAA")
    assert text[-10:] not in str(caught.value)
    assert "a key" not in repr(caught.value)


def signed(purpose: str, raw: bytes) -> str:
    """Sign any bytes as `Signer` does."""
    body = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    mac = hmac.new(b"a key", f"{purpose}:{body}".encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
