"""The receiver that docs/webhooks.md shows takes what we send, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.webhooks.domain import new_secret
from services.webhooks.http_transport import sign

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
BODY = '{"subject": "t1", "data": {"status": "COMPLETED"}}'


def receiver(secret: str) -> Any:
    """The page's own code."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(code.replace("whsec_…", secret), str(PAGE), "exec", dont_inherit=True), names)
    return names["app"]


@pytest.mark.field("forgery-answered-500")
async def test_it_takes_a_delivery_once_and_refuses_a_forgery(capsys: pytest.CaptureFixture[str]) -> None:
    secret = new_secret()
    transport = httpx2.ASGITransport(receiver(secret))
    async with httpx2.AsyncClient(transport=transport, base_url="http://receiver") as http:
        headers = sign("t1_3_a", BODY, (new_secret(), secret), datetime.now(UTC))
        for _ in range(2):
            assert (await http.post("/hook", content=BODY, headers=headers)).status_code == 204
        forged = sign("t1_3_a", BODY, (new_secret(),), datetime.now(UTC))
        for refused in (forged, {}, headers | {"webhook-signature": "none"}, headers | {"webhook-timestamp": "1"}):
            assert (await http.post("/hook", content=BODY, headers=refused)).status_code == 400
    assert capsys.readouterr().out == "t1 COMPLETED\n"
