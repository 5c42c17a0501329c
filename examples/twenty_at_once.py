"""Draws twenty pictures at once, shows how far they are, and saves them as they come.

python examples/twenty_at_once.py "a red mug" mugs/
"""

import argparse
import json
import os
import uuid
from pathlib import Path

import requests

URL = os.environ.get("ATELIER", "http://localhost:8080") + "/api/v1"
COUNT = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {os.environ['KEY']}"

    one = {"task_type": "GENERATION", "origin_instance": "examples", "prompt": given.prompt}
    tasks = [one | {"seed": seed} for seed in range(COUNT)]
    # Sent once more with the same key after a lost answer, it makes no second twenty.
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    answer = api.post(f"{URL}/tasks/batch", json={"tasks": tasks}, headers=headers)
    answer.raise_for_status()
    waiting = {item["task"]["id"] for item in answer.json()["items"]}

    progress = dict.fromkeys(waiting, 0.0)
    params = {"id": sorted(waiting), "previews": "false"}
    with api.get(f"{URL}/tasks/events", params=params, stream=True, timeout=120) as events:
        events.raise_for_status()
        for line in events.iter_lines():
            told = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if "task_id" in told:
                progress[told["task_id"]] = told["progress"]
            elif told.get("id") in waiting and told["status"] in ("COMPLETED", "FAILED", "CANCELLED"):
                waiting.remove(told["id"])
                progress[told["id"]] = 100.0
                print(told["seed"], told["status"], told["errors"] or "")
                if told["status"] == "COMPLETED":
                    picture = api.get(f"{URL}/storage/images/{told['result_image_path']}")
                    (given.folder / f"{told['seed']}.png").write_bytes(picture.content)
            else:
                continue
            print(f"{sum(progress.values()) / COUNT:5.1f} %  {COUNT - len(waiting)} of {COUNT}", flush=True)


if __name__ == "__main__":
    main()
