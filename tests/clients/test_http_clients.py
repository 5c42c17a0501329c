"""Plain HTTP clients: each draws a picture, waits for it and fetches it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx2
import requests

from tests.clients.customer import Customer, check_picture, drawing


def test_curl_draws_waits_and_fetches(customer: Customer, curl: str, tmp_path: Path) -> None:
    quiet = (curl, "--silent", "--show-error", "--fail-with-body", "--max-time", "60")
    key = ("--header", f"Authorization: {customer.authorization}")
    body = ("--header", "Content-Type: application/json", "--data", json.dumps(drawing("curl")))
    created = subprocess.run(
        (*quiet, *key, *body, "--header", "Prefer: wait=60", customer.tasks), capture_output=True, text=True
    )
    assert created.returncode == 0, created.stdout + created.stderr
    task = json.loads(created.stdout)
    assert task["status"] == "COMPLETED", task
    target = tmp_path / "mug.png"
    subprocess.run((*quiet, *key, customer.picture(task["result_image_path"]), "--output", str(target)), check=True)
    check_picture(target.read_bytes())


def test_requests_draws_waits_and_fetches(customer: Customer) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = customer.authorization
        created = session.post(customer.tasks, json=drawing("requests"), headers={"Prefer": "wait=60"}, timeout=60)
        created.raise_for_status()
        task = created.json()
        assert task["status"] == "COMPLETED", task
        fetched = session.get(customer.picture(task["result_image_path"]), timeout=10)
        fetched.raise_for_status()
    check_picture(fetched.content)


def test_httpx2_draws_waits_and_fetches(customer: Customer) -> None:
    with httpx2.Client(headers={"Authorization": customer.authorization}, timeout=60) as client:
        created = client.post(customer.tasks, json=drawing("httpx2"), headers={"Prefer": "wait=60"})
        created.raise_for_status()
        task = created.json()
        assert task["status"] == "COMPLETED", task
        fetched = client.get(customer.picture(task["result_image_path"]))
        fetched.raise_for_status()
    check_picture(fetched.content)
