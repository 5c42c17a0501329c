"""Faces, people and text are found where they are and nowhere else, by the very networks that are named.

The sets are those of deploy/triton/evaluate_detection.py; what is slow looks at every few of their pictures.
"""

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from artefacts import ArtefactRefused, place, registry
from failures import InvalidArgument

sys.path.append(str(Path(__file__).resolve().parents[2] / "deploy/triton"))
import evaluate_detection as judged
from detecting.finder import FOR_PEOPLE, FOR_TEXT, Finder
from detecting.geometry import Square, views
from detecting.lines import in_order
from detecting.request import parse
from detecting.settings import Settings
from detection_pictures import Photographs, labels

ROOT = Path(__file__).resolve().parents[2]
[FOLDER] = ROOT.glob(".local/app/lib/python3*/site-packages/skimage/data")
PHOTOGRAPHS = Photographs(FOLDER)
SETTINGS = Settings.from_environment({})
EVERY = int(os.environ.get("DETECTION_TEST_EVERY", "4"))
"""1 for all of the sets: 100 faces, 200 products, 100 labels, 100 blank products."""
fetched = pytest.mark.skipif(
    not all(registry()[name].present() for name in (FOR_PEOPLE, FOR_TEXT)),
    reason="the networks could not be had at set-up",
)


@pytest.fixture(scope="module")
def finders() -> tuple[Any, Any, Any]:
    return judged.load()


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder.load(SETTINGS)


@fetched
@pytest.mark.timeout(600)
def test_95_of_100_faces_from_32_to_400_pixels_are_found(finders: tuple[Any, Any, Any]) -> None:
    assert judged.faces_found_share(finders[0], PHOTOGRAPHS.faces(every=EVERY)) >= judged.LEAST_FACES


@fetched
@pytest.mark.timeout(600)
def test_at_most_one_product_in_a_hundred_has_a_face(finders: tuple[Any, Any, Any]) -> None:
    """Of fewer than a hundred one."""
    found = judged.false_faces(finders[0], PHOTOGRAPHS.products(every=EVERY))
    false = [name for name, is_there in found.items() if is_there]
    assert len(false) <= max(1, judged.MOST_FALSE * len(found)), false


@fetched
def test_a_cat_and_a_rocket_are_no_faces(finders: tuple[Any, Any, Any]) -> None:
    pictures = [(name, PHOTOGRAPHS.photograph(name)) for name in ("chelsea.png", "rocket.jpg", "coffee.png")]
    assert not any(judged.false_faces(finders[0], pictures).values())


@fetched
@pytest.mark.timeout(600)
def test_95_of_100_characters_on_labels_are_read(finders: tuple[Any, Any, Any]) -> None:
    assert judged.characters_share(finders[2], labels(every=EVERY)) >= judged.LEAST_CHARACTERS


@fetched
@pytest.mark.field("object-read-as-a-letter")
@pytest.mark.timeout(600)
def test_nothing_is_read_on_products_without_a_word(finders: tuple[Any, Any, Any]) -> None:
    assert judged.blanks_read(finders[2], every=EVERY) == []


@fetched
def test_a_page_of_prose_is_read_line_by_line(finder: Finder) -> None:
    found = finder.answer(parse({"find": ["text"]}), PHOTOGRAPHS.photograph("page.png"))
    first, second, *_ = found["text"]
    assert first["text"] == "Region-based segmentation" and second["text"].startswith("Let us first determine")
    left, top = first["corners"][0]
    assert (left, top) < (30, 30) and first["confidence"] > 0.9


@fetched
def test_a_person_is_found_with_the_face_and_nobody_in_a_cup_of_coffee(finder: Finder) -> None:
    everyone = parse({"find": ["faces", "people"]})
    found = finder.answer(everyone, PHOTOGRAPHS.photograph("astronaut.png"))
    [face], [person] = found["faces"], found["people"]
    assert np.abs(np.array(face["box"]) - (177, 75, 272, 170)).max() < 20
    left, top, right, bottom = person["box"]
    assert top < 15 and bottom > 500 and left < 60 and right > 300
    nobody = finder.answer(everyone, PHOTOGRAPHS.photograph("coffee.png"))
    assert nobody["faces"] == nobody["people"] == []


@fetched
def test_boxes_are_in_pixels_of_the_picture_that_was_sent_however_large(finder: Finder) -> None:
    large = PHOTOGRAPHS.photograph("astronaut.png").repeat(4, axis=0).repeat(4, axis=1)
    [face] = finder.answer(parse({"find": ["faces"]}), large)["faces"]
    assert np.abs(np.array(face["box"]) / 4 - (177, 75, 272, 170)).max() < 20


@fetched
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 40)])
def test_pictures_of_any_shape_are_taken(finder: Finder, size: tuple[int, int]) -> None:
    found = finder.answer(parse({"find": ["faces", "people", "text"]}), np.full((*size, 3), 90, np.uint8))
    assert found["faces"] == found["people"] == found["text"] == []


@fetched
def test_the_networks_are_named_with_hash_and_licence(finder: Finder) -> None:
    found = finder.answer(parse({"find": ["text"]}), np.zeros((40, 40, 3), np.uint8))
    assert found["models"] == [
        {"name": FOR_TEXT, "sha256": registry()[FOR_TEXT].sha256, "licence": registry()[FOR_TEXT].licence}
    ]
    assert finder.answer(parse({"canary": True}), None)["can"] == ["faces", "people", "text"]


@fetched
@pytest.mark.parametrize(
    ("name", "file"), [(FOR_PEOPLE, "face_landmark.tflite"), (FOR_TEXT, "PP-OCRv6_rec_small.onnx")]
)
def test_a_swapped_file_is_refused_by_its_hash(tmp_path: Path, name: str, file: str) -> None:
    shutil.copytree(place() / name, tmp_path / name)
    (tmp_path / name / file).write_bytes(b"another network")
    with pytest.raises(ArtefactRefused, match=rf"{file} is not the file .* {name}.*SHA-256"):
        Finder.load(dataclasses.replace(SETTINGS, artefacts=tmp_path))


@fetched
def test_what_is_missing_is_said_and_gone_on_without(tmp_path: Path) -> None:
    (tmp_path / FOR_TEXT).symlink_to(place() / FOR_TEXT)
    finder = Finder.load(dataclasses.replace(SETTINGS, artefacts=tmp_path))
    canary = finder.answer(parse({"canary": True}), None)
    assert (canary["can"], canary["models"]) == (["text"], [registry()[FOR_TEXT].served()])
    with pytest.raises(InvalidArgument, match="no network that finds faces"):
        finder.answer(parse({"find": ["faces"]}), np.zeros((40, 40, 3), np.uint8))


def test_without_any_network_the_model_still_answers(tmp_path: Path) -> None:
    finder = Finder.load(dataclasses.replace(SETTINGS, artefacts=tmp_path))
    assert finder.answer(parse({"canary": True}), None)["can"] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (["faces"], "JSON object"),
        ({}, "find"),
        ({"find": []}, "find"),
        ({"find": "faces"}, "find"),
        ({"find": [["faces"]]}, "find"),
        ({"find": ["cats"]}, "find"),
        ({"find": ["faces"], "least": 1}, "least"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        parse(fields)


@pytest.mark.parametrize(
    "image", [None, np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, image: Any) -> None:
    finder = Finder.load(dataclasses.replace(SETTINGS, artefacts=tmp_path))
    with pytest.raises(InvalidArgument, match="IMAGE"):
        finder.answer(parse({"find": ["faces"]}), image)


def test_a_picture_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    finder = Finder.load(dataclasses.replace(SETTINGS, artefacts=tmp_path, max_pixels=99))
    with pytest.raises(InvalidArgument, match="10x10 is more than 99 pixels"):
        finder.answer(parse({"find": ["faces"]}), np.zeros((10, 10, 3), np.uint8))


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.2])
def test_a_square_shows_what_lies_where_it_says(turn: float) -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[118:123, 178:183] = 255
    square = Square(150, 100, 120, turn)
    rows, columns = np.nonzero(square.of(image, 240)[:, :, 0] > 128)
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5], np.float32) / 240
    assert np.abs(square.to_picture(middle) - (180.5, 120.5)).max() < 0.5


def test_smaller_views_leave_nothing_out() -> None:
    image = np.zeros((300, 700, 3), np.uint8)
    seen = np.zeros((300, 700), bool)
    for square in list(views(image, 200, 0.6, 0.35))[1:]:
        top, left = max(0, int(square.y - square.side / 2)), max(0, int(square.x - square.side / 2))
        seen[top : int(square.y + square.side / 2), left : int(square.x + square.side / 2)] = True
    assert seen.all()


def test_lines_come_as_one_reads_a_page() -> None:
    def line(left: float, top: float) -> Any:
        return np.array([[left, top], [left + 50, top], [left + 50, top + 20], [left, top + 20]], np.float32)

    boxes = [line(0, 60), line(80, 3), line(0, 0), line(80, 58)]
    assert [tuple(box[0]) for box in in_order(boxes)] == [(0, 0), (80, 3), (0, 60), (80, 58)]
