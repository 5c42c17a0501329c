"""The shared corpora, sent through every door: inward addresses and hostile paths."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

from compute.storage.v1 import storage_pb2 as pb

from tests.corpora.paths import KEPT, READ_OTHERWISE, REFUSED
from tests.corpora.urls import INWARD
from tests.fuzz.cases import Case, GrpcCase, HttpCase, Metadata, Shoot, http_request, json_request
from tests.fuzz.raw_http import task
from tests.fuzz.target import TENANT
from tests.fuzz.task_types import addressed

KIND = "SSRF and paths"
_IMAGES = "/api/v1/storage/images/"
_TASKS = "/api/v1/tasks/"
_STORAGE = "/compute.storage.v1.StorageService/"
GOOD: Metadata = (("authorization", "Bearer {token}"), ("atelier-tenant", TENANT))
# Refused when it is fetched: the ports are a setting of the worker.
_LATER = (":22/", ":25/", ":6379/")


def attack(shoot: Shoot, cases: int, seed: int) -> None:
    rng = random.Random(f"{seed}:{KIND}")
    every: list[Case] = [*_urls(), *_paths(), *_grpc_paths(), *_addressed()]
    rng.shuffle(every)
    for case in itertools.islice(itertools.chain(every, _mixed(rng)), cases):
        shoot(case)


def _urls() -> Iterator[HttpCase]:
    """All of them must be refused before a task is made, whatever a resolver would say."""
    for url in INWARD:
        if not url.endswith(_LATER):
            yield _create(url, task(webhook_url=url))
            yield _create(url, task(reference_image_url=url))
        if "//" not in url or url.endswith(_LATER):
            continue  # a storage path like any other
        yield _create(url, task(reference_image_path=url))
        removal = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "fuzz"}
        yield _create(url, {**removal, "input_image_paths": [url]})


def _addressed() -> Iterator[HttpCase]:
    return (replace(case, kind=KIND) for case in addressed())


def _create(url: str, body: dict[str, object]) -> HttpCase:
    return HttpCase(KIND, url, json_request("POST", _TASKS, json.dumps(body).encode()), refused=True)


def _paths() -> Iterator[HttpCase]:
    for path in REFUSED:
        quoted = quote(path, safe="", errors="surrogatepass")
        for method in ("GET", "HEAD", "DELETE"):
            # Nothing lies there; an empty path is the list.
            yield HttpCase(KIND, ascii(path), http_request(method, _IMAGES + quoted), refused=bool(path))
        yield _create(path, task(reference_image_path=path))
    for path in KEPT:
        yield HttpCase(KIND, ascii(path), http_request("GET", _IMAGES + quote(path, safe="")), refused=True)


def _grpc_paths() -> Iterator[GrpcCase]:
    for path in (path for path in REFUSED if "\ud800" not in path):
        yield _call("HeadObject", path, pb.HeadObjectRequest(path=path).SerializeToString())
        yield _call("DownloadObject", path, pb.DownloadObjectRequest(path=path).SerializeToString())
        yield _call("DeleteObject", path, pb.DeleteObjectRequest(path=path).SerializeToString())
        upload = (pb.UploadObjectRequest(header=pb.UploadHeader(path=path)), pb.UploadObjectRequest(chunk=b""))
        yield _call("UploadObject", path, *(part.SerializeToString() for part in upload))
        if path and path not in READ_OTHERWISE:
            yield _call("DeleteObjects", path, pb.DeleteObjectsRequest(prefix=f"{path}/").SerializeToString())


def _call(method: str, note: str, *messages: bytes) -> GrpcCase:
    return GrpcCase(KIND, ascii(note), _STORAGE + method, GOOD, messages, refused=True)


def _mixed(rng: random.Random) -> Iterator[HttpCase]:
    """Endless: pieces of the corpora put together, in more spellings."""
    hosts = [url.partition("://")[2].strip("/") for url in INWARD if "://" in url]
    while True:
        scheme = rng.choice(("http", "https", "HTTP", "hTtPs"))
        tail = rng.choice(("", "/", "/x.png", ":80/", "?x", "#x", "/../", "//"))
        url = f"{scheme}://{rng.choice(hosts).rstrip('/')}{tail}"
        yield HttpCase(KIND, url, json_request("POST", _TASKS, json.dumps(task(reference_image_url=url)).encode()))
        path = "/".join(rng.sample([item for item in REFUSED if item], 2))
        twice = quote(quote(path, safe="", errors="surrogatepass"), safe="")
        yield HttpCase(KIND, ascii(path)[:60], http_request("GET", _IMAGES + twice))
