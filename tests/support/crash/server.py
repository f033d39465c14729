"""A fork server: starts services as processes of their own within milliseconds.

It imports everything once, instrumented, and forks. Requests come as lines of JSON on standard input, and what
happens is told as lines on standard output:

    {"key": "1/generator", "service": "generator", "env": {…}, "folder": "…", "log": "…",
     "orders": "…", "record": null}                                      (on one line)
    {"started": "1/generator", "pid": 4711}
    {"ended": "1/generator", "pid": 4711, "status": -9}

All its children end with it, and it ends with its standard input.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.support.crash import hook
from tests.support.crash.catalogue import instrumented_modules

CHUNK = 1 << 16
PR_SET_PDEATHSIG = 1


def prepare() -> None:
    """Import all that the services need, with points, and name the entries."""
    hook.install(dict(instrumented_modules()))
    from tests.support.crash import entries

    entries.name_entries()
    entries.warm_up()
    gc.collect()
    gc.freeze()


def run_child(order: dict[str, Any]) -> int:
    """Become the service that is asked for; return the exit code."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.setsid()
    _die_with_the_server()
    os.chdir(order["folder"])
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    silence = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((silence, 0), (log, 1), (log, 2)):
        os.dup2(here, there)
    os.environ.clear()
    os.environ.update(order["env"])
    signal.signal(signal.SIGUSR1, hook.tell_stacks)
    hook.obey(Path(order["orders"]), Path(order["record"]) if order["record"] else None)
    try:
        runpy.run_module(f"services.{order['service']}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does it at the end of a process
        traceback.print_exc()
        return 1
    return 0


def _die_with_the_server() -> None:
    """Have the kernel end this child when the server is gone, however that ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """The loop of the fork server."""

    def __init__(self) -> None:
        self._children: dict[int, str] = {}
        self._ready, woken = os.pipe()
        os.set_blocking(self._ready, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Serve until standard input ends."""
        pending = b""
        self._tell(ready=True)
        while True:
            readable, _, _ = select.select([0, self._ready], [], [])
            if self._ready in readable:
                os.read(self._ready, CHUNK)
                self._reap()
            if 0 in readable:
                data = os.read(0, CHUNK)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._start(json.loads(line))

    def end_children(self) -> None:
        """Kill whatever still runs."""
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _start(self, order: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = run_child(order)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        self._children[pid] = order["key"]
        self._tell(started=order["key"], pid=pid)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._tell(ended=self._children.pop(pid), pid=pid, status=os.waitstatus_to_exitcode(status))

    def _tell(self, **what: Any) -> None:
        os.write(1, json.dumps(what).encode() + b"\n")


def main() -> None:
    """Run the fork server."""
    prepare()
    server = Server()
    try:
        server.run()
    finally:
        server.end_children()


if __name__ == "__main__":
    main()
