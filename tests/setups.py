"""On what the tests run: `embedded` (the database that is brought along, a folder, one worker); `servers`: Debian's
PostgreSQL under a password and an owner who is no superuser, a bucket of an S3 server, three workers; or `ray`: as
`embedded`, but every worker draws on three replicas and trains on a real Ray cluster of three nodes.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg

from service.fleet.cluster import cluster
from tests.postgres import Server, running_server
from tests.ray_cluster import ray_cluster

NAMES = ("embedded", "servers", "ray")
RAY_NODES = 3
_OWNER, _PASSWORD = "ownhand", "of-tests"
_S3_SERVER = "from moto.server import main; main()"
_PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a run of tests uses. `s3_endpoint` is empty where objects lie in a folder, `ray_address` where workers draw
    and train in processes of their own."""

    name: str
    postgres: Server
    s3_endpoint: str = ""
    ray_address: str = ""
    num_workers: int = 1


_OPEN: list[Setup] = []


@contextmanager
def open_setup(name: str) -> Iterator[Setup]:
    """What `--setup` names, until the end of the run."""
    with ExitStack() as stack:
        if name == "embedded":
            opened = Setup(name=name, postgres=stack.enter_context(running_server()))
        elif name == "ray":
            # A replica and a trainer fit on each node. This process is part of the cluster for markets that draw in it.
            address = stack.enter_context(ray_cluster(nodes=RAY_NODES, cpus_per_node=2))
            stack.enter_context(cluster(address))
            opened = Setup(name=name, postgres=stack.enter_context(running_server()), ray_address=address)
        else:
            postgres, endpoint = stack.enter_context(debian_postgres()), stack.enter_context(s3_server())
            os.environ |= {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}
            opened = Setup(name=name, postgres=postgres, s3_endpoint=endpoint, num_workers=3)
        _OPEN.append(opened)
        stack.callback(_OPEN.clear)
        yield opened


def new_storage() -> str | None:
    """The URL of a storage that nothing lies in, as this run has it; None for the folder in a home."""
    endpoint = _OPEN[0].s3_endpoint if _OPEN else ""
    if not endpoint:
        return None
    bucket = f"test-{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/live?endpoint={endpoint}&region=us-east-1"


def ray_address() -> str:
    """The cluster of this run; empty where it has none."""
    return _OPEN[0].ray_address if _OPEN else ""


def more_settings() -> dict[str, Any]:
    """What this run adds to the settings of every place."""
    address = ray_address()
    if not address:
        return {}
    return {"engine": "ray", "ray_address": address, "ray_replicas": RAY_NODES, "ray_gpus": 0.0, "num_threads": 1}


def num_workers() -> int:
    """How many workers a place has in this run."""
    return _OPEN[0].num_workers if _OPEN else 1


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3 server in a process of its own."""
    from tests.stories.processes import free_port

    port = free_port()
    command = [sys.executable, "-c", _S3_SERVER, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_for_answer(process, port)
        yield endpoint
    finally:
        process.terminate()
        process.wait(10)


def _plain(data: Path) -> None:
    """A server as initdb leaves it."""


@contextmanager
def debian_postgres(*, change: Callable[[Path], None] = _plain, within: Path | None = None) -> Iterator[Server]:
    """The newest of Debian's servers here, with an owner that may make databases and roles and no more. change: is
    given the folder of its data before it starts. within: a folder for all of it."""
    from tests.stories.processes import free_port

    folder, port = Path(tempfile.mkdtemp(prefix="ownhand-debian-", dir=within)), free_port()
    data, secret = folder / "data", folder / "password"
    secret.write_text(_PASSWORD)
    give_away(folder, secret)
    _as_somebody([_tool("initdb"), "-D", data, "-U", "admin", "-A", "scram-sha-256", f"--pwfile={secret}"])
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(f"port = {port}\nunix_socket_directories = '{folder}'\n")
        conf.write("listen_addresses = '127.0.0.1'\nmax_connections = 200\n")
    change(data)
    start_again(folder)
    try:
        with psycopg.connect(
            f"postgresql://admin:{_PASSWORD}@127.0.0.1:{port}/postgres", autocommit=True
        ) as connection:
            connection.execute(
                f"CREATE ROLE {_OWNER} LOGIN NOSUPERUSER CREATEDB CREATEROLE PASSWORD '{_PASSWORD}'".encode()
            )
        yield Server(socket_folder=folder, address=f"{_OWNER}:{_PASSWORD}@127.0.0.1:{port}")
    finally:
        if _is_stopped(folder):
            # Its folder goes with it, so what it said last is said here; that it cannot be stopped is an error as ever.
            print(f"the server had ended by itself:\n{(folder / 'log').read_text(errors='replace')[-4000:]}")
        _as_somebody([_tool("pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def start_again(folder: Path) -> None:
    """Start the server of Debian's that lies in a folder (`Server.socket_folder`), if it does not run."""
    if _is_stopped(folder):
        _as_somebody([_tool("pg_ctl"), "-D", folder / "data", "-w", "-l", folder / "log", "start"])


def _is_stopped(folder: Path) -> bool:
    try:
        _as_somebody([_tool("pg_ctl"), "-D", folder / "data", "status"])
    except subprocess.CalledProcessError:
        return True
    return False


def _tool(name: str) -> Path:
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert tools, "no server under /usr/lib/postgresql; tests/stories/find_postgres.sh installs Debian's"
    return tools[-1] / name


def give_away(*paths: Path) -> None:
    """Make files those of whoever runs the server."""
    for path in paths:
        shutil.chown(path, *_somebody())


def _somebody() -> tuple[str | int, str | int]:
    """Whose the server is: it refuses to run as root."""
    return ("postgres", "postgres") if os.getuid() == 0 else (os.getuid(), os.getgid())


def _as_somebody(command: Sequence[str | Path]) -> None:
    words = [str(word) for word in command]
    if os.getuid() == 0:
        words = ["runuser", "-u", "postgres", "--", *words]
    subprocess.run(words, check=True, capture_output=True, cwd="/")


def _wait_for_answer(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.1)
