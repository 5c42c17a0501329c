"""A real S3 server and real storage services for tests, each a process of its own on free loopback ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from deploy.local import probes
from deploy.local.component import Component
from deploy.local.paths import APP, APP_PYTHON, ROOT, StackFolder
from deploy.local.ports import HOST, free_ports
from tests.stack import running

TOKEN = "storage-test-token"
BUCKET = "pictures"
_KEY, _SECRET = "test-key", "test-secret"


@dataclass(frozen=True)
class Server:
    """A storage service: where it listens, and its process."""

    target: str
    pid: int
    environment: dict[str, str]


@contextmanager
def s3_server(home: StackFolder) -> Iterator[dict[str, str]]:
    """SeaweedFS with its S3 gateway; yields the environment with which a storage service uses it."""
    home.make()
    names = ("master", "volume", "filer", "s3")
    ports = dict(zip((f"{name}.port{part}" for name in names for part in ("", ".grpc")), free_ports(8), strict=True))
    (home.run / "s3.json").write_text(json.dumps(_identities()))
    options = {
        "dir": home.data,
        "ip": HOST,
        "ip.bind": HOST,
        "s3.config": home.run / "s3.json",
        "s3.port.iceberg": 0,
        "volume.max": 8,
        "master.volumeSizeLimitMB": 64,
        "master.telemetry": "false",
        **ports,
    }
    flags = (f"-{name}={value}" for name, value in options.items())
    command = (str(APP / "bin" / "weed"), "server", "-filer", "-s3", *flags)
    environment = {
        "STORAGE_URL": f"s3://{BUCKET}/below/a/prefix",
        "STORAGE_ALLOW_HTTP": "true",
        "AWS_ENDPOINT_URL": f"http://{HOST}:{ports['s3.port']}",
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_REGION": "us-east-1",
    }
    component = Component(
        name="s3",
        command=command,
        probe=partial(_ask_s3, environment),
        ports=tuple(ports.items()),
    )
    with running(component, home) as child:
        yield environment
        # It takes its time to end well, for data that nobody needs any more.
        child.kill_group()


@contextmanager
def storage_server(home: StackFolder, environment: dict[str, str]) -> Iterator[Server]:
    """`python -m services.host storage`."""
    [port] = free_ports(1)
    component = Component(
        name="storage",
        command=(str(APP_PYTHON), "-m", "services.host", "storage"),
        probe=partial(probes.ask_grpc_health, f"{HOST}:{port}"),
        ports=(("LISTEN", port),),
        environment={
            "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}",
            "LISTEN": f"{HOST}:{port}",
            "INTERNAL_TOKEN": TOKEN,
            **environment,
        },
    )
    with running(component, home) as child:
        yield Server(f"{HOST}:{port}", child.pid, environment)


def _identities() -> dict[str, object]:
    credentials = [{"accessKey": _KEY, "secretKey": _SECRET}]
    return {"identities": [{"name": "test", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}]}


def _ask_s3(environment: dict[str, str]) -> None:
    """Stores an object, which also makes the bucket: the gateway answers before it can."""
    asyncio.run(_put_probe(environment))


async def _put_probe(environment: dict[str, str]) -> None:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=environment["AWS_ENDPOINT_URL"],
        access_key_id=_KEY,
        secret_access_key=_SECRET,
        region=environment["AWS_REGION"],
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )
    try:
        await obstore.put_async(store, "ready", b"ready", mode="overwrite")
    except (BaseError, OSError) as error:
        raise probes.NotReady(f"the S3 server does not store: {error}") from error
