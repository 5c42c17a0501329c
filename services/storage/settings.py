"""Settings of the storage service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.common.link_settings import LinkSettings
from services.imaging.limits import MAX_PIXELS


def _local_folder() -> str:
    return (Path.cwd() / ".local" / "data" / "objects").as_uri()


class StorageSettings(LinkSettings):
    """`storage_url` is `file:///folder` or `s3://bucket/prefix`; S3 is set up further by the AWS_* variables.

    AWS_ENDPOINT_URL names another S3-compatible store; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION as usual.
    `cdn_url` is the public address of the store's root: an object lies at `<cdn_url>/<tenant>/<path>`.
    """

    storage_url: str = Field(default_factory=_local_folder)
    """`file:///folder` or `s3://bucket/prefix`; S3 is set up further by the usual AWS_* variables. Unset: a folder
    below the working directory."""
    storage_allow_http: bool = False
    """Whether the object store may be asked without TLS."""
    cdn_url: str = ""
    """Public address of the store's root; pictures are then fetched there, at `<cdn_url>/<tenant>/<path>`."""
    max_upload_bytes: int = 100 << 20
    """Largest object."""
    upload_idle_seconds: float = 30.0
    """How long an upload may stop coming."""
    max_image_pixels: int = MAX_PIXELS
    """Largest picture, in pixels."""
    image_workers: int = Field(default=2, ge=1)
    """Processes that look at pictures."""
    image_timeout_seconds: float = 20.0
    """How long one look may take."""
