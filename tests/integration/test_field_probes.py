"""Cases from the field as a customer meets them: over HTTP alone, so that this file runs on any tree that has a stack.

It imports nothing else of the tree, and needs no field that an older one lacks; copied into one, it shows the faults.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from deploy.local.paths import StackFolder
from tests.stack import RunningStack, running_stack

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
LIMIT_SECONDS = 90.0
STRICT = "knows-max-tokens-alone"


class Site(ThreadingHTTPServer):
    """An OpenAI-compatible server, one model of which knows `max_tokens` alone, and a receiver of JSON alone."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.asked: list[dict[str, Any]] = []
        self.hooks: list[dict[str, Any]] = []


class _Visitor(BaseHTTPRequestHandler):
    server: Site

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.endswith("/chat/completions"):
            self._chat(json.loads(body))
            return
        is_json = self.headers.get("Content-Type", "").split(";")[0] == "application/json"
        self.server.hooks.append(json.loads(body) if is_json else {})
        self._answer(200, {})

    def _chat(self, asked: dict[str, Any]) -> None:
        self.server.asked.append(asked)
        if asked["model"] == STRICT and "max_completion_tokens" in asked:
            where = ["body", "max_completion_tokens"]
            refused = {"type": "extra_forbidden", "loc": where, "msg": "Extra inputs are not permitted"}
            self._answer(422, {"detail": [refused]})
            return
        message = {"role": "assistant", "content": "<think>\nIt is a greeting.\n</think>\n\nHello."}
        usage = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._answer(200, {"id": "c-1", "object": "chat.completion", "choices": [choice], "usage": usage})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        answer = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _served() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    yield site
    site.shutdown()
    site.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with _served() as site:
        yield site


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[RunningStack]:
    where = f"127.0.0.1:{site.server_port}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_BASE_URL", f"http://{where}/v1")
        environment.setenv("OPENAI_API_KEY", "sk-of-a-probe")
        environment.setenv("WEBHOOK_ALLOW_PRIVATE", where)
        environment.setenv("WEBHOOK_PORTS", f"80,443,{site.server_port}")
        with running_stack(StackFolder(tmp_path_factory.mktemp("probed"))) as everything:
            yield everything


class Customer:
    def __init__(self, stack: RunningStack) -> None:
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        self.http = httpx2.Client(base_url=f"{stack.base_url}/api/v1", headers=headers, timeout=60)

    def run(self, task_type: str, **fields: Any) -> dict[str, Any]:
        """The task as it ended."""
        body = {"task_type": task_type, "origin_instance": "probe", **fields}
        made = self.http.post("/tasks/", json=body)
        assert made.status_code in {200, 201, 202}, made.text
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            task: dict[str, Any] = self.http.get(f"/tasks/{made.json()['id']}").json()
            if task["status"] in ENDED:
                return task
            assert time.monotonic() < end, task
            threading.Event().wait(0.2)

    def upload(self, path: str, content: bytes) -> str:
        answer = self.http.post(f"/storage/images/{path}", files={"file": (path.rsplit("/")[-1], content)})
        assert answer.status_code in {200, 201}, answer.text
        return path

    def picture(self, path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        answer = self.http.get(f"/storage/images/{path}")
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.fixture(scope="module")
def customer(probed: RunningStack) -> Iterator[Customer]:
    customer = Customer(probed)
    yield customer
    customer.http.close()


@pytest.mark.field("22")
def test_two_long_prompts_draw_two_pictures(customer: Customer) -> None:
    begin = (
        "a product photograph on a plain white background with soft studio light, clean look, sharp focus, "
        "high detail, showing a "
    )
    ended = [customer.run("GENERATION", prompt=begin + what, seed=7) for what in ("blue mug", "red striped handbag")]
    assert [task["status"] for task in ended] == ["COMPLETED"] * 2
    mug, handbag = (customer.picture(_result(task)).astype(int) for task in ended)
    assert np.abs(mug - handbag).mean() > 5


@pytest.mark.field("18")
def test_a_photograph_of_24_megapixels_is_cut_out(customer: Customer) -> None:
    y, x = np.mgrid[0:4024, 0:6048]
    inside = ((x - 3024) / 1500) ** 2 + ((y - 2012) / 1400) ** 2 < 1
    photo = np.where(inside[..., None], np.array([180, 40, 40], np.uint8), np.array([235, 235, 235], np.uint8))
    target = io.BytesIO()
    Image.fromarray(photo).save(target, "JPEG", quality=90)
    path = customer.upload("probe/large.jpg", target.getvalue())
    task = customer.run("BACKGROUND_REMOVAL", input_image_paths=[path])
    assert task["status"] == "COMPLETED", task["errors"]
    alpha = customer.picture(task["result_image_paths"][0])[..., 3]
    assert alpha.shape == (4024, 6048)
    cut = alpha > 127
    assert (cut & inside).sum() / (cut | inside).sum() > 0.95


@pytest.mark.field("45")
def test_a_server_that_knows_max_tokens_alone_answers(customer: Customer, site: Site) -> None:
    config = {"ai_provider": "openai", "model": STRICT, "max_tokens": 50}
    task = customer.run("LLM_INTERACTION", prompt="Hello?", provider_type="AI_CORE", provider_config=config)
    assert task["status"] == "COMPLETED", task["errors"]
    assert site.asked[-1].get("max_tokens") == 50


@pytest.mark.field("49")
def test_what_a_model_thinks_aloud_is_no_part_of_its_answer(customer: Customer) -> None:
    config = {"ai_provider": "openai", "model": "lenient"}
    task = customer.run("LLM_INTERACTION", prompt="Hello?", provider_type="AI_CORE", provider_config=config)
    assert task["status"] == "COMPLETED", task["errors"]
    assert task["result_text"] == "Hello."
    assert "greeting" in task["reasoning_text"]


@pytest.mark.field("44")
def test_a_receiver_of_json_alone_sees_the_body(customer: Customer, site: Site) -> None:
    config = {"webhook_content_type": "application/json"}
    hook = f"http://127.0.0.1:{site.server_port}/hook"
    task = customer.run("GENERATION", prompt="a red mug", seed=1, webhook_url=hook, config=config)
    end = time.monotonic() + 30
    while not site.hooks and time.monotonic() < end:
        threading.Event().wait(0.2)
    assert site.hooks, "no call came"
    assert task["id"] in json.dumps(site.hooks)


def _result(task: dict[str, Any]) -> str:
    return str(task.get("result_image_path") or task["result_image_paths"][0])
