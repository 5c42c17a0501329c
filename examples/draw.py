"""Draws a picture from words and saves it.

python examples/draw.py "a red mug on a white background" mug.png
"""

import argparse
import os
from pathlib import Path

import requests

URL = os.environ.get("ATELIER", "http://localhost:8080") + "/api/v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, help="the same seed draws the same picture")
    given = parser.parse_args()
    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {os.environ['KEY']}"

    wanted = {"task_type": "GENERATION", "origin_instance": "examples", "prompt": given.prompt, "seed": given.seed}
    # The answer comes when the task has ended, or after a minute with the task as it is then.
    answer = api.post(f"{URL}/tasks", json=wanted, headers={"Prefer": "wait=60"})
    if not answer.ok:
        raise SystemExit(answer.text)
    task = answer.json()
    while task["status"] not in ("COMPLETED", "FAILED", "CANCELLED"):
        task = api.get(f"{URL}/tasks/{task['id']}", headers={"Prefer": "wait=60"}).json()
    if task["status"] != "COMPLETED":
        raise SystemExit(f"{task['status']}: {task['error_reason']} {task['errors']}")

    picture = api.get(f"{URL}/storage/images/{task['result_image_path']}")
    picture.raise_for_status()
    given.file.write_bytes(picture.content)
    print(given.file, f"{task['width']}x{task['height']}", "seed", task["seed"])
    for warning in task["warnings"]:
        print("warning:", warning["message"], *warning["words"])


if __name__ == "__main__":
    main()
