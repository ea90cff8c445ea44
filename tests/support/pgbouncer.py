"""A real PgBouncer in transaction mode before the test server, one for each test process.

Rules of this file: it listens on a free port of 127.0.0.1. It has fewer connections to the server than its clients ask
for, so that they share sessions. It refuses to run as root, so it gets the user of the server's socket, or nobody.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from stateroom.engines.postgresql_url import read_url
from support.ports import free
from support.postgres import fresh_schema, server

SESSIONS = 6  # on the server; an engine has up to 16 connections
READY = 20.0


class CannotStart(Exception):
    """There is no PgBouncer here, or it does not start; the message says so in one line."""


def pooled(url: str) -> str:
    """The store of `url`, by way of the pooler. CannotStart."""
    return f"{_started()}?schema={read_url(url).schema}&pooler=transaction"


def fresh_pooled() -> str:
    """The URL of a schema that is not there yet, by way of the pooler. CannotStart."""
    return pooled(fresh_schema())


@cache
def _started() -> str:
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise CannotStart("no pgbouncer on PATH or in /usr/sbin (apt install pgbouncer)")
    target = {name: str(value) for name, value in conninfo_to_dict(read_url(server()).conninfo).items() if value}
    folder = Path(tempfile.mkdtemp(prefix="stateroom-pgbouncer-"))
    user = _user(target["host"])
    (port,) = free(1)
    names = folder / "users.txt"
    names.write_text(f'"{target["user"]}" "{target.get("password", "")}"\n')
    told = folder / "pgbouncer.ini"
    told.write_text(_settings(target, port, names))
    if user is not None:
        for path in (folder, names, told):
            os.chown(path, user.pw_uid, user.pw_gid)
    log = (folder / "pgbouncer.log").open("wb")
    command = [program, *(["-u", user.pw_name] if user is not None else []), str(told)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    atexit.register(_end, process, folder)
    url = f"postgresql://{target['user']}:{target.get('password', '')}@127.0.0.1:{port}/{target['dbname']}"
    _wait(url, process, folder / "pgbouncer.log")
    return url


def _settings(target: dict[str, str], port: int, names: Path) -> str:
    there = f"host={target['host']} port={target.get('port', '5432')} dbname={target['dbname']}"
    return f"""[databases]
{target["dbname"]} = {there}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {names}
pool_mode = transaction
default_pool_size = {SESSIONS}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
"""


def _user(host: str) -> pwd.struct_passwd | None:
    """Whom it runs as, when we are root."""
    if os.getuid() != 0:
        return None
    return pwd.getpwuid(os.stat(host).st_uid) if host.startswith("/") else pwd.getpwnam("nobody")


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + READY
    while True:
        try:
            psycopg.connect(url, prepare_threshold=None).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > ends:
                raise CannotStart(f"pgbouncer does not start: {log.read_text()[-300:]}") from None
            time.sleep(0.05)
        else:
            return


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
