"""The hub's HTTP protocol, as much of it as a download needs.

GET /api/models/{id}/revision/{revision}?blobs=true   what the repository holds at that commit, with sizes and hashes
GET /{id}/resolve/{commit}/{file}                     a file, in parts by Range; may lead on to a content network

https://huggingface.co/docs/hub/api and huggingface_hub, which the tests let speak with the same server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.local.hub.failures import (
    AccessDenied,
    EndpointInvalid,
    FileCorrupt,
    HubAnswerUnusable,
    HubError,
    HubUnreachable,
    ModelIdInvalid,
    ModelNotFound,
    RevisionNotFound,
)

PUBLIC_HUB = "https://huggingface.co"
_ID = re.compile(r"[A-Za-z0-9][\w.\-]{0,95}/[A-Za-z0-9][\w.\-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w.\-/]{0,199}", re.ASCII)
_TIMEOUT = httpx2.Timeout(10.0, read=30.0)
_LARGEST_LISTING = 32 << 20


class _Lfs(BaseModel):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Sibling(BaseModel):
    rfilename: str
    size: int | None = Field(None, ge=0)
    blob_id: str | None = Field(None, alias="blobId", pattern=r"^[0-9a-f]{40}$")
    lfs: _Lfs | None = None


class _Card(BaseModel):
    model_config = ConfigDict(extra="ignore")

    license: str | list[str] | None = None
    license_name: str | None = None


class _Listing(BaseModel):
    id: str
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    siblings: list[_Sibling]
    card: _Card | None = Field(None, alias="cardData")


@dataclass(frozen=True, slots=True)
class HubFile:
    """`digest` is the SHA-256 of what lies in large file storage, of all else git's own SHA-1 of a blob."""

    path: str
    size: int
    digest: str
    kind: Literal["sha256", "git"]


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A model at one commit."""

    id: str
    commit: str
    licence: str
    files: tuple[HubFile, ...]


class Hub:
    """Every method raises HubError."""

    def __init__(self, http: httpx2.Client, endpoint: str = PUBLIC_HUB, token: str | None = None) -> None:
        self._http = http
        self.endpoint = endpoint.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._has_token = bool(token)

    def page_of(self, id: str) -> str:
        return f"{self.endpoint}/{id}"

    def repository(self, id: str, revision: str) -> HubRepository:
        """What it holds; everything after is asked for by the commit it names."""
        if not _ID.fullmatch(id) or ".." in id:
            raise ModelIdInvalid(f"{id!r} is no model's id: write owner/name, as its page is called")
        if not _REVISION.fullmatch(revision) or ".." in revision:
            raise ModelIdInvalid(f"{revision!r} is no revision: give a branch, a tag or a commit")
        url = f"{self.endpoint}/api/models/{id}/revision/{quote(revision, safe='')}?blobs=true"
        with self._get(url, id, revision) as answer:
            body = b"".join(_bounded(answer.iter_bytes(), _LARGEST_LISTING))
        try:
            return _repository(_Listing.model_validate_json(body), id)
        except ValidationError as error:
            [first, *_] = error.errors(include_url=False, include_input=False)
            where = ".".join(map(str, first["loc"]))
            raise HubAnswerUnusable(
                f"{self.endpoint} lists {id} in a way unknown here: {where}: {first['msg']}"
            ) from error

    @contextmanager
    def open(self, repository: HubRepository, file: HubFile, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """From where on it comes (`offset`, or 0 where the server knows no parts), and its bytes."""
        url = f"{self.endpoint}/{repository.id}/resolve/{repository.commit}/{quote(file.path)}"
        parts = {"Range": f"bytes={offset}-"} if offset else {}
        # Compressed on the way, the parts of a file are not its own.
        with self._get(url, repository.id, repository.commit, {**parts, "Accept-Encoding": "identity"}) as answer:
            begin = _begin_of(answer, file)
            yield begin, _whole(answer.iter_bytes(), file, begin)

    def read(self, repository: HubRepository, file: HubFile, begin: int, end: int) -> bytes:
        """The bytes of a file from `begin` up to `end`."""
        url = f"{self.endpoint}/{repository.id}/resolve/{repository.commit}/{quote(file.path)}"
        part = {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        with self._get(url, repository.id, repository.commit, part) as answer:
            at, content = _begin_of(answer, file), b""
            for chunk in answer.iter_bytes():
                content += chunk
                if at + len(content) >= end:
                    break
        if at > begin or at + len(content) < end:
            raise HubUnreachable(f"{file.path} broke off; run the command again")
        return content[begin - at : end - at]

    @contextmanager
    def _get(
        self, url: str, id: str, revision: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx2.Response]:
        try:
            with self._http.stream("GET", url, headers={**self._headers, **(headers or {})}) as answer:
                if not answer.is_success:
                    raise self._refusal(answer, id, revision)
                yield answer
        except httpx2.HTTPError as error:
            raise HubUnreachable(
                f"{self.endpoint} does not answer, or broke off ({type(error).__name__}). What has come is kept: "
                "run the command again and it goes on from there. HF_ENDPOINT names another hub, HTTPS_PROXY a proxy"
            ) from error

    def _refusal(self, answer: httpx2.Response, id: str, revision: str) -> HubError:
        """A hub says 401, not 404, of what it does not show to strangers, and the kind in a header."""
        status, code = answer.status_code, answer.headers.get("X-Error-Code", "")
        if code == "GatedRepo":
            return AccessDenied(
                f"{id} is gated: accept its terms on {self.page_of(id)} and set HF_TOKEN to a token of that account"
            )
        if code == "RevisionNotFound":
            return RevisionNotFound(f"{id} has no revision {revision!r}")
        if code == "RepoNotFound" or status == 404:
            return ModelNotFound(f"{self.endpoint} has no model {id}, or it is private and HF_TOKEN does not open it")
        if status in (401, 403):
            token = "the token in HF_TOKEN is not good for it" if self._has_token else "HF_TOKEN is not set"
            return AccessDenied(f"{self.endpoint} does not let us have {id}: {token}")
        if status in (408, 429) or status >= 500:
            return HubUnreachable(f"{self.endpoint} answers {status}; try again later, it goes on where it stopped")
        return HubAnswerUnusable(f"{self.endpoint} answers {status}")


@contextmanager
def connect(endpoint: str, token: str | None) -> Iterator[Hub]:
    """Raises EndpointInvalid."""
    _check_endpoint(endpoint)
    with httpx2.Client(timeout=_TIMEOUT, follow_redirects=True, headers={"User-Agent": "atelier"}) as http:
        yield Hub(http, endpoint, token)


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    if not fit or not endpoint.isprintable() or set(endpoint) & set(" ?#\\"):
        raise EndpointInvalid(
            f"HF_ENDPOINT={endpoint!r} is no address of a hub: write http:// or https:// and its host, as in "
            f"{PUBLIC_HUB}. A model that lies in a folder needs no hub: MODEL_PATH=/that/folder make up"
        )


def _repository(said: _Listing, id: str) -> HubRepository:
    return HubRepository(id, said.sha, _licence(said.card), tuple(_file(sibling, id) for sibling in said.siblings))


def _file(said: _Sibling, id: str) -> HubFile:
    """Raises HubAnswerUnusable where there is nothing to check it by."""
    if said.lfs is not None:
        return HubFile(said.rfilename, said.lfs.size, said.lfs.sha256, "sha256")
    if said.blob_id is None or said.size is None:
        raise HubAnswerUnusable(f"the hub says no hash of {said.rfilename!r} in {id}")
    return HubFile(said.rfilename, said.size, said.blob_id, "git")


def _licence(card: _Card | None) -> str:
    said: Any = card and (card.license_name or card.license)
    return " or ".join(said) if isinstance(said, list) else said or "unknown"


def _bounded(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > most:
            raise HubAnswerUnusable(f"the hub's answer is longer than {most} bytes")
        yield chunk


def _begin_of(answer: httpx2.Response, file: HubFile) -> int:
    if answer.status_code != 206:
        return 0
    told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if told is None:
        raise HubAnswerUnusable(f"the hub sends a part of {file.path} and does not say which")
    if told[3] not in ("*", str(file.size)):
        word = "longer" if int(told[3]) > file.size else "shorter"
        raise FileCorrupt(f"{file.path} is {word} than the {file.size} bytes that the hub lists: it has {told[3]}")
    return int(told[1])


def _whole(chunks: Iterator[bytes], file: HubFile, begin: int) -> Iterator[bytes]:
    """Raises FileCorrupt where more comes than the hub lists."""
    seen = begin
    for chunk in chunks:
        seen += len(chunk)
        if seen > file.size:
            raise FileCorrupt(f"{file.path} is longer than the {file.size} bytes that the hub lists")
        yield chunk
