"""Puts the storage service together: the one place that knows the concrete store."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import grpc
from compute.storage.v1 import storage_pb2 as pb
from compute.storage.v1 import storage_pb2_grpc as rpc

from services.common.background import running
from services.host.mount import MountedService
from services.imaging.decoder import DecodeLimits, Decoder
from services.storage.image_probe import DecoderProbe
from services.storage.links import LinkSigner
from services.storage.local_folder import LocalObjectStore
from services.storage.metrics import FREE
from services.storage.ports import ObjectStore
from services.storage.s3 import open_s3
from services.storage.service import StorageService
from services.storage.servicer import StorageServicer
from services.storage.settings import StorageSettings
from services.telemetry.instruments import Source, plain, reading

__all__ = ["Settings", "mount"]
Settings = StorageSettings
_SWEEP_SECONDS = 900.0


@asynccontextmanager
async def mount(server: grpc.aio.Server, settings: StorageSettings) -> AsyncIterator[MountedService]:
    """Serves for as long as the block lasts. Raises OSError for a storage that cannot be opened."""
    limits = DecodeLimits(
        max_bytes=settings.max_upload_bytes,
        max_pixels=settings.max_image_pixels,
        seconds=settings.image_timeout_seconds,
    )
    async with Decoder(limits, workers=settings.image_workers) as decoder, _open_store(settings) as objects:
        service = StorageService(
            objects,
            DecoderProbe(decoder),
            LinkSigner(settings.link_secrets),
            max_bytes=settings.max_upload_bytes,
            idle_seconds=settings.upload_idle_seconds,
        )
        rpc.add_StorageServiceServicer_to_server(StorageServicer(service, cdn_url=settings.cdn_url), server)

        async def sweep() -> None:
            while True:
                await objects.sweep()
                await asyncio.sleep(_SWEEP_SECONDS)

        async with running(sweep=sweep), reading({FREE: _free_bytes(settings)}):
            yield MountedService(
                [pb.DESCRIPTOR.services_by_name["StorageService"].full_name], {"storage": objects.check}
            )


def _free_bytes(settings: StorageSettings) -> Source:
    """Nothing where the store is not a folder of this machine."""
    address = urlsplit(settings.storage_url)
    if address.scheme != "file":
        return dict
    return plain(lambda: shutil.disk_usage(unquote(address.path)).free)


@asynccontextmanager
async def _open_store(settings: StorageSettings) -> AsyncIterator[ObjectStore]:
    address = urlsplit(settings.storage_url)
    if address.scheme == "file":
        yield await asyncio.to_thread(LocalObjectStore, Path(unquote(address.path)))
    elif address.scheme == "s3":
        with tempfile.TemporaryDirectory(prefix="atelier-spool-") as spool:
            yield open_s3(settings.storage_url, allow_http=settings.storage_allow_http, spool=Path(spool))
    else:
        raise OSError(f"STORAGE_URL is file:///folder or s3://bucket/prefix, not {settings.storage_url!r}")
