"""Watches a picture being drawn, step by step with previews, and cancels it at Ctrl-C or after some steps.

python examples/watch_live.py "a blue sofa" previews/ --cancel-after 10
"""

import argparse
import base64
import json
import os
from pathlib import Path
from typing import Any

import requests

URL = os.environ.get("ATELIER", "http://localhost:8080") + "/api/v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cancel-after", type=int, metavar="STEPS")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {os.environ['KEY']}"

    wanted = {"task_type": "GENERATION", "origin_instance": "examples", "prompt": given.prompt}
    answer = api.post(f"{URL}/tasks", json=wanted | {"provider_type": "LOCAL", "provider_config": {"steps": 50}})
    answer.raise_for_status()
    task = f"{URL}/tasks/{answer.json()['id']}"
    try:
        watch(api, task, given.folder, given.cancel_after)
    except KeyboardInterrupt:
        api.post(f"{task}/cancel")
    print(api.get(task).json()["status"])


def watch(api: requests.Session, task: str, folder: Path, cancel_after: int | None) -> None:
    """Until the stream ends, which it does with its task."""
    with api.get(f"{task}/events", stream=True, timeout=120) as events:
        events.raise_for_status()
        for line in events.iter_lines():
            told: dict[str, Any] = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if not told.get("preview"):
                continue
            print(f"{told['progress']:5.1f} %  step {told['step']} of {told['total_steps']}", flush=True)
            preview = base64.b64decode(told["preview"].partition(",")[2])
            (folder / f"step_{told['step']:03}.png").write_bytes(preview)
            # A slow reader is not told every step.
            if cancel_after is not None and told["step"] >= cancel_after:
                api.post(f"{task}/cancel")
                cancel_after = None


if __name__ == "__main__":
    main()
