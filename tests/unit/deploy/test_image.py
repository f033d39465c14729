"""The image's own scripts, run here as the container runs them."""

import json
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.image import START, showing_python, start
from tests.support.manifests.files import ROOT

HEALTHCHECK = ROOT / "deploy" / "image" / "healthcheck"
NOT_IN_SLIM = ("av", "ffmpeg", "imageio_ffmpeg", "numpy")


@pytest.fixture
def show(tmp_path: Path) -> Path:
    """See `showing_python`."""
    return showing_python(tmp_path / "bin")


def test_the_role_is_the_first_argument(show: Path) -> None:
    for role in ("gateway", "generator", "stitcher", "uploader"):
        code, _, said = start(show, role)
        assert (code, said.strip()) == (0, f"-m services.{role}")


def test_anything_else_is_run_as_it_stands(show: Path) -> None:
    _, _, said = start(show, "sh", START.as_posix(), "stitcher")
    assert said.strip() == "-m services.stitcher"


def test_the_slim_image_refuses_to_work_on_video(show: Path) -> None:
    for role in ("generator", "stitcher", "up", "twins"):
        code, _, said = start(show, role, IMAGE_TARGET="slim")
        assert code == 2
        assert "full image" in said


def test_without_keys_the_twins_are_used(show: Path) -> None:
    _, given, said = start(show, "generator", TWINS_HOST="twins", FETCH_ALLOWED_HOSTS="nas.local")
    assert given["SORA_API_BASE_URL"] == "http://twins:4010/api/v1"
    assert given["FETCH_ALLOWED_HOSTS"] == "nas.local,twins:4010"
    assert given["AIRTABLE_CONTENT_URL"] == "http://twins:4012"
    assert "no SORA_API_KEY" in said


def test_with_keys_the_partners_are_used(show: Path) -> None:
    _, given, _ = start(show, "uploader", TWINS_HOST="twins", SORA_API_KEY="k", AIRTABLE_API_KEY="pat")
    assert not {"SORA_API_BASE_URL", "AIRTABLE_ENDPOINT_URL", "FETCH_ALLOWED_HOSTS"} & given.keys()


def test_a_signing_key_is_made_once_and_kept(show: Path, tmp_path: Path) -> None:
    keys = {
        start(show, role, SECRET_KEY_FILE=str(tmp_path / "secret.key"))[1]["SECRET_KEY"]
        for role in ("gateway", "uploader")
    }
    (key,) = keys
    assert len(key) == 64
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "secret.key"]


def test_the_stitcher_is_given_no_signing_key(show: Path, tmp_path: Path) -> None:
    _, given, _ = start(show, "stitcher", SECRET_KEY_FILE=str(tmp_path / "secret.key"))
    assert "SECRET_KEY" not in given
    assert not (tmp_path / "secret.key").exists()


def test_a_signing_key_that_is_given_wins(show: Path, tmp_path: Path) -> None:
    _, given, _ = start(show, "gateway", SECRET_KEY="mine", SECRET_KEY_FILE=str(tmp_path / "secret.key"))
    assert given["SECRET_KEY"] == "mine"
    assert not (tmp_path / "secret.key").exists()


def test_the_brokers_address_is_put_together_with_any_password(show: Path) -> None:
    parts = {"RABBITMQ_HOST": "mq", "RABBITMQ_USER": "me", "RABBITMQ_PASSWORD": "a/b@c:d%"}
    _, given, _ = start(show, "gateway", **parts)
    assert given["RABBITMQ_URL"] == "amqp://me:a%2Fb%40c%3Ad%25@mq:5672/"


def test_a_hosts_own_address_stands_in_for_ours(show: Path) -> None:
    assert (
        start(show, "gateway", RENDER_EXTERNAL_URL="https://x.onrender.com")[1]["PUBLIC_URL"]
        == "https://x.onrender.com"
    )
    assert (
        start(show, "gateway", RAILWAY_PUBLIC_DOMAIN="x.up.railway.app")[1]["PUBLIC_URL"] == "https://x.up.railway.app"
    )
    given = start(show, "gateway", RENDER_EXTERNAL_URL="https://x.onrender.com", PUBLIC_URL="https://mine.example")[1]
    assert given["PUBLIC_URL"] == "https://mine.example"


class Ready(BaseHTTPRequestHandler):
    """Answers `/readyz` with the server's status."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[HTTPServer]:
    """Something that listens on one port."""
    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def healthy(*ports: int, **environment: str) -> int:
    command = [sys.executable, str(HEALTHCHECK), *map(str, ports)]
    return subprocess.run(command, check=False, env=environment, capture_output=True, timeout=30).returncode


def test_the_health_check_finds_whichever_port_answers(service: HTTPServer) -> None:
    port = str(service.server_port)
    assert healthy(PORT=port, METRICS_PORT="1") == 0
    assert healthy(PORT="1", METRICS_PORT=port) == 0
    assert healthy(PORT="1", METRICS_PORT="2") == 1


def test_the_health_check_fails_when_the_service_is_not_ready(
    service: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ready, "status", 503)
    assert healthy(PORT=str(service.server_port), METRICS_PORT="1") == 1


def test_ports_that_are_named_must_all_be_listened_on(service: HTTPServer) -> None:
    assert healthy(service.server_port) == 0
    assert healthy(service.server_port, 1) == 1


@pytest.mark.parametrize("role", ["gateway", "uploader"])
def test_what_runs_in_the_slim_image_needs_nothing_that_it_lacks(role: str) -> None:
    code = f"""
import sys
for name in {NOT_IN_SLIM!r}:
    sys.modules[name] = None
import services.{role}.bootstrap, shared.entrypoint
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_slim_image_lacks_what_it_is_said_to_lack() -> None:
    (line,) = [
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if "uninstall" in line and "numpy" in line
    ]
    assert {"av", "ffmpeg-python", "imageio-ffmpeg", "numpy"} <= set(line.split())


def test_the_bill_of_materials_lists_what_is_installed() -> None:
    said = subprocess.run(
        [sys.executable, ROOT / "scripts" / "sbom"], capture_output=True, check=True, timeout=60
    ).stdout
    bill = json.loads(said)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    names = [part["name"] for part in bill["components"]]
    assert "aio-pika" in names
    references = [part["purl"] for part in bill["components"]]
    assert references == sorted(references)


def test_the_image_has_one_init_no_root_and_a_health_check() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["tini", "--", "start"]' in text
    assert "USER 10001:10001" in text
    assert "HEALTHCHECK" in text
    assert "--require-hashes -r requirements.lock" in text


def test_the_build_context_holds_no_secret() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert rules[1] == "*"
    assert not any(".env" in rule or rule == "!.git" for rule in rules)


def test_the_image_gets_every_file_that_is_not_python() -> None:
    """Tests run from the checkout, where files are found that an installed package may lack."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    lacking = [
        str(path.relative_to(ROOT))
        for package in ("services", "shared", "sandbox", "sora_stitcher")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and ".mypy_cache" not in path.parts
        if not any(path.match(pattern) for pattern in patterns)
    ]
    assert lacking == []
