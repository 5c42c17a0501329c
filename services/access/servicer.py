"""The access service on gRPC: for services of this deployment only."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc
from compute.access.v1 import access_pb2 as pb
from compute.access.v1 import access_pb2_grpc as rpc

from services.access.domain import ApiKey
from services.access.service import AccessService
from services.common.scopes import OURS, needs
from services.rpc.proto import timestamp

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AccessServicer(rpc.AccessServiceServicer):
    def __init__(self, access: AccessService) -> None:
        self._access = access

    @needs(OURS)
    async def VerifyKey(self, request: pb.VerifyKeyRequest, context: Context) -> pb.VerifyKeyResponse:
        return pb.VerifyKeyResponse(api_key=_message(await self._access.verify(request.key)))

    @needs(OURS)
    async def CreateKey(self, request: pb.CreateKeyRequest, context: Context) -> pb.CreateKeyResponse:
        key, text = await self._access.create(
            tenant=request.tenant, name=request.name, scopes=frozenset(request.scopes)
        )
        return pb.CreateKeyResponse(api_key=_message(key), key=text)

    @needs(OURS)
    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Context) -> pb.RevokeKeyResponse:
        return pb.RevokeKeyResponse(api_key=_message(await self._access.revoke(request.id)))

    @needs(OURS)
    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        return pb.ListKeysResponse(api_keys=[_message(key) for key in await self._access.find(request.tenant)])


def _message(key: ApiKey) -> pb.ApiKey:
    """Everything but the digest."""
    message = pb.ApiKey(id=key.id, tenant=key.tenant, name=key.name, scopes=sorted(key.scopes))
    message.created_at.CopyFrom(timestamp(key.created_at))
    if key.revoked_at is not None:
        message.revoked_at.CopyFrom(timestamp(key.revoked_at))
    return message
