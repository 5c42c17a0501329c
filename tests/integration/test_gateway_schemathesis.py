"""The OpenAPI document against the running gateway: generated requests, good and bad, of every operation."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.integration.gateway_host import stack

EXAMPLES = 14
# Not checked: unsupported methods are tried by hand elsewhere; providers' rules go beyond what a schema can say.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
)
# Its own list lacks 413 and 414, with which what is too long is refused.
REFUSALS = """[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "414", "415", "422", "428", "429", "5xx"]
"""


@pytest.mark.timeout(240)
async def test_generated_requests_meet_no_server_error(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(REFUSALS)
    async with stack(mongodb_url, nats_url, tmp_path / "objects", max_wait_seconds=0.2, max_stream_seconds=0.5) as api:
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.url}/openapi.json",
            "--header", f"Authorization: {api.http.headers['authorization']}",
            "--checks", ",".join(CHECKS),
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
