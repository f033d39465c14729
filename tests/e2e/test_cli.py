"""The installed command as people use it: `up` as a process of its own, everything else against it."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from sora_stitcher.cli import app
from tests.support import cli as support
from tests.support.media import Clip, make_clip, watch
from tests.support.ports import free_port
from tests.support.system import FAST_SERVICES, FAST_TWINS, Process, clean_environment

CLIP_FRAMES = 30


@dataclass
class Cli:
    """Runs commands in this process, which is quicker than starting one each; see `installed` for the real thing."""

    env: dict[str, str]

    def __call__(self, *arguments: str, **env: str) -> Result:
        runner = CliRunner(env=self.env | env)
        return runner.invoke(app, list(arguments), prog_name="sora-stitcher", catch_exceptions=False)

    def json(self, *arguments: str, **env: str) -> Any:
        done = self(*arguments, "--json", **env)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def installed(*arguments: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
    """Start the command as a process, as a shell would; one that is still there at the end is killed."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "sora_stitcher", *arguments],
        env={**clean_environment(), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See `tests.support.cli.own_place`."""
    with support.own_place(tmp_path, monkeypatch):
        yield


@dataclass
class Embedded:
    """`sora-stitcher up` as a process."""

    process: Process
    url: str

    @classmethod
    def started(cls, folder: Path, port: int, env: Mapping[str, str]) -> "Embedded":
        command = ["sora_stitcher", "up", "--port", str(port), "--data-dir", str(folder / "data")]
        embedded = cls(Process("up", command, {**FAST_SERVICES, **env}, folder), f"http://127.0.0.1:{port}")
        embedded.process.start()
        embedded.until_ready()
        return embedded

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.process.poll() is None, self.process.tail()
            try:
                return bool(fetched(f"{self.url}/readyz")["status"] == "ready")
            except httpx.TransportError:
                return False

        until(ready, f"up is ready\n{self.process.tail()}")


def fetched(url: str) -> Any:
    """Return the JSON at an address."""
    return httpx.get(url, trust_env=False, timeout=30).json()


def until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Return as soon as a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A running system with quick twins in it."""
    system = Embedded.started(tmp_path_factory.mktemp("up"), free_port(), FAST_TWINS)
    try:
        yield system
    finally:
        system.process.kill()


@pytest.fixture
def cli(embedded: Embedded) -> Cli:
    """The command, pointed at the running system."""
    return Cli({"SORA_STITCHER_URL": embedded.url})


def test_up_says_where_everything_is(embedded: Embedded) -> None:
    until(lambda: "Ctrl-C" in embedded.process.log.read_text(), "it has said all")
    told = embedded.process.log.read_text()
    for part in (
        f"{embedded.url}/api",
        f"{embedded.url}/docs",
        "kie.ai    an offline twin",
        "Airtable  an offline twin",
        "--record recSANDBOX0000001",
    ):
        assert part in told


def test_a_film_is_ordered_watched_and_saved(embedded: Embedded, tmp_path: Path) -> None:
    prompts = ("a red boat", "a lighthouse", "a storm")
    wishes = ("--record", "recSANDBOX0000001", "--watch", "-o", "film.mp4", "--url", embedded.url)
    with installed("submit", *prompts, *wishes) as command:
        told, complaints = command.communicate(timeout=60)
    assert command.returncode == 0, complaints
    for part in ("accepted with 3 clips", "clip 3: ", "delivered to the record", "completed in", "film   film.mp4"):
        assert part in told
    film = watch(tmp_path / "film.mp4")
    assert len(film.luma) == 3 * CLIP_FRAMES
    assert film.complaints == ""


def test_a_job_is_listed_and_shown_and_its_clips_can_be_stitched_by_hand(cli: Cli, tmp_path: Path) -> None:
    job_id = cli.json("submit", "one", "two")["jobId"]
    job = cli.json("watch", job_id)
    assert job["status"] == "completed"
    assert job_id in {listed["jobId"] for listed in cli.json("jobs", "--status", "completed")}
    assert cli.json("show", job_id)["timeline"] == job["timeline"]
    urls = [clip["url"].replace("//localhost:", "//127.0.0.1:") for clip in job["clips"]]
    film = cli.json("stitch", *urls, "-o", "by-hand.mp4", "--transition", "fade:0.2")
    assert film["frames"] == 2 * CLIP_FRAMES - 6
    assert watch(tmp_path / "by-hand.mp4").complaints == ""


def test_a_job_that_fails_ends_in_its_reason_and_exit_code_1(cli: Cli) -> None:
    done = cli("submit", "a fish [twin:fail=content]", "a bird", "--watch")
    assert done.exit_code == 1
    assert "failed (generating, content_policy)" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["submit", " "], "must not be empty or blank"),
        (["submit", "x", "--aspect", "3:4"], "must be one of landscape, portrait, square"),
        (["submit", "x", "--record", "recDOESNOTEXIST00"], "no such record"),
        (["watch", "job_unknown"], "Job not found"),
    ],
)
def test_what_the_api_refuses_is_told_in_its_words(cli: Cli, arguments: list[str], part: str) -> None:
    done = cli(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert part in done.stderr


def test_the_doctor_finds_the_running_system(cli: Cli, embedded: Embedded) -> None:
    checks = cli.json("doctor", PORT=embedded.url.rpartition(":")[2])["checks"]
    assert {"status": "ok", "what": f"Gateway: runs at {embedded.url}", "advice": ""} in checks


def test_watching_can_be_interrupted_and_the_job_goes_on(cli: Cli) -> None:
    job_id = cli.json("submit", "a boat", "--review")["jobId"]
    with installed("watch", job_id, **cli.env) as watching:
        assert watching.stdout is not None
        assert "accepted" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, told = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert told == f"sora-stitcher: stopped watching; the job goes on: sora-stitcher watch {job_id}\n"
    assert cli.json("watch", job_id, "--until", "review")["status"] == "review"
    assert cli.json("approve", job_id, "--watch")["status"] == "completed"


def test_a_taken_port_is_told_in_one_line(cli: Cli, embedded: Embedded) -> None:
    done = cli("up", "--port", embedded.url.rpartition(":")[2], "--log-level", "error")
    assert done.exit_code == 2
    assert "PORT" in done.stderr.splitlines()[-1]


def test_the_demo_makes_a_film_whatever_the_environment_says(tmp_path: Path) -> None:
    nonsense = {
        "SORA_API_KEY": "real-key",
        "AIRTABLE_API_KEY": "real",
        "RABBITMQ_URL": "amqp://nowhere/",
        "REDIS_URL": "redis://nowhere",
        "ARTIFACTS_URL": "s3://nowhere",
        "PORT": "x",
        "JOB_TIMEOUT": "soon",
    }
    with installed("demo", **FAST_TWINS, **nonsense) as command:
        told, complaints = command.communicate(timeout=90)
    assert command.returncode == 0, told + complaints
    assert complaints == "", "the services' logs do not clutter it"
    (film,) = (tmp_path / "films").glob("job_*.mp4")
    assert f"The film: films/{film.name}" in told
    assert re.search(r"its Status went Generating → .*Completed\n", told), told
    assert "byte for byte" in told
    assert len(watch(film).luma) == 2 * CLIP_FRAMES


def test_the_demo_takes_prompts_and_says_when_it_fails(tmp_path: Path) -> None:
    done = Cli(FAST_TWINS)("demo", "a fish [twin:fail=content]", "-o", "film.mp4")
    assert done.exit_code == 1
    assert "content_policy" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_stitching_can_be_ended_at_any_time_and_leaves_nothing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", Clip(frames=100, size=(1280, 720)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    wishes = ("-t", "fade", "--preset", "veryslow", "-o", "film.mp4")
    with installed("stitch", *[str(clip)] * 4, *wishes, TMPDIR=str(temporary)) as command:
        until(lambda: list(temporary.glob("*/*")), "encoding has begun")
        command.send_signal(signal.SIGTERM)
        _, told = command.communicate(timeout=30)
    assert command.returncode == 130
    assert told.splitlines()[-1] == "sora-stitcher: interrupted; nothing was written"
    assert "Traceback" not in told
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["clip.mp4"]


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Twins as a process of their own, which outlive the system: as the real partners do."""
    process = Process("twins", ["sandbox", "all"], FAST_TWINS, tmp_path)
    process.start()
    try:
        assert process.process.stdout is not None
        yield json.loads(process.process.stdout.readline())
    finally:
        process.kill()
        assert process.process.stdout is not None
        process.process.stdout.close()


def environment_of(twins: Mapping[str, Any], port: int) -> dict[str, str]:
    return {
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SORA_API_KEY": twins["api_keys"]["kie"],
        "SORA_API_BASE_URL": twins["kie_url"],
        "AIRTABLE_API_KEY": twins["api_keys"]["airtable"],
        "AIRTABLE_BASE_ID": twins["base_id"],
        "AIRTABLE_ENDPOINT_URL": twins["airtable_url"],
        "AIRTABLE_CONTENT_URL": twins["airtable_content_url"],
        "FETCH_ALLOWED_HOSTS": "127.0.0.1",
    }


@pytest.mark.timeout(240)  # three starts of the whole system, on a machine that may be busy
def test_killed_in_mid_job_and_started_again_it_finishes_and_pays_once(tmp_path: Path, twins: dict[str, Any]) -> None:
    """SIGKILL once while clips are made, once while the job is on its way to the record; in the end SIGTERM."""
    port = free_port()
    kie, airtable = twins["kie_url"].removesuffix("/api/v1"), twins["airtable_url"]
    system = Embedded.started(tmp_path, port, environment_of(twins, port))
    cli = Cli({"SORA_STITCHER_URL": system.url})
    prompts = [f"clip {number} [twin:task=slow:1500]" for number in range(3)]
    try:
        job_id = cli.json("submit", *prompts, "--record", "recSANDBOX0000002")["jobId"]
        until(lambda: len(fetched(f"{kie}/__twin__/tasks")) == 3, "three orders are placed")
        system.process.kill()
        system.process.start()
        system.until_ready()
        until(lambda: fetched(f"{system.url}/api/job/{job_id}")["data"]["status"] != "generating", "the clips are home")
        system.process.kill()
        system.process.start()
        system.until_ready()
        job = cli.json("watch", job_id)
        assert system.process.stop() == 0, "SIGTERM drains"
        assert system.process.tail(1) == "stopped"
    finally:
        system.process.kill()
    assert job["status"] == "completed", job
    orders = fetched(f"{kie}/__twin__/orders/count")["by_prompt"]
    assert orders == dict.fromkeys(prompts, 1), "no clip is ordered twice"
    record = fetched(f"{airtable}/__twin__/records/recSANDBOX0000002")
    assert [file["size"] for file in record["attachments"]] == [job["film"]["sizeBytes"]]
    assert record["fields"]["Status"] == "Completed"


def test_the_doctor_is_content_with_partners_in_order(twins: dict[str, Any]) -> None:
    done = Cli(environment_of(twins, free_port()))("doctor")
    assert done.exit_code == 0, done.stdout
    for part in (
        "kie.ai key: accepted",
        "Model ",
        "Airtable token: ",
        "Airtable field `Video`: multipleAttachments",
        "Airtable field `Status`: has all options",
        "Public address: ",
    ):
        assert part in done.stdout
    assert twins["api_keys"]["kie"] not in done.output
