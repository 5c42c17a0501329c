"""The engine's promises: join, leave, cancel, fail alone, stay bounded, be fair, repeat exactly."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusion.errors import Unavailable
from diffusion.painter import seeded, slerp
from diffusion_stage import SIDE, Client, Stage, distance, open_stage, photo

from tests.waiting import blocks_for

POISON = 666


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = open_stage("sd")
    yield stage
    stage.close()


class Gate:
    """Holds the worker at a client's first step until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def __call__(self, step: int) -> None:
        self.reached.set()
        assert self._open.wait(30)

    def open(self) -> None:
        self._open.set()


def test_a_request_joins_a_running_batch_before_its_next_step_and_leaves_when_done(stage: Stage) -> None:
    second = Client()

    def join(step: int) -> None:
        if step == 3:
            stage.ask(second, steps=2)

    first = stage.ask(Client(join), steps=8).wait()
    assert first.batches == [1, 1, 1, 2, 2, 1, 1, 1]
    assert second.wait().batches == [2, 2]


def test_steps_come_in_order_with_previews_and_the_result_last(stage: Stage) -> None:
    client = stage.ask(steps=5, preview_every=2).wait()
    assert [event["step"] for event in client.steps] == [1, 2, 3, 4, 5]
    assert [preview is not None for preview in client.previews] == [False, True, False, True, False]
    assert client.previews[1].shape == (SIDE // 2, SIDE // 2, 3)
    result = client.result
    assert (result["steps"], result["seed"], result["width"], result["ignored"]) == (5, 5, SIDE, [])
    assert set(result["model"]) == {"name", "sha256", "licence", "family"}
    assert min(result["queued_ms"], result["denoise_ms"], result["decode_ms"]) >= 0
    assert stage.ask(preview_every=0).wait().previews == [None] * 4


def test_steps_that_come_fast_are_not_all_reported_but_the_last_is_with_the_newest_preview(stage: Stage) -> None:
    client = stage.ask(steps=30, report_every_ms=10_000).wait()
    assert [event["step"] for event in client.steps] == [1, 30]
    assert [preview is not None for preview in client.previews] == [True, True]
    assert stage.ask(steps=30, preview_every=7, report_every_ms=10_000).wait().previews[0] is None
    assert distance(stage.draw(seed=5, report_every_ms=10_000), stage.draw(seed=5)) <= 1
    slow = Client(lambda step: blocks_for(0.03, because="a step takes a while"))
    rested = stage.ask(slow, steps=6, report_every_ms=20).wait()
    assert [event["step"] for event in rested.steps] == [1, 2, 3, 4, 5, 6]


def test_a_seed_that_was_not_given_is_told_and_repeats_the_picture(stage: Stage) -> None:
    client = stage.ask(seed=None).wait()
    assert distance(stage.draw(seed=client.result["seed"]), client.picture) == 0


def test_a_cancelled_request_takes_no_further_step_and_the_others_go_on(stage: Stage) -> None:
    going = Client()

    def leave(step: int) -> None:
        if step == 3:
            going.gone = True

    going._on_step = leave
    stage.ask(going, steps=50)
    other = stage.ask(steps=9)
    assert going.wait().error.reason == "CANCELLED"
    assert len(going.steps) == 3
    assert distance(other.wait().picture, stage.draw(steps=9)) <= 1
    assert stage.tally["failed_total/CANCELLED"] == 1
    assert len(stage._board) == 0


def test_a_request_cancelled_in_the_queue_is_never_begun() -> None:
    stage = open_stage("sd", slots=1)
    gate = Gate()
    running = stage.ask(Client(gate))
    assert gate.reached.wait(30)
    waiting = stage.ask()
    waiting.gone = True
    gate.open()
    assert waiting.wait().error.reason == "CANCELLED"
    assert waiting.steps == []
    assert running.wait().error is None
    stage.close()


def test_a_full_queue_refuses_and_gives_up_the_places_of_the_gone() -> None:
    stage = open_stage("sd", slots=1, queue=2)
    gate = Gate()
    running = stage.ask(Client(gate))
    assert gate.reached.wait(30)
    waiting = [stage.ask(), stage.ask()]
    refused = stage.ask().wait()
    assert refused.error.reason == "RESOURCE_EXHAUSTED"
    assert str(refused.error) == "RESOURCE_EXHAUSTED: 2 requests wait already"
    waiting[0].gone = True
    late = stage.ask()
    gate.open()
    for client in (running, waiting[1], late):
        assert client.wait().error is None
    stage.close()


def test_no_more_run_together_than_there_are_slots() -> None:
    stage = open_stage("sd", slots=2)
    clients = [stage.ask(seed=seed) for seed in range(5)]
    assert max(max(client.wait().batches) for client in clients) == 2
    stage.close()


def test_sizes_take_turns_so_that_none_starves(stage: Stage) -> None:
    order = []
    big = Client(lambda step: order.append("big"))

    def start_big(step: int) -> None:
        order.append("small")
        if step == 2:
            stage.ask(big, width=2 * SIDE, steps=4)

    small = stage.ask(Client(start_big), steps=10)
    assert small.wait().batches == [1] * 10
    assert big.wait().picture.shape == (SIDE, 2 * SIDE, 3)
    assert order[2:10] == ["big", "small"] * 4 or order[2:10] == ["small", "big"] * 4


def test_an_exact_request_runs_alone_and_repeats_bit_for_bit_beside_others(stage: Stage) -> None:
    options: dict[str, Any] = {"exact": True, "steps": 6, "prompt": "a blue sneaker"}
    first = stage.draw(**options)
    beside = [stage.ask(steps=12, seed=seed) for seed in range(3)]
    client = stage.ask(**options).wait()
    assert client.batches == [1] * 6
    assert np.array_equal(client.picture, first)
    for other in beside:
        assert 3 in other.wait().batches


def test_a_request_the_model_breaks_on_fails_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = stage.draw(steps=6)
    family = stage.model.family
    call = family.call

    def break_on_poison(rows: Any) -> Any:
        if any(row.slot.request.seed == POISON for row in rows):
            raise RuntimeError("broken kernel")
        return call(rows)

    monkeypatch.setattr(family, "call", break_on_poison)
    gate = Gate()
    good = [stage.ask(Client(gate), steps=6), stage.ask(steps=6)]
    assert gate.reached.wait(30)
    bad = stage.ask(seed=POISON, steps=6)
    gate.open()
    assert str(bad.wait().error) == "INTERNAL: RuntimeError: broken kernel"
    for client in good:
        assert distance(client.wait().picture, expected) <= 1
        assert len(client.steps) == 6


def test_running_out_of_memory_in_a_batch_falls_back_to_one_by_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = stage.model.family
    call = family.call

    def hold_one(rows: Any) -> Any:
        if len({id(row.slot) for row in rows}) > 1 or rows[0].slot.request.seed == POISON:
            raise MemoryError
        return call(rows)

    expected = stage.draw()
    monkeypatch.setattr(family, "call", hold_one)
    gate = Gate()
    first = stage.ask(Client(gate))
    assert gate.reached.wait(30)
    second, third = stage.ask(), stage.ask(seed=POISON)
    gate.open()
    assert distance(first.wait().picture, expected) == 0
    assert distance(second.wait().picture, expected) == 0
    assert third.wait().error.reason == "OUT_OF_MEMORY"


def test_a_prompt_the_encoder_breaks_on_fails_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    family = stage.model.family
    encode = family.encode

    def break_on_word(prompt: str, negative: str, *, guided: bool) -> Any:
        if prompt == "break":
            raise ValueError("no such token")
        return encode(prompt, negative, guided=guided)

    monkeypatch.setattr(family, "encode", break_on_word)
    bad, good = stage.ask(prompt="break"), stage.ask(prompt="another")
    assert bad.wait().error.reason == "INTERNAL"
    assert good.wait().error is None


def test_a_client_that_cannot_be_told_does_not_stop_the_worker(stage: Stage) -> None:
    class Broken(Client):
        def send(self, event: dict[str, Any], preview: Any = None) -> None:
            raise ConnectionError("gone")

        def fail(self, error: Any) -> None:
            super().fail(error)
            raise ConnectionError("gone")

    broken = stage.ask(Broken()).wait()
    assert broken.error.reason == "INTERNAL"
    assert stage.ask().wait().error is None


def test_the_canary_passes_the_queue_and_tells_the_load() -> None:
    stage = open_stage("sd", slots=1)
    gate = Gate()
    running = stage.ask(Client(gate), steps=30)
    assert gate.reached.wait(30)
    waiting = stage.ask()
    canary = Client()
    stage.submit({"canary": True}, canary)
    gate.open()
    answer = canary.wait().result
    assert (answer["active"], answer["queued"]) == (1, 1)
    [served] = answer["models"]
    assert (served["serves"], served["sha256"]) == ("diffusion", stage.model.card.sha256)
    assert not running._ended.is_set()
    running.gone = True
    assert waiting.wait().error is None
    stage.close()


@pytest.mark.field("model-without-numbers")
@pytest.mark.parametrize(
    ("part", "factor", "words"),
    [
        ("call", float("nan"), "the network answers no numbers"),
        ("call", float("inf"), "the network answers no numbers"),
        ("call", 0.0, "the network answers the same everywhere"),
        ("to_picture", float("nan"), "the VAE answers no numbers"),
        ("to_picture", 0.0, "the VAE answers the same everywhere"),
    ],
)
def test_a_broken_network_fails_the_canary(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, part: str, factor: float, words: str
) -> None:
    asked = getattr(stage.model.family, part)
    monkeypatch.setattr(stage.model.family, part, lambda *given: asked(*given) * factor)
    canary = Client()
    stage.submit({"canary": True}, canary)
    assert str(canary.wait().error) == f"INTERNAL: ArithmeticError: {words}"


def test_a_decoder_that_answers_another_size_fails_the_canary(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stage.model.family.to_picture
    monkeypatch.setattr(stage.model.family, "to_picture", lambda latents: asked(latents)[..., :-1])
    canary = Client()
    stage.submit({"canary": True}, canary)
    assert "the VAE answers [" in str(canary.wait().error)


def test_describe_tells_what_a_client_needs_to_know(stage: Stage) -> None:
    client = Client()
    stage.submit({"describe": True}, client)
    told = client.wait().result
    assert told["model"]["family"] == "sd"
    assert told["model"]["licence"] == "unknown"
    assert len(told["model"]["sha256"]) == 64
    assert told["native"] == {"width": 64, "height": 64}
    assert told["multiple_of"] == 8
    assert told["limits"]["max_steps"] == 150
    assert (told["slots"], told["queue"], told["device"], told["dtype"]) == (8, 64, "cpu", "float32")


def test_closing_tells_whoever_runs_or_waits() -> None:
    stage = open_stage("sd", slots=1)
    gate = Gate()
    running = stage.ask(Client(gate))
    assert gate.reached.wait(30)
    waiting, canary = stage.ask(), Client()
    stage.submit({"canary": True}, canary)
    closing = threading.Thread(target=stage.close)
    closing.start()
    gate.open()
    closing.join(30)
    for client in (running, waiting, canary):
        assert isinstance(client.wait().error, Unavailable)
    assert isinstance(stage.ask().wait().error, Unavailable)


def test_it_counts_steps_pictures_and_failures(stage: Stage) -> None:
    stage.draw(steps=3)
    stage.ask(steps=0).wait()
    assert stage.tally["steps_total"] == 3
    assert stage.tally["pictures_total"] == 1
    assert stage.tally["failed_total/INVALID_ARGUMENT"] == 1
    assert stage.tally["queue_depth"] == 0


def test_many_requests_at_once_all_end(stage: Stage) -> None:
    clients = [stage.ask(seed=seed, steps=1 + seed % 3, width=SIDE + 8 * (seed % 2)) for seed in range(40)]
    assert all(client.wait().error is None for client in clients)


def test_a_soft_mask_blends_at_its_edge(stage: Stage) -> None:
    mask = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
    picture = stage.draw(image=photo(), mask=mask, strength=0.9)
    off = np.abs(picture.astype(int) - photo()).mean(axis=(0, 2))
    assert off[0] == 0
    assert off[:8].mean() < off[-8:].mean() / 3


def test_a_variation_leads_from_one_seed_s_picture_to_another_s(stage: Stage) -> None:
    start, end = stage.draw(seed=1), stage.draw(seed=2)
    assert distance(stage.draw(seed=1, variation_seed=2, variation=0.0), start) == 0
    assert distance(stage.draw(seed=1, variation_seed=2, variation=1.0), end) <= 1

    def away(share: float) -> Any:
        return np.abs(stage.draw(seed=1, variation_seed=2, variation=share).astype(int) - start).mean()

    near, half = away(0.05), away(0.5)
    assert 0 < near < half


def test_noise_between_two_noises_is_as_strong_as_they() -> None:
    first, second = torch.randn(2, 1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    assert float(slerp(first, second, 0.5).std()) == pytest.approx(1.0, abs=0.03)
    assert torch.equal(slerp(first, first, 0.5), first)


@pytest.mark.field("long-seed")
def test_all_bits_of_a_seed_count() -> None:
    drawn = {seed: float(torch.randn(1, generator=seeded(seed))) for seed in (7, 2**32 + 7, 2**33 + 7, 2**63 - 1)}
    assert len(set(drawn.values())) == 4
    # What fits into 32 bits draws what it always drew.
    assert drawn[7] == float(torch.randn(1, generator=torch.Generator().manual_seed(7)))


@pytest.mark.field("long-seed")
def test_seeds_that_end_alike_draw_other_pictures(stage: Stage) -> None:
    one, other = stage.draw(seed=7), stage.draw(seed=2**32 + 7)
    assert distance(one, other) > 0


@pytest.mark.field("no-step")
def test_a_strength_too_small_for_a_step_is_told(stage: Stage) -> None:
    told = [
        stage.ask(image=photo(), strength=strength, steps=4).wait().result["ignored"] for strength in (0.2, 0.25, 1.0)
    ]
    assert told == [[{"field": "strength", "words": []}], [], []]
