"""Calls the storage service: bytes by path, for a named tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any

import grpc
from compute.storage.v1 import storage_pb2 as pb
from compute.storage.v1 import storage_pb2_grpc as rpc

from services.common.errors import DeadlineExceeded, PayloadTooLarge, Unavailable
from services.common.settings import ServiceSettings
from services.rpc.grpc_client import Credentials, call
from services.rpc.rpc_status import from_rpc_error

CHUNK_BYTES = 256 << 10
# What grpcio says when the server's answer met a message on its way out, and was lost.
_CUT_OFF = "Internal error from Core"


class StorageTargetSettings(ServiceSettings):
    """Of whoever calls it."""

    storage_target: str = "127.0.0.1:50052"
    """host:port of the storage service."""


class StorageClient:
    """Every method raises the ComputeError the service answered, or Unavailable / DeadlineExceeded of the channel."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        credentials: Credentials,
        *,
        timeout: float = 10.0,
        transfer_timeout: float = 120.0,
    ) -> None:
        """`timeout` bounds a small call, `transfer_timeout` a whole upload or download, in seconds."""
        self._stub = rpc.StorageServiceStub(channel)
        self._credentials = credentials
        self._timeout = timeout
        self._transfer_timeout = transfer_timeout

    async def upload(
        self,
        path: str,
        content: bytes | AsyncIterable[bytes],
        *,
        tenant: str,
        must_be_image: bool = False,
        if_absent: bool = False,
        sha256: str = "",
        precondition: pb.Precondition | None = None,
        result: bool = False,
    ) -> pb.ObjectInfo:
        """Answers the object as it is stored; its path is the one to keep.

        `result` says that a task made it: nobody else replaces or deletes it.
        """
        header = pb.UploadHeader(
            path=path,
            must_be_image=must_be_image,
            if_absent=if_absent,
            sha256=sha256,
            precondition=precondition,
            result=result,
        )
        stream = self._stub.UploadObject(timeout=self._transfer_timeout, metadata=self._credentials.metadata(tenant))
        try:
            # The call's own deadline does not end a source that stalls.
            async with asyncio.timeout(self._transfer_timeout):
                await _send(stream, header, content)
                answer: pb.UploadObjectResponse = await stream
        except TimeoutError as error:
            raise DeadlineExceeded(f"the upload took longer than {self._transfer_timeout:g} s") from error
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()
        return answer.object

    async def download(
        self, path: str, *, tenant: str, offset: int = 0, length: int = 0, if_none_match: str = ""
    ) -> tuple[pb.ObjectInfo, AsyncIterator[bytes]]:
        """The object's description, and its bytes as they come; none when its ETag is `if_none_match`.

        A `length` of 0 means to the end. Raises InvalidRequest: OUT_OF_RANGE.
        """
        request = pb.DownloadObjectRequest(path=path, offset=offset, length=length, if_none_match=if_none_match)
        metadata = self._credentials.metadata(tenant)
        stream = self._stub.DownloadObject(request, timeout=self._transfer_timeout, metadata=metadata)
        try:
            first = await stream.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if not isinstance(first, pb.DownloadObjectResponse):
            raise Unavailable("the storage service ended a download before it began")
        return first.object, _chunks(stream)

    async def read(self, path: str, *, tenant: str, limit: int) -> bytes:
        """The whole object. Raises PayloadTooLarge: OBJECT_TOO_LARGE above `limit` bytes."""
        info, chunks = await self.download(path, tenant=tenant)
        if info.size > limit:
            raise PayloadTooLarge(f"the object has {info.size} bytes, more than {limit}", reason="OBJECT_TOO_LARGE")
        return b"".join([chunk async for chunk in chunks])

    async def head(self, path: str, *, tenant: str) -> pb.ObjectInfo:
        """Raises NotFound."""
        answer: pb.HeadObjectResponse = await self._call(self._stub.HeadObject, pb.HeadObjectRequest(path=path), tenant)
        return answer.object

    async def copy(
        self, source: str, path: str, *, tenant: str, if_absent: bool = False, result: bool = False
    ) -> pb.ObjectInfo:
        """The content of `source` under `path` too, without its bytes travelling. Raises NotFound."""
        request = pb.CopyObjectRequest(from_path=source, path=path, if_absent=if_absent, result=result)
        metadata = self._credentials.metadata(tenant)
        answer: pb.CopyObjectResponse = await call(
            self._stub.CopyObject, request, timeout=self._transfer_timeout, metadata=metadata
        )
        return answer.object

    async def create_link(
        self, path: str, *, tenant: str, seconds: int = 0, download_name: str = ""
    ) -> pb.CreateLinkResponse:
        """A token for the content that lies there now. Raises NotFound."""
        request = pb.CreateLinkRequest(path=path, expires_in_seconds=seconds, download_name=download_name)
        answer: pb.CreateLinkResponse = await self._call(self._stub.CreateLink, request, tenant)
        return answer

    async def resolve_link(self, token: str) -> pb.ResolveLinkResponse:
        """Raises NotFound: LINK_INVALID, LINK_EXPIRED, NOT_FOUND."""
        answer: pb.ResolveLinkResponse = await call(
            self._stub.ResolveLink,
            pb.ResolveLinkRequest(token=token),
            timeout=self._timeout,
            metadata=self._credentials.metadata(),
        )
        return answer

    async def list(
        self, *, tenant: str, prefix: str = "", limit: int | None = None, start_after: str = ""
    ) -> tuple[list[pb.ObjectInfo], bool]:
        """A page in path order, and whether more follow."""
        request = pb.ListObjectsRequest(prefix=prefix, limit=limit, start_after=start_after)
        answer: pb.ListObjectsResponse = await self._call(self._stub.ListObjects, request, tenant)
        return [*answer.objects], answer.truncated

    async def delete(
        self, path: str, *, tenant: str, precondition: pb.Precondition | None = None, with_results: bool = False
    ) -> None:
        """Raises NotFound; PreconditionFailed; IllegalTransition: RESULT_IMMUTABLE, unless `with_results`."""
        request = pb.DeleteObjectRequest(path=path, precondition=precondition, with_results=with_results)
        await self._call(self._stub.DeleteObject, request, tenant)

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]:
        """What lies below `prefix`, which ends in "/"; answers the paths."""
        request = pb.DeleteObjectsRequest(prefix=prefix, with_results=with_results)
        metadata = self._credentials.metadata(tenant)
        answer: pb.DeleteObjectsResponse = await call(
            self._stub.DeleteObjects, request, timeout=self._transfer_timeout, metadata=metadata
        )
        return answer.paths

    async def _call(self, method: Any, request: Any, tenant: str) -> Any:
        return await call(method, request, timeout=self._timeout, metadata=self._credentials.metadata(tenant))


async def _send(stream: Any, header: pb.UploadHeader, content: bytes | AsyncIterable[bytes]) -> None:
    """Stops early when the server has answered already; the answer says why."""
    try:
        await stream.write(pb.UploadObjectRequest(header=header))
        async for chunk in _pieces(content):
            await stream.write(pb.UploadObjectRequest(chunk=chunk))
        # An empty chunk says that this was all; a stream that just ends may have been cut.
        await stream.write(pb.UploadObjectRequest(chunk=b""))
        await stream.done_writing()
    except asyncio.InvalidStateError:
        return
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INTERNAL and error.details() == _CUT_OFF:
            raise Unavailable("the storage service ended the upload early", reason="UPLOAD_CUT_OFF") from error
        raise


async def _pieces(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    parts = _one(content) if isinstance(content, bytes) else content
    async for part in parts:
        for start in range(0, len(part), CHUNK_BYTES):
            yield part[start : start + CHUNK_BYTES]


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _chunks(stream: Any) -> AsyncIterator[bytes]:
    try:
        while isinstance(response := await stream.read(), pb.DownloadObjectResponse):
            yield response.chunk
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    finally:
        stream.cancel()
