"""gRPC server reflection, v1 and v1alpha: what this server offers, as far as the caller may call it.

The two versions differ in nothing but the name of their package. A tenant's key sees the services for tenants and the
files these need; a service of ours sees all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb

from services.common.identity import current_caller
from services.common.scopes import ANY_KEY, needs

_ALPHA, _FIRST = (f"grpc.reflection.{version}.ServerReflection" for version in ("v1alpha", "v1"))
NAMES = (_ALPHA, _FIRST)
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_POOL = descriptor_pool.Default()
# What every refusal is told in; no method names them.
_REFUSALS = (error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR)


def enable(server: grpc.aio.Server, names: Iterable[str], internal: Iterable[str]) -> None:
    """Serves both versions; `internal` are those of the full `names` that tenants cannot call."""
    _add_first_version()
    method = grpc.stream_stream_rpc_method_handler(
        Reflection(names, internal).ServerReflectionInfo,
        request_deserializer=pb.ServerReflectionRequest.FromString,
        response_serializer=pb.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers) for name in NAMES])


def _add_first_version() -> None:
    """The descriptor of v1, which the package does not bring."""
    alpha = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    first = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    _POOL.AddSerializedFile(first.SerializeToString())


class Reflection:
    def __init__(self, names: Iterable[str], internal: Iterable[str]) -> None:
        hidden = frozenset(internal)
        self._all = tuple(sorted({*names, _HEALTH, *NAMES}))
        self._public = tuple(name for name in self._all if name not in hidden)
        self._files = frozenset(_closure([*map(_file_of, self._public), *_REFUSALS]))

    @needs(ANY_KEY)
    async def ServerReflectionInfo(
        self, requests: AsyncIterator[pb.ServerReflectionRequest], context: Any
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        async for request in requests:
            yield self.answer(request, whole=current_caller().internal)

    def answer(self, request: pb.ServerReflectionRequest, *, whole: bool) -> pb.ServerReflectionResponse:
        """`whole`: internal services too."""
        answer = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in self._all if whole else self._public:
                answer.list_services_response.service.add(name=name)
        elif kind is None:
            _refuse(answer, grpc.StatusCode.INVALID_ARGUMENT, "ask for something")
        elif kind == "all_extension_numbers_of_type":
            # No message here has extensions.
            answer.all_extension_numbers_response.base_type_name = request.all_extension_numbers_of_type
        elif (file := _asked(request)) is not None and (whole or file.name in self._files):
            answer.file_descriptor_response.file_descriptor_proto.extend(_serialized(file))
        else:
            _refuse(answer, grpc.StatusCode.NOT_FOUND, "nothing of that name is offered here")
        return answer


def _asked(request: pb.ServerReflectionRequest) -> FileDescriptor | None:
    try:
        if request.HasField("file_by_filename"):
            return _POOL.FindFileByName(request.file_by_filename)
        return _file_of(request.file_containing_symbol) if request.HasField("file_containing_symbol") else None
    except KeyError:
        return None


def _file_of(symbol: str) -> FileDescriptor:
    """Also of a method, which the pool does not know by its full name. Raises KeyError."""
    try:
        return _POOL.FindFileContainingSymbol(symbol)
    except KeyError:
        owner, _, method = symbol.rpartition(".")
        service = _POOL.FindServiceByName(owner)
        return service.methods_by_name[method].containing_service.file


def _closure(files: Iterable[FileDescriptor]) -> Iterable[str]:
    """Their names and those of all they import."""
    for file in files:
        yield file.name
        yield from _closure(file.dependencies)


@cache
def _serialized(file: FileDescriptor) -> tuple[bytes, ...]:
    """Itself, then what it imports, each once."""
    found: dict[str, bytes] = {}
    for name in dict.fromkeys(_closure([file])):
        proto = descriptor_pb2.FileDescriptorProto()
        _POOL.FindFileByName(name).CopyToProto(proto)
        found[name] = proto.SerializeToString()
    return tuple(found.values())


def _refuse(answer: pb.ServerReflectionResponse, code: grpc.StatusCode, message: str) -> None:
    answer.error_response.error_code, answer.error_response.error_message = code.value[0], message
