"""The user's own server: has the files that jobs are made of, and takes the webhooks of all worlds."""

import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.film.ffmpeg_binary import ffmpeg_exe
from tests.support.media import Clip, make_clip, run

CLIP, MUSIC, LOGO = "clip.mp4", "music.m4a", "logo.png"
SLOW = "slow"
"""Part of a hook's path whose every call is answered late."""
LATE_S = 1.2
"""Longer than a lease is left alone (`world.QUICK`)."""


class Partner:
    """See the module's docstring; use as a context manager.

    Attributes:
        folder: holds the files.
        url: of the server.
        told: ids of the webhooks that arrived, by the hook's path, in their order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: dict[str, list[str]] = defaultdict(list)
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one piece

            def do_GET(self) -> None:
                content = (partner.folder / self.path.rpartition("/")[2]).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                partner.told[self.path].append(self.headers["webhook-id"])
                if SLOW in self.path:
                    time.sleep(LATE_S)
                self.send_response(204)
                self.end_headers()

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # the client was killed
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Make the files and begin to serve."""
        self.folder.mkdir()
        make_clip(self.folder / CLIP, Clip())
        quiet = [str(ffmpeg_exe()), "-v", "error", "-f", "lavfi", "-i"]
        run([*quiet, "sine=duration=1", str(self.folder / MUSIC)])
        run([*quiet, "color=red:size=16x16", "-frames:v", "1", str(self.folder / LOGO)])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
