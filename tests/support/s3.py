"""A private S3 server (moto) on a free loopback port, and a proxy in front of it that can refuse requests."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.artifacts.s3 import S3Artifacts
from shared.artifacts.s3_access import S3Access
from tests.support.ports import free_port
from tests.support.waiting import until_serves

START_TIMEOUT_S = 60.0
ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET = "a-secret-that-is-never-printed"


class S3Server:
    """One server process.

    Args:
        folder: for its log.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._http = httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=10)  # plain HTTP

    def start(self) -> None:
        """Start and return once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log
            )
        until_serves("the S3 server", self._process, self._answers, self._log, START_TIMEOUT_S)

    def stop(self) -> None:
        """End it; nothing happens if it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
        self._http.close()

    def _answers(self) -> bool:
        try:
            return self._http.get("/moto-api/").status_code < 500
        except httpx.TransportError:
            return False

    def new_bucket(self) -> str:
        """Make a bucket and return its name."""
        name = f"films-{uuid.uuid4().hex[:12]}"
        answer = self._http.put(f"/{name}")
        assert answer.status_code == 200, answer.text
        return name

    def objects(self, bucket: str) -> str:
        """Return the bucket's own listing, as XML."""
        return self._http.get(f"/{bucket}").text

    def uploads(self, bucket: str) -> int:
        """Return how many uploads in parts are under way."""
        return self._http.get(f"/{bucket}?uploads").text.count("<UploadId>")

    def require_known_keys(self) -> tuple[str, str]:
        """Check signatures from now on; return the only access key and secret that it knows (allowed everything)."""
        signed_for_iam = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request, a=b"}

        def ask(**form: str) -> str:
            answer = self._http.post("/", data=form, headers=signed_for_iam)
            assert answer.status_code == 200, answer.text
            return answer.text

        ask(Action="CreateUser", UserName="stitcher", Version="2010-05-08")
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        ask(
            Action="PutUserPolicy",
            UserName="stitcher",
            PolicyName="all",
            Version="2010-05-08",
            PolicyDocument=policy,
        )
        made = ask(Action="CreateAccessKey", UserName="stitcher", Version="2010-05-08")
        key, secret = (made.partition(f"<{name}>")[2].partition("<")[0] for name in ("AccessKeyId", "SecretAccessKey"))
        self._http.post("/moto-api/reset-auth", content=b"0").raise_for_status()
        return key, secret

    def environment(self, bucket: str) -> dict[str, str]:
        """Return the settings by which services keep their artifacts in a bucket."""
        return {
            "ARTIFACTS_URL": f"s3://{bucket}/some/prefix",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


def artifacts_in(url: str, bucket: str, spool: Path, **access: Any) -> S3Artifacts:
    """Return the store on a bucket."""
    known = {"access_key_id": ACCESS_KEY, "secret_access_key": SecretStr(SECRET), "region": "us-east-1", **access}
    return S3Artifacts(bucket, "some/prefix", S3Access(endpoint_url=url, **known), spool)


def proxy_to(server: S3Server, refuse: Callable[[Request], Response | None]) -> Starlette:
    """Return an application that passes requests on, unless `refuse` answers them."""

    async def pass_on(request: Request) -> Response:
        refusal = refuse(request)
        if refusal is not None:
            return refusal
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {name: value for name, value in request.headers.items() if name != "transfer-encoding"}
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as http:
            answer = await http.request(
                request.method, f"{server.url}{request.url.path}{query}", content=await request.body(), headers=headers
            )
        return Response(answer.content, answer.status_code, headers=dict(answer.headers))

    return Starlette(routes=[Route("/{path:path}", pass_on, methods=["GET", "HEAD", "PUT", "POST", "DELETE"])])
