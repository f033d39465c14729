"""A private RabbitMQ node on free loopback ports, to be killed, frozen, restarted and emptied at will.

It shares nothing with a node of the system: data, cookie, configuration and even epmd are its own. It ends with the
process that started it, however that ends: its Erlang shell, and the shell that runs epmd, read from a pipe of ours.
The Erlang shell is also how virtual hosts are made, in milliseconds instead of the seconds `rabbitmqctl` takes.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import until_serves

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0

# Less is preallocated than by default, which halves the time to boot.
ADVANCED_CONFIG = "[{ra, [{wal_max_size_bytes, 16777216}]}]."


class RabbitServer:
    """One RabbitMQ node.

    Args:
        folder: for its data and logs; keeps the data over `kill` and `start`.
        advanced_config: Erlang terms, in place of `ADVANCED_CONFIG`.
        name: of the node.
        beside: another node that this one shares the cookie and epmd with, so that they can form a cluster.
        plugins: to enable.
    """

    def __init__(
        self,
        folder: Path,
        advanced_config: str = ADVANCED_CONFIG,
        *,
        name: str = "tests",
        beside: "RabbitServer | None" = None,
        plugins: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._beside = beside
        self._plugins = plugins
        self._folder = folder
        self._config = advanced_config
        self._log = folder / "output.log"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._epmd_lock = threading.Lock()
        self._node: subprocess.Popen[bytes] | None = None
        self._vhosts: list[str] = []
        self._commands = 0
        self.port = free_port()
        self._dist_port = free_port()
        self._epmd_port: int = beside._epmd_port if beside is not None else free_port()

    def url(self, vhost: str) -> str:
        """Where the virtual host is."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost}"

    def start(self) -> None:
        """Start on the known port and return once it serves; nothing happens if it runs."""
        if self._node is not None:
            return
        program = _program()
        self._start_epmd()
        (self._folder / "advanced.config").write_text(self._config)
        (self._folder / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].")
        with self._log.open("wb") as log:
            self._node = subprocess.Popen(
                [program], env=self._environment(), stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        until_serves("rabbitmq-server", self._node, self._serves, self._log, START_TIMEOUT_S)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from running without closing its connections."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self._running.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Forget all data of the stopped node; its virtual hosts are there again, but empty, after `start_empty`."""
        assert self._node is None, "stop the node before wiping it"
        shutil.rmtree(self._folder / "mnesia")

    def start_empty(self) -> None:
        """Start without any data but the virtual hosts."""
        self.wipe()
        self.start()
        for vhost in self._vhosts:
            self._make_vhost(vhost)

    def close(self) -> None:
        """End the node and what belongs to it."""
        self._end(signal.SIGKILL)
        if self._epmd is not None:
            assert self._epmd.stdin is not None
            self._epmd.stdin.close()
            self._epmd.wait(STOP_TIMEOUT_S)
            self._epmd = None

    def add_vhost(self, name: str) -> None:
        """Make a virtual host that nobody else uses."""
        self._make_vhost(name)
        self._vhosts.append(name)

    def drop_vhost(self, name: str) -> None:
        """Delete a virtual host with all its queues, in the background."""
        self._vhosts.remove(name)
        if self._node is not None:
            self._type(f'spawn(fun() -> rabbit_vhost:delete(<<"{name}">>, <<"tests">>) end).')

    def makes_queues(self, vhost: str) -> bool:
        """Whether a quorum queue can be made and deleted."""
        number = self._commands + 1
        self._ask(
            f'Q = rabbit_misc:r(<<"{vhost}">>, queue, <<"probe">>), Type = {{<<"x-queue-type">>, longstr, '
            '<<"quorum">>}, Made = (catch rabbit_amqqueue:declare(Q, true, false, [Type], none, <<"tests">>)), '
            'Gone = (catch rabbit_amqqueue:delete(element(2, Made), false, false, <<"tests">>)), '
            f'io:format("whole<{number}> ~w~n", [catch {{element(1, Made), element(1, Gone)}}])'
        )
        return self._told("whole", number) == ["{new,ok}"]

    def leader(self, vhost: str, queue: str) -> str:
        """Return the name of the node that leads a quorum queue."""
        number = self._commands + 1
        self._ask(
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)), '
            f'{{_, L}} = amqqueue:get_pid(Q), io:format("leader<{number}> ~w~n", [L])'
        )
        return next(found.split("@")[0] for found in self._told("leader", number))

    def join(self, other: "RabbitServer") -> None:
        """Become a member of another node's cluster; this node's data are forgotten."""
        self._ask(
            f"rabbit:stop(), ok = rabbit_mnesia:join_cluster('{other.name}@localhost', disc), ok = rabbit:start()"
        )

    def members(self) -> set[str]:
        """Return the names of the nodes of this node's cluster that run."""
        number = self._commands + 1
        self._ask(f'[io:format("member<{number}> ~w~n", [N]) || N <- rabbit_mnesia:cluster_nodes(running)]')
        return {found.split("@")[0] for found in self._told("member", number)}

    def close_connections(self, vhost: str) -> None:
        """Close all connections to the virtual host, as an operator would."""
        self._ask(
            f'[rabbit_networking:close_connection(P, "tests") || I <- rabbit_networking:connection_info_all([pid, '
            f'vhost]), {{vhost, V}} <- I, V =:= <<"{vhost}">>, {{pid, P}} <- I]'
        )

    def delete_queue(self, vhost: str, queue: str) -> None:
        """Delete a queue, as an operator would."""
        self._ask(
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)), '
            f'rabbit_amqqueue:delete(Q, false, false, <<"tests">>)'
        )

    def settle(self) -> None:
        """Have the node write down which queues there are, which it does every half second.

        A quorum queue that was declared within that time of a `kill` comes back without a leader on 3.10.8, and stays
        so until the next restart.
        """
        self._ask("[ok = dets:sync(T) || T <- dets:all()]")

    def messages(self, vhost: str) -> dict[str, tuple[int, int]]:
        """Return how many messages are ready, and how many unacknowledged, by queue, as it is at this moment.

        The queues' own state machines are asked: what `rabbitmqctl` shows of a quorum queue is seconds old.
        Those of live pages, which go with their process, are no quorum queues and not counted.
        """
        number = self._commands + 1
        self._ask(
            "lists:foreach(fun(Q) -> "
            "{ok, {_, R}, _} = ra:local_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_ready/1), "
            "{ok, {_, U}, _} = ra:local_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_checked_out/1), "
            f'io:format("queue<{number}> ~ts ~w ~w~n", [element(4, amqqueue:get_name(Q)), R, U]) '
            f'end, [Q || Q <- rabbit_amqqueue:list(<<"{vhost}">>), amqqueue:get_type(Q) =:= rabbit_quorum_queue])'
        )
        found = (line.split() for line in self._told("queue", number))
        return {name: (int(ready), int(unacknowledged)) for name, ready, unacknowledged in found}

    def limit_queues(self, vhost: str, most: int | None) -> None:
        """Have queues refuse what comes beyond about `most` messages; None takes that back."""
        rule = '[{<<"max-length">>, %d}, {<<"overflow">>, <<"reject-publish">>}]'
        self._ask(
            f'rabbit_policy:delete(<<"{vhost}">>, <<"full">>, <<"tests">>)'
            if most is None
            else f'rabbit_policy:set(<<"{vhost}">>, <<"full">>, <<".*">>, {rule % most}, 0, <<"queues">>, <<"tests">>)'
        )

    def channels(self, vhost: str) -> int:
        """Return how many channels are open."""
        number = self._commands + 1
        self._ask(
            f'io:format("channels<{number}> ~w~n", [length([C || C <- rabbit_channel:info_all([vhost]), '
            f'C =:= [{{vhost, <<"{vhost}">>}}]])])'
        )
        return int(next(iter(self._told("channels", number))))

    def limit_consumers(self, after_ms: int) -> None:
        """Have consumers that connect from now on acknowledge within `after_ms` or lose their channel."""
        self._ask(
            f"application:set_env(rabbit, consumer_timeout, {after_ms}), "
            f"application:set_env(rabbit, channel_tick_interval, {min(after_ms, 60_000)})"
        )

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._node is not None, "the node does not run"
        return self._node

    def _make_vhost(self, name: str) -> None:
        self._ask(
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)'
        )

    def _type(self, line: str) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(line.encode() + b"\n")
        self._running.stdin.flush()

    def _ask(self, expression: str) -> None:
        """Have the node evaluate Erlang; returns when that is done."""
        self._commands += 1
        mark = f"done<{self._commands}>"
        # A function of its own, so that variables of one command are not bound in the next.
        self._type(f'(fun() -> {expression}, io:format("done<~w>~n", [{self._commands}]) end)().')
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while mark not in (output := self._log.read_text(errors="replace")):
            assert time.monotonic() < deadline, f"RabbitMQ did not do {expression}: {output[-2000:]}"
            time.sleep(0.01)

    def _told(self, what: str, number: int) -> list[str]:
        """Return what a command had the node print behind its mark; the command itself is echoed and left out."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line.split("> ")[-1] for line in lines if f"{what}<{number}> " in line and "~" not in line]

    def _end(self, how: signal.Signals) -> None:
        if self._node is None:
            return
        self._node.send_signal(signal.SIGCONT)
        self._node.send_signal(how)
        self._node.wait(STOP_TIMEOUT_S)
        assert self._node.stdin is not None
        self._node.stdin.close()
        self._node = None

    def _start_epmd(self) -> None:
        if self._beside is not None:
            self._beside._start_epmd()
            return
        with self._epmd_lock:  # nodes of a cluster are started at the same time
            if self._epmd is None:
                command = f"epmd -port {self._epmd_port} -address 127.0.0.1 & cat >/dev/null; kill $!"
                self._epmd = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE)

    def _serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(connection.recv(1))
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self._beside._folder) if self._beside is not None else folder,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_NODENAME": f"{self.name}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/no-environment",
            "RABBITMQ_CONFIG_FILE": f"{folder}/no-config",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            # No busy waiting: the tests share their cores with the node.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }


def _program() -> str:
    """Find the script that starts a node."""
    # Debian keeps it where only root looks.
    found = shutil.which("rabbitmq-server", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    assert found, "rabbitmq-server is not installed; `make test` installs it"
    # What Debian has on the path is a wrapper that insists on the user rabbitmq; the real script is beside it.
    behind = Path(found).resolve().with_name("rabbitmq-server")
    return str(behind if behind.exists() else found)
