"""The storage service on the wire: protos in and out, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import quote

from compute.storage.v1 import storage_pb2 as pb
from compute.storage.v1 import storage_pb2_grpc as rpc

from services.common.errors import IllegalTransition, InvalidRequest, PermissionDenied, Unavailable
from services.common.identity import current_caller
from services.common.scopes import OURS, TO_CHANGE, TO_READ, needs
from services.rpc.grpc_server import Context
from services.rpc.proto import read_time
from services.storage.domain import ByteRange, Precondition, StoredObject, WriteConditions
from services.storage.metrics import SENT
from services.storage.service import StorageService, UploadRequest

_DRAIN_SECONDS, _DRAIN_BYTES = 5.0, 128 << 20


class StorageServicer(rpc.StorageServiceServicer):
    """The tenant is the caller's; `cdn_url` is "" or where the store's root can be fetched by a browser."""

    def __init__(self, service: StorageService, *, cdn_url: str) -> None:
        self._service = service
        self._cdn_url = cdn_url.rstrip("/")

    @needs(TO_CHANGE)
    async def UploadObject(
        self, request_iterator: AsyncIterator[pb.UploadObjectRequest], context: Context
    ) -> pb.UploadObjectResponse:
        try:
            header = await _header(request_iterator)
            terms = _terms(header.precondition, result=header.result, if_absent=header.if_absent)
            wish = UploadRequest(header.path, terms, header.must_be_image, header.sha256)
            chunks = _chunks(request_iterator, must_end=not header.sha256)
            stored = await self._service.upload(current_caller().tenant, wish, chunks)
        except (InvalidRequest, IllegalTransition, PermissionDenied, Unavailable):
            await _drain(request_iterator)
            raise
        return pb.UploadObjectResponse(object=self._info(stored))

    @needs(TO_READ)
    async def DownloadObject(
        self, request: pb.DownloadObjectRequest, context: Context
    ) -> AsyncIterator[pb.DownloadObjectResponse]:
        async with self._service.open(current_caller().tenant, request.path) as opened:
            facts = opened.stored.facts
            unchanged = bool(request.if_none_match) and request.if_none_match == facts.etag
            span = (
                ByteRange(0, 0)
                if unchanged
                else ByteRange.within(facts.size, offset=request.offset, length=request.length)
            )
            yield pb.DownloadObjectResponse(object=self._info(opened.stored))
            if span.length:
                async for chunk in opened.chunks(span):
                    SENT.add(len(chunk))
                    yield pb.DownloadObjectResponse(chunk=chunk)

    @needs(TO_READ)
    async def HeadObject(self, request: pb.HeadObjectRequest, context: Context) -> pb.HeadObjectResponse:
        stored = await self._service.head(current_caller().tenant, request.path)
        return pb.HeadObjectResponse(object=self._info(stored))

    @needs(TO_READ)
    async def ListObjects(self, request: pb.ListObjectsRequest, context: Context) -> pb.ListObjectsResponse:
        page = await self._service.list(
            current_caller().tenant,
            prefix=request.prefix,
            start_after=request.start_after,
            limit=request.limit if request.HasField("limit") else None,
        )
        return pb.ListObjectsResponse(objects=map(self._info, page.objects), truncated=page.truncated)

    @needs(TO_CHANGE)
    async def DeleteObject(self, request: pb.DeleteObjectRequest, context: Context) -> pb.DeleteObjectResponse:
        terms = _terms(request.precondition, result=request.with_results)
        await self._service.delete(current_caller().tenant, request.path, terms)
        return pb.DeleteObjectResponse()

    @needs(TO_CHANGE)
    async def DeleteObjects(self, request: pb.DeleteObjectsRequest, context: Context) -> pb.DeleteObjectsResponse:
        _check_ours(request.with_results)
        paths = await self._service.delete_below(
            current_caller().tenant, request.prefix, with_results=request.with_results
        )
        return pb.DeleteObjectsResponse(paths=paths)

    @needs(TO_CHANGE)
    async def CopyObject(self, request: pb.CopyObjectRequest, context: Context) -> pb.CopyObjectResponse:
        terms = _terms(request.precondition, result=request.result, if_absent=request.if_absent)
        stored = await self._service.copy(current_caller().tenant, request.from_path, request.path, terms)
        return pb.CopyObjectResponse(object=self._info(stored))

    @needs(TO_CHANGE)
    async def CreateLink(self, request: pb.CreateLinkRequest, context: Context) -> pb.CreateLinkResponse:
        made = await self._service.create_link(
            current_caller().tenant, request.path, request.expires_in_seconds, request.download_name
        )
        answer = pb.CreateLinkResponse(token=made.token, object=self._info(made.stored))
        answer.expires_at.FromDatetime(made.link.expires_at)
        return answer

    @needs(OURS)
    async def ResolveLink(self, request: pb.ResolveLinkRequest, context: Context) -> pb.ResolveLinkResponse:
        found = await self._service.resolve_link(request.token)
        answer = pb.ResolveLinkResponse(
            tenant=found.link.key.tenant, object=self._info(found.stored), download_name=found.link.download_name
        )
        answer.expires_at.FromDatetime(found.link.expires_at)
        return answer

    def _info(self, stored: StoredObject) -> pb.ObjectInfo:
        info = pb.ObjectInfo(
            path=stored.key.path,
            size=stored.facts.size,
            sha256=stored.facts.sha256,
            etag=stored.facts.etag,
            content_type=stored.facts.content_type,
            width=stored.facts.width,
            height=stored.facts.height,
            result=stored.result,
            cdn_url=f"{self._cdn_url}/{quote(stored.key.full)}" if self._cdn_url else "",
        )
        info.created_at.FromDatetime(stored.created_at)
        return info


def _terms(given: pb.Precondition, *, result: bool, if_absent: bool = False) -> WriteConditions:
    _check_ours(result)
    limited = given.HasField("if_unmodified_since")
    since = read_time(given.if_unmodified_since, "precondition.if_unmodified_since") if limited else None
    return WriteConditions(if_absent, result, Precondition(tuple(given.if_match), tuple(given.if_none_match), since))


def _check_ours(result: bool) -> None:
    """Raises PermissionDenied: results are made and removed by services of ours alone."""
    if result:
        current_caller().require_internal()


async def _drain(requests: AsyncIterator[pb.UploadObjectRequest]) -> None:
    """Takes in the rest of a refused upload: gRPC's own client loses an answer that meets it while it still sends."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for request in requests:
                size += len(request.chunk)
                if size > _DRAIN_BYTES:
                    return


async def _header(requests: AsyncIterator[pb.UploadObjectRequest]) -> pb.UploadHeader:
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidRequest("the first message must be the header", reason="HEADER_MISSING")
    return first.header


async def _chunks(requests: AsyncIterator[pb.UploadObjectRequest], *, must_end: bool) -> AsyncIterator[bytes]:
    """Up to the empty chunk that ends a content.

    A caller that goes away looks here like one that is done, so its half content would be stored. Without the SHA-256
    to check it against, it must therefore say that it has ended.
    """
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidRequest("after the header only chunks follow", reason="CHUNK_EXPECTED")
        if not request.chunk:
            return
        yield request.chunk
    if must_end:
        raise InvalidRequest("end with an empty chunk, or announce the SHA-256", reason="UPLOAD_INCOMPLETE")
