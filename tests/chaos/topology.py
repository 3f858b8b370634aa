"""A cluster of plain processes: gateways behind the shipped nginx configuration, one Redis, and a process per service."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import redis

from server.services import SERVICES
from tests.conftest import redis_server_binary
from tests.support.gateway import ROOT, SECRET, GatewayProcess, environment, free_port
from tests.support.replicas import VARIABLES

START_S = 200.0  # a hang; on a busy machine, a start may take a minute
USER = "monkey"
TOKEN_S = 600
TRACEBACK = re.compile(r'.*"exception".*|^Traceback.*(?:\n .*)*\n.*', re.MULTILINE)  # of a JSON log, of a plain one


class RedisProcess:
    """A real Redis at a port of its own that writes every change to disk."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers."""
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process = subprocess.Popen(
            [
                redis_server_binary(),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self._directory),
                *options,
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                if self.ask("PING"):
                    return
            time.sleep(0.02)
        raise AssertionError("redis does not answer")

    def forget(self) -> None:
        """What it wrote to disk is gone, as with a disk of a machine that is gone."""
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)

    def ask(self, *words: str) -> Any:
        """One command."""
        with redis.Redis(port=self.port, socket_timeout=2, socket_connect_timeout=1) as client:
            return client.execute_command(*words)

    def signal(self, number: int) -> None:
        """Stop, go on, kill."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait(10)

    def stop(self) -> None:
        """For good."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)


class ServiceProcess:
    """One embedded service at a fixed port. `tree`: the checkout whose code it runs."""

    def __init__(self, directory: Path, name: str, tree: Path = ROOT) -> None:
        self.name, self.port, self._tree = name, free_port(), tree
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def address(self) -> str:
        """For the gateways."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Until it listens."""
        command = [
            sys.executable,
            "-m",
            "server.embedded",
            "--with-parent",
            "--directory",
            str(self._directory / "state"),
        ]
        self._process = subprocess.Popen(
            [*command, f"{self.name}={self.address}"],
            cwd=self._directory,
            env=environment(self._directory, OS_ROOT=str(self._directory / "files"), PYTHONPATH=str(self._tree)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self._directory / f"{self.name}.log").open("ab"),
            text=True,
        )
        assert self._process.stdout is not None
        bound = json.loads(self._process.stdout.readline())["bound"]
        assert bound[self.name] == self.address, bound
        self._process.stdout.readline()

    def signal(self, number: int) -> None:
        """Stop, go on, kill."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait(10)

    def stop(self) -> None:
        """For good."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait(10)


class Cluster:
    """All of it. Gateways keep their ports when they are started again, as nginx expects. `tree`: the checkout that is tried."""

    def __init__(self, directory: Path, gateways: int, tree: Path = ROOT) -> None:
        self.directory, self._tree = directory, tree
        self._token, self._token_from = "", 0
        (directory / "files" / "made").mkdir(parents=True)
        self._stack = contextlib.ExitStack()
        try:
            self.redis = RedisProcess(directory)
            self.redis.start()
            self._stack.callback(self.redis.stop)
            with ThreadPoolExecutor() as together:
                names = [name for name in VARIABLES if name != "browser"]
                self.services = dict(zip(names, together.map(self._service, names), strict=True))
            self.ports = [free_port() for _ in range(gateways)]
            self.logs: list[Path] = []
            self._starts = itertools.count()
            self.gateways: dict[int, GatewayProcess] = {}
            self.drains_s: list[tuple[float, float]] = []  # until the process had ended, until all sessions had left
            self._stack.callback(self._stop_gateways)
            with ThreadPoolExecutor() as together:
                list(together.map(self.start_gateway, self.ports))
            self.address = self._nginx()
        except BaseException:
            self.close()
            raise

    def _service(self, name: str) -> ServiceProcess:
        service = ServiceProcess(self.directory, name, self._tree)
        self._stack.callback(service.stop)
        return service

    def start_gateway(self, port: int) -> None:
        """At this port; its log goes on in a file of its own."""
        addresses = {VARIABLES[name]: service.address for name, service in self.services.items()}
        folder = self.directory / f"gateway-{port}-{next(self._starts)}"
        folder.mkdir()
        gateway = GatewayProcess(
            folder,
            PORT=str(port),
            EMBEDDED="false",
            REDIS_URL=self.redis.url,
            LOG_FORMAT="json",
            TRUSTED_PROXIES="127.0.0.0/8",
            BROWSER_GRPC_URL="127.0.0.1:1",
            GRPC_DEADLINES_MS=",".join(f"{name}={service.deadline_ms}" for name, service in SERVICES.items()),
            RATE_LIMIT_REQUESTS="1000000",
            WS_MAX_SOCKETS_PER_USER="1000",
            PYTHONPATH=str(self._tree),
            **addresses,
        )
        self.logs.append(gateway.log)
        self.gateways[port] = gateway

    def kill_gateway(self, port: int) -> None:
        """As a machine that loses its power."""
        self.gateways.pop(port).stop(signal.SIGKILL)

    def drain_gateway(self, port: int) -> None:
        """As a rolling restart does; `drains_s` says how long it took."""
        began = time.monotonic()
        gateway = self.gateways.pop(port)
        code = gateway.stop()
        assert code == 0, f"a drained gateway ended with {code}"
        self.drains_s.append((time.monotonic() - began, _left_after_s(gateway.log)))

    def resident_kib(self) -> list[int]:
        """Memory of each gateway, its own pages and shared ones; 0 while it is down."""
        running = [self.gateways.get(port) for port in self.ports]
        return [_resident_kib(gateway.process.pid) if gateway is not None else 0 for gateway in running]

    def _stop_gateways(self) -> None:
        for gateway in self.gateways.values():
            gateway.stop(signal.SIGKILL)

    def token(self) -> str:
        """The user's, good at each gateway for at least five minutes more."""
        now = int(time.time())
        if now - self._token_from < TOKEN_S / 2:
            return self._token
        claims = {
            "sub": USER,
            "username": USER,
            "roles": ["admin", "operator", "user"],
            "iat": now,
            "exp": now + TOKEN_S,
        }
        self._token, self._token_from = jwt.encode(claims | {"jti": uuid.uuid4().hex}, SECRET, algorithm="HS256"), now
        return self._token

    def _nginx(self) -> str:
        text = (self._tree / "deploy" / "nginx" / "jarvis.conf").read_text()
        text = re.sub(r"^ *(listen \[::].*|ssl_certificate.*|http2 on;|access_log.*)\n", "", text, flags=re.MULTILINE)
        servers = re.search(r"server gateway-1:8000(.*;)", text)
        assert servers is not None
        lines = "\n    ".join(f"server 127.0.0.1:{port}{servers[1]}" for port in self.ports)
        text = re.sub(r"server gateway-1:8000.*;", lines, text)
        text = re.sub(r"^ *server gateway-\d:8000.*;\n", "", text, flags=re.MULTILINE)
        port = free_port()
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "\n".join(f"{kind}_temp_path {self.directory}/{kind};" for kind in kinds)
        conf = self.directory / "nginx.conf"
        conf.write_text(
            f"pid {self.directory}/nginx.pid;\nerror_log {self.directory}/error.log;\nworker_processes 1;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{places}\n{text}\n}}\n"
        )
        binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "nginx"
        process = subprocess.Popen(
            [binary, "-c", str(conf), "-e", str(self.directory / "error.log"), "-g", "daemon off; user root;"]
        )

        def stop() -> None:
            process.terminate()
            process.wait(10)

        self._stack.callback(stop)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"ws://127.0.0.1:{port}"
            time.sleep(0.02)
        raise AssertionError("nginx does not listen")

    def stored_values(self) -> list[str]:
        """Every value in the memory service's database: effects that can be counted."""
        path = self.directory / "state" / "memory.sqlite3"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return [str(json.loads(value)) for (value,) in database.execute("SELECT value FROM items")]

    def tracebacks(self) -> list[str]:
        """In the logs of gateways and services: the line, and which log."""
        logs = {log.parent.name: log for log in self.logs}
        logs |= {name: self.directory / f"{name}.log" for name in self.services}
        return [
            f"{name}: {found[-400:]}"
            for name, log in logs.items()
            for found in TRACEBACK.findall(log.read_text(errors="replace"))
        ]

    def close(self) -> None:
        """Everything, in the opposite order."""
        self._stack.close()


def _left_after_s(log: Path) -> float:
    """How long the gateway's last session stayed in its drain, as its log tells."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"drained"' in line]
    return float(lines[-1]["seconds"]) if lines else 0.0


def _resident_kib(pid: int) -> int:
    """Linux' `VmRSS`; 0 of a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found is not None else 0
