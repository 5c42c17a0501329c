"""The OpenAPI document against the running gateway: generated requests, good and bad, of every operation."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.integration.gateway_host import stack

EXAMPLES = 14
# Unsupported methods are tried by hand elsewhere; providers' rules go beyond what a schema can say.
UNCHECKED = (
    "response_headers_conformance",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "object_level_authorization",
)
# Its own list lacks 413 and 414, with which what is too long is refused.
REFUSALS = """[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "414", "415", "422", "428", "429", "5xx"]
"""
# It takes each event of a stream for what the schema says of the whole, which is a text.
STREAMS = """
[[operations]]
include-path-regex = "/events$"

[operations.checks.response_schema_conformance]
enabled = false
"""


@pytest.mark.timeout(240)
async def test_generated_requests_meet_no_server_error(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    off = "".join(f"[checks.{name}]\nenabled = false\n" for name in UNCHECKED)
    (tmp_path / "schemathesis.toml").write_text(off + REFUSALS + STREAMS)
    async with stack(mongodb_url, nats_url, tmp_path / "objects", max_wait_seconds=0.2, max_stream_seconds=0.5) as api:
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.url}/openapi.json",
            "--header", f"Authorization: {api.http.headers['authorization']}",
            "--phases", "fuzzing",
            "--max-examples", str(EXAMPLES),
            "--seed", "20260101",
            "--no-shrink",
            "--continue-on-failure",
            "--workers", "2",
            "--request-timeout", "20",
            "--suppress-health-check", "all",
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
