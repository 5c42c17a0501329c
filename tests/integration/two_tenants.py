"""What the tenant acme has, and its rival must not know of."""

from __future__ import annotations

import io
from typing import Any
from uuid import uuid4

from PIL import Image

from tests.integration.gateway_host import IMAGES, Stack
from tests.waiting import until

MARK = "only-acme-knows-this"
KEY = "acme-has-used-this-key"
PICTURE = f"{MARK}/mug.png"


async def ids_of_acme(api: Stack) -> dict[str, str]:
    """A task that waits, a delivery, a picture, a workflow that was not started."""
    # Nobody has this name, so that nothing leaves this machine.
    hooked = await api.create(prompt=MARK, webhook_url="https://nobody.example/hook")
    await api.finish(hooked["id"])

    async def recorded() -> Any:
        return (await api.http.get("/api/v1/webhooks/deliveries")).json()

    [delivery] = await until(recorded)
    task, content = await api.create(prompt=MARK), io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "PNG")
    saved = await api.http.post(f"{IMAGES}/{PICTURE}", files={"file": content.getvalue()})
    assert saved.status_code == 200, saved.text
    step = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": MARK}}
    made = await api.http.post(
        "/api/v1/workflows/?start=false", json={"name": MARK, "origin_instance": "test", "steps": [step]}
    )
    assert made.status_code == 200, made.text
    return {
        "task_id": task["id"],
        "delivery_id": delivery["id"],
        "path": PICTURE,
        "workflow_id": made.json()["id"],
        "step_id": "draw",
    }


def ids_of_nobody() -> dict[str, str]:
    """As long as acme's, so that answers can be compared."""
    path = PICTURE.replace(MARK, "x" * len(MARK))
    return {
        "task_id": str(uuid4()),
        "delivery_id": str(uuid4()),
        "path": path,
        "workflow_id": str(uuid4()),
        "step_id": "draw",
    }
