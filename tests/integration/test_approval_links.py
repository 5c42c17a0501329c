"""Approvals by a link: nobody needs a key, a GET decides nothing, and each link is good for one decision."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials
from tests.contract.test_rules import png
from tests.integration.gateway_host import TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, exists, probe
from tests.waiting import time_passes, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = {"accept": "text/html,application/xhtml+xml"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def flows(api: Stack) -> Flows:
    return Flows(api, f"Bearer {await api.key('acme', 'admin')}")


async def waiting(flows: Flows, **gate: Any) -> str:
    """Id of a workflow whose step `b` waits for a decision."""
    made = await flows.create(probe("a"), probe("b", "a", gate="approval", **gate), name="<Autumn> & co")
    await flows.end(made["id"], "a")
    await flows.step(made["id"], "b", "WAITING")
    return str(made["id"])


async def link(api: Stack, workflow_id: str, **said: Any) -> str:
    answer = await api.http.post(f"{WORKFLOWS}{workflow_id}/steps/b/approval-link", json=said)
    assert answer.status_code == 200, answer.text
    assert answer.json()["url"].startswith(f"{api.url}/approvals/")
    return str(answer.json()["url"])


async def test_a_link_shows_a_page_that_decides_nothing_and_a_button_of_it_decides_once(
    api: Stack, flows: Flows
) -> None:
    workflow_id = await waiting(flows)
    url = await link(api, workflow_id)
    for _ in range(3):
        page = await api.stranger.get(url, headers=PAGE)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (await api.stranger.head(url)).status_code in (200, 405)
    assert "&lt;Autumn&gt; &amp; co" in page.text and "<Autumn>" not in page.text
    assert "script" not in page.text.lower()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert (await flows.step(workflow_id, "b", "WAITING"))["decision"] is None
    form = {"decision": "approve", "decided_by": "Ada <ada@shop.example>", "comment": "the second one"}
    done = await api.stranger.post(url, data=form, headers=PAGE)
    assert done.status_code == 200 and "Ada &lt;ada@shop.example&gt;" in done.text, done.text
    decision = (await flows.step(workflow_id, "b"))["decision"]
    assert (decision["approved"], decision["decided_by"], decision["comment"]) == (
        True,
        "Ada <ada@shop.example>",
        "the second one",
    )
    assert decision["at"]
    for answer in (
        await api.stranger.post(url, json={"approve": False, "decided_by": "x"}),
        await api.stranger.get(url),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (409, "LINK_USED")
        assert "approved by Ada" in answer.json()["detail"]
    page = await api.stranger.get(url, headers=PAGE)
    assert page.status_code == 409 and "LINK_USED" in page.text and "Nothing was decided" in page.text


async def test_two_decisions_at_once_make_one(api: Stack, flows: Flows) -> None:
    workflow_id = await waiting(flows)
    urls = [await link(api, workflow_id, approver=name) for name in ("ada", "bob", "cyd")]
    answers = await asyncio.gather(*(api.stranger.post(url, json={"approve": True}) for url in urls * 2))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert {answer.json()["reason"] for answer in answers if answer.status_code == 409} == {"LINK_USED"}
    assert (await flows.step(workflow_id, "b"))["decision"]["decided_by"] in ("ada", "bob", "cyd")


async def test_who_a_link_is_for_decides_by_it_whatever_is_said(api: Stack, flows: Flows) -> None:
    workflow_id = await waiting(flows)
    url = await link(api, workflow_id, approver="ada")
    assert "You decide as ada" in (await api.stranger.get(url, headers=PAGE)).text
    said = {"approve": False, "decided_by": "bob", "comment": "too red"}
    assert (await api.stranger.post(url, json=said)).status_code == 200
    failed = await flows.ended(workflow_id, "FAILED")
    step = failed["steps"][1]
    assert (step["decision"]["decided_by"], step["error_reason"], step["error_message"]) == (
        "ada",
        "STEP_REJECTED",
        "too red",
    )
    await flows.post(workflow_id, "resume")
    await flows.step(workflow_id, "b", "WAITING")
    again = await api.stranger.post(url, json={"approve": True})
    assert (again.status_code, again.json()["reason"]) == (409, "LINK_USED"), "the step waits anew: not for this link"
    assert (await api.stranger.post(await link(api, workflow_id), json={"approve": True, "decided_by": "x"})).is_success


async def test_a_link_expires_with_its_gate(api: Stack, flows: Flows) -> None:
    made = await flows.create(probe("a"), probe("b", "a", gate="approval", gate_timeout_seconds=3))
    await flows.end(made["id"], "a")
    await flows.step(made["id"], "b", "WAITING")
    await flows.post(made["id"], "pause")
    url = await link(api, made["id"])

    assert (await api.stranger.get(url, headers=PAGE)).status_code == 200
    answer = await until(lambda: expired(api, url), timeout=10)
    assert (answer.status_code, answer.json()["reason"]) == (404, "LINK_EXPIRED")
    decided = await api.stranger.post(url, json={"approve": True, "decided_by": "x"})
    assert (decided.status_code, decided.json()["reason"]) == (404, "LINK_EXPIRED")
    assert (await flows.step(made["id"], "b", "WAITING"))["decision"] is None
    await api.http.delete(WORKFLOWS + made["id"])


@pytest.mark.field("gate-timed-out-while-paused")
async def test_a_link_made_during_a_pause_decides_though_the_time_of_the_gate_is_over(api: Stack, flows: Flows) -> None:
    workflow_id = await waiting(flows, gate_timeout_seconds=4)
    await flows.post(workflow_id, "pause")
    await time_passes(4.5, because="the gate times out where no pause stops its clock")
    url = await link(api, workflow_id, approver="ada")
    assert (await api.stranger.get(url, headers=PAGE)).status_code == 200
    await flows.post(workflow_id, "resume")
    assert (await api.stranger.post(url, json={"approve": True})).status_code == 200
    assert (await flows.step(workflow_id, "b"))["decision"]["decided_by"] == "ada"
    await api.http.delete(WORKFLOWS + workflow_id)


@pytest.mark.field("gate-decided-while-failed")
async def test_a_gate_of_a_failed_workflow_is_asked_for_after_the_resume_with_its_whole_time(
    api: Stack, flows: Flows
) -> None:
    made = await flows.create(
        probe("a"), probe("b", gate="approval", gate_timeout_seconds=3, gate_on_timeout="approve")
    )
    await flows.step(made["id"], "b", "WAITING")
    await flows.end(made["id"], "a", reason="NO", message="no", category="VALIDATION")
    failed = (await flows.ended(made["id"], "FAILED"))["steps"][1]
    assert (failed["status"], failed["started_at"]) == ("PENDING", None)
    answer = await api.http.post(f"{WORKFLOWS}{made['id']}/steps/b/approval-link", json={})
    assert (answer.status_code, answer.json()["reason"]) == (409, "STEP_NOT_WAITING")
    await time_passes(3.5, because="the gate times out where its clock runs on")
    await flows.post(made["id"], "resume")
    assert (await flows.step(made["id"], "b", "WAITING"))["decision"] is None
    url = await link(api, made["id"], approver="ada")
    assert (await api.stranger.post(url, json={"approve": True})).status_code == 200
    assert (await flows.step(made["id"], "b"))["decision"]["decided_by"] == "ada"
    await api.http.delete(WORKFLOWS + made["id"])


async def expired(api: Stack, url: str) -> Any:
    answer = await api.stranger.get(url)
    return answer if answer.status_code != 200 else None


async def test_what_was_not_signed_or_asks_for_what_is_gone_is_told(api: Stack, flows: Flows) -> None:
    workflow_id = await waiting(flows)
    url = await link(api, workflow_id)
    for wrong in (url[:-1], url + "A", f"{api.url}/approvals/x", f"{api.url}/approvals/{'A' * 5000}"):
        for answer in (
            await api.stranger.get(wrong),
            await api.stranger.post(wrong, json={"approve": True, "decided_by": "x"}),
        ):
            assert (answer.status_code, answer.json()["reason"]) == (404, "LINK_INVALID"), wrong
    await api.http.post("/api/v1/storage/images/shop/a.png", files={"file": ("a.png", png(), "image/png")})
    picture = (await api.http.post("/api/v1/storage/links", json={"path": "shop/a.png"})).json()["url"]
    token = picture.rpartition("/")[2]
    assert (await api.stranger.get(f"{api.url}/approvals/{token}")).json()["reason"] == "LINK_INVALID"
    assert (await api.stranger.get(f"{api.url}/files/{url.rpartition('/')[2]}")).json()["reason"] == "LINK_INVALID"
    await api.http.delete(WORKFLOWS + workflow_id)
    ended = await api.stranger.post(url, json={"approve": True, "decided_by": "x"})
    assert (ended.status_code, ended.json()["reason"]) == (409, "LINK_USED")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"content": b"decision=approve", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400),
        (
            {
                "content": b"decision=maybe&decided_by=x",
                "headers": {"content-type": "application/x-www-form-urlencoded"},
            },
            400,
        ),
        ({"content": b"\xff\xfe=", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400),
        ({"json": {"approve": True}}, 400),
        ({"json": {"approve": "perhaps", "decided_by": "x"}}, 422),
        ({"json": {}}, 422),
        ({"content": b"approve", "headers": {"content-type": "text/plain"}}, 415),
    ],
)
async def test_an_answer_that_cannot_be_read_decides_nothing(
    api: Stack, flows: Flows, said: dict[str, Any], status: int
) -> None:
    workflow_id = await waiting(flows)
    url = await link(api, workflow_id)
    answer = await api.stranger.post(url, **said)
    assert answer.status_code == status, answer.text
    assert (await flows.step(workflow_id, "b", "WAITING"))["decision"] is None
    assert (await api.stranger.get(url)).status_code == 200, "the link is good still"


@pytest.mark.parametrize("name", ["", " ", "\u00a0\t\n", "timeout", " Timeout "])
async def test_nobody_signs_without_a_name_or_as_the_clock(api: Stack, flows: Flows, name: str) -> None:
    workflow_id = await waiting(flows)
    place, said = f"{WORKFLOWS}{workflow_id}/steps/b", {"approve": True, "decided_by": name}
    url = await link(api, workflow_id)
    for answer in (
        await api.http.post(f"{place}/signal", json=said),
        await api.http.post(f"{place}/approval-link", json={"approver": name}),
        await api.stranger.post(url, json=said),
        await api.stranger.post(url, data={"decision": "approve", "decided_by": name}),
    ):
        assert answer.status_code in (400, 422), answer.text
    calls = rpc.WorkflowServiceStub(api.channel)
    about = {"metadata": Credentials(TOKEN).metadata("acme"), "timeout": 20}
    names = {"workflow_id": workflow_id, "step_id": "b"}
    for method, request in (
        (calls.SignalStep, pb.SignalStepRequest(**names, approve=True, decided_by=name)),
        (calls.CreateApprovalLink, pb.CreateApprovalLinkRequest(**names, approver=name)),
        (calls.DecideByLink, pb.DecideByLinkRequest(token=url.rpartition("/")[2], approve=True, decided_by=name)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(request, **about)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await flows.step(workflow_id, "b", "WAITING"))["decision"] is None
    await api.http.delete(WORKFLOWS + workflow_id)


async def test_whoever_signs_is_kept_without_the_blanks_around_their_name(api: Stack, flows: Flows) -> None:
    signed, asked = await waiting(flows), await waiting(flows)
    said = {"approve": True, "decided_by": "  Ada L. \n"}
    assert (await api.http.post(f"{WORKFLOWS}{signed}/steps/b/signal", json=said)).status_code == 200
    made = (await api.http.post(f"{WORKFLOWS}{asked}/steps/b/approval-link", json={"approver": " bob "})).json()
    assert made["approver"] == "bob"
    assert (await api.stranger.post(made["url"], json={"approve": True})).status_code == 200
    for workflow_id, name in ((signed, "Ada L."), (asked, "bob")):
        assert (await flows.step(workflow_id, "b"))["decision"]["decided_by"] == name
        await api.http.delete(WORKFLOWS + workflow_id)


async def test_a_link_is_made_for_a_step_that_waits_and_by_its_own_tenant(api: Stack, flows: Flows) -> None:
    workflow_id = await waiting(flows)
    place = f"{WORKFLOWS}{workflow_id}/steps"
    for made, reason in (
        (await api.http.post(f"{place}/a/approval-link", json={}), "STEP_NOT_WAITING"),
        (await api.http.post(f"{place}/z/approval-link", json={}), "STEP_NOT_FOUND"),
        (await api.other.post(f"{place}/b/approval-link", json={}), "WORKFLOW_NOT_FOUND"),
        (await api.stranger.post(f"{place}/b/approval-link", json={}), "KEY_MISSING"),
    ):
        assert made.json()["reason"] == reason
    reader = {"authorization": f"Bearer {await api.key('acme', 'read')}"}
    refused = await api.stranger.post(f"{place}/b/approval-link", json={}, headers=reader)
    assert refused.json()["reason"] == "SCOPE_MISSING", "its holder could decide"


async def test_the_page_shows_the_pictures_that_are_decided_about(api: Stack) -> None:
    draw: dict[str, Any] = {"id": "draw", "task_type": "GENERATION", "config": {"prompt": "a red mug"}}
    step = {
        "id": "b",
        "task_type": "REFINE",
        "config": {"upscale_factor": 2},
        "depends_on": ["draw"],
        "gate": "approval",
        "input_mappings": [{"from_step": "draw", "from_field": "result_image_path", "to_field": "base_image_url"}],
    }
    body = {"name": "n", "origin_instance": "test", "steps": [draw, step]}
    made = (await api.http.post(WORKFLOWS, json=body)).json()
    flows = Flows(api, api.http.headers["authorization"])
    task_id = (await flows.step(made["id"], "draw"))["task_id"]
    storage = StorageClient(api.channel, Credentials(TOKEN))
    await storage.upload(f"generations/{task_id}/picture.png", png(), tenant="acme", result=True)
    await until(lambda: exists(api, task_id))
    await api.finish(task_id)
    await flows.step(made["id"], "b", "WAITING")
    page = (await api.stranger.get(await link(api, made["id"]), headers=PAGE)).text
    [address] = re.findall(r'<img src="([^"]+)"', page)
    assert address.startswith("/files/"), "on the page's own host, under whichever name it was opened"
    shown = await api.stranger.get(address)
    assert (shown.status_code, shown.content) == (200, png())
    await api.http.delete(WORKFLOWS + made["id"])
