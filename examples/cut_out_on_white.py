"""Cuts the subject out of a photograph of your own and lays it on white.

python examples/cut_out_on_white.py shirt.jpg shirt_on_white.jpg
"""

import argparse
import io
import os
from pathlib import Path
from urllib.parse import quote

import requests
from PIL import Image

URL = os.environ.get("ATELIER", "http://localhost:8080") + "/api/v1"
# Below it somebody should look at the outline.
SURE = 0.7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {os.environ['KEY']}"

    path = f"examples/{given.photograph.name}"
    with given.photograph.open("rb") as photograph:
        stored = api.post(f"{URL}/storage/images/{quote(path)}", files={"file": photograph})
    if not stored.ok:
        raise SystemExit(stored.text)

    wanted = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "examples", "input_image_paths": [path]}
    task = api.post(f"{URL}/tasks", json=wanted, headers={"Prefer": "wait=60"}).json()
    if task.get("status") != "COMPLETED":
        raise SystemExit(f"{task.get('status')}: {task}")
    if task["confidences"][0] < SURE:
        print("not sure of the outline: confidence", task["confidences"][0])

    content = api.get(f"{URL}/storage/images/{task['result_image_paths'][0]}").content
    cut_out = Image.open(io.BytesIO(content)).convert("RGBA")
    ground = Image.new("RGBA", cut_out.size, "white")
    ground.alpha_composite(cut_out)
    ground.convert("RGB").save(given.file, quality=95, icc_profile=cut_out.info.get("icc_profile"))
    print(given.file, f"{ground.width}x{ground.height}")


if __name__ == "__main__":
    main()
