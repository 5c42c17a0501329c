"""The whole cut on the committed weights: every size, soft edges, honest confidence, clear refusals."""

import sys
import time
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from artefacts import registry
from matting import Matter, MattingError, MattingRequest, Settings
from matting.combination import border_alone
from matting.network import MatteNetwork
from matting.refinement import refine

sys.path.append(str(Path(__file__).resolve().parents[2] / "deploy/triton/starter"))
from evaluate_matte import catalogue_scenes, composites, hard_scenes, score
from scenes import Scene


@pytest.fixture(scope="module")
def matter() -> Matter:
    return Matter.from_settings(Settings())


@pytest.fixture(scope="module")
def product() -> Scene:
    return next(catalogue_scenes(1))


class Wrong:
    """The committed network's double that sees the subject where it is not."""

    def __init__(self, network: MatteNetwork) -> None:
        self.network, self.description, self.draws = network, network.description, network.draws

    def matte(self, image: np.ndarray) -> np.ndarray:
        return np.roll(self.network.matte(image), 110, axis=1)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 3000), (3000, 1), (3, 5), (7, 9), (8, 8), (31, 900), (257, 255), (640, 480)]
)
def test_a_picture_of_any_size_gets_a_matte_of_its_own_size(matter: Matter, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for request in (MattingRequest(), MattingRequest("network", refine=False), MattingRequest("border")):
        cut = matter.cut(image, request)
        assert cut.matte.shape == shape
        assert cut.matte.dtype == np.uint8
        assert 0 <= cut.info["confidence"] <= 1


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_colour_has_no_subject_to_be_sure_of(matter: Matter, value: Any) -> None:
    cut = matter.cut(np.full((200, 300, 3), value, np.uint8), MattingRequest())
    assert cut.info["confidence"] < 0.5


def test_catalogue_pictures_never_trained_on_are_cut_out_with_an_overlap_of_95_percent(matter: Matter) -> None:
    cuts = [(scene, matter.cut(scene.picture, MattingRequest())) for scene in catalogue_scenes(100)]
    scores = [score(scene, cut) for scene, cut in cuts]
    assert np.mean([one.iou for one in scores]) >= 0.95
    assert np.median([one.iou for one in scores]) >= 0.98
    assert np.mean([one.confidence for one in scores]) >= 0.6


def test_varied_composites_never_trained_on_are_cut_out_with_an_overlap_of_95_percent(matter: Matter) -> None:
    scores = [score(scene, matter.cut(scene.picture, MattingRequest())) for scene in composites(100)]
    assert np.mean([one.iou for one in scores]) >= 0.95
    assert np.median([one.iou for one in scores]) >= 0.98


def test_hard_scenes_that_are_cut_out_badly_are_trusted_less(matter: Matter) -> None:
    scores = [score(scene, matter.cut(scene.picture, MattingRequest())) for scene in hard_scenes(40)]
    overlaps, told = np.array([one.iou for one in scores]), np.array([one.confidence for one in scores])
    assert np.median(overlaps) >= 0.9
    assert told[overlaps >= 0.9].mean() > told[overlaps < 0.6].mean() + 0.1


def test_edges_are_soft_and_the_rest_is_decided(matter: Matter, product: Scene) -> None:
    matte = matter.cut(product.picture, MattingRequest()).matte
    soft = float(((matte > 10) & (matte < 245)).mean())
    assert 0.001 < soft < 0.15
    assert matte.min() == 0
    assert matte.max() == 255


def test_refinement_brings_the_matte_nearer_to_the_truth(matter: Matter) -> None:
    coarse, fine = [], []
    for scene in catalogue_scenes(4):
        coarse.append(score(scene, matter.cut(scene.picture, MattingRequest("network", refine=False))).error)
        fine.append(score(scene, matter.cut(scene.picture, MattingRequest("network"))).error)
    assert np.mean(fine) < np.mean(coarse)


@pytest.mark.field("bristles")
def test_before_a_texture_no_bristles_stick_out_of_an_edge_and_before_a_plain_wall_hair_stays() -> None:
    """A dark disc before light boards with dark joints two pixels wide, and hair before a wall of one colour."""
    disc = np.zeros((400, 400), np.uint8)
    cv2.circle(disc, (200, 200), 110, 255, -1, cv2.LINE_AA)
    boards = np.full((400, 400, 3), (190, 130, 80), np.uint8)
    boards[::6], boards[1::6] = (60, 35, 20), (60, 35, 20)
    # What a coarse matte is: a few pixels too large, and soft.
    coarse = cv2.GaussianBlur(cv2.dilate(disc, np.ones((11, 11))), (0, 0), 4).astype(np.float32) / 255
    alpha = refine(laid(boards, disc, (120, 40, 25)), coarse)
    ring = (cv2.dilate(disc, np.ones((21, 21))) > 0) & (cv2.dilate(disc, np.ones((5, 5))) == 0)
    bristles = np.abs(np.diff(alpha, axis=0))[ring[1:]]
    assert bristles.mean() < 0.06
    hairy = disc.copy()
    for x in range(120, 281, 8):
        cv2.line(hairy, (x, 130), (x, 60), 255, 2, cv2.LINE_AA)
    wall = np.full((400, 400, 3), (200, 195, 190), np.uint8)
    soft = cv2.GaussianBlur(cv2.dilate(hairy, np.ones((7, 7))), (0, 0), 5).astype(np.float32) / 255
    strands = refine(laid(wall, hairy, (70, 45, 30)), soft)[70:85]
    assert strands[hairy[70:85] == 255].mean() > 0.8
    assert strands[hairy[70:85] == 0].mean() < 0.3


def laid(ground: Any, alpha: Any, colour: Any) -> Any:
    share = alpha[..., None].astype(np.float32) / 255
    return np.rint(ground * (1 - share) + np.float32(colour) * share).astype(np.uint8)


def test_methods_that_disagree_give_a_low_confidence(matter: Matter, product: Scene) -> None:
    sure = matter.cut(product.picture, MattingRequest())
    torn = Matter(cast(MatteNetwork, Wrong(matter.network)), matter.max_pixels).cut(product.picture, MattingRequest())
    assert sure.info["iou_between_methods"] > 0.8
    assert sure.info["confidence"] > 0.6
    assert torn.info["iou_between_methods"] < 0.5
    assert torn.info["confidence"] < 0.5


def test_the_same_picture_gets_the_same_matte_again(matter: Matter, product: Scene) -> None:
    first, second = (matter.cut(product.picture, MattingRequest()) for _ in range(2))
    np.testing.assert_array_equal(first.matte, second.matte)


def test_a_canary_runs_the_network_alone(matter: Matter, product: Scene) -> None:
    info = matter.cut(product.picture, MattingRequest(canary=True)).info
    assert info["method"] == "network"
    assert info["iou_between_methods"] is None
    assert set(info["ms"]) == {"network", "total"}


def test_a_canary_says_which_networks_answer(matter: Matter, product: Scene) -> None:
    """As the registry knows them, and one that it does not know as its own file says."""
    [known] = matter.cut(product.picture, MattingRequest(canary=True)).info["models"]
    assert known == registry()["atelier-starter-matte"].served()
    own = MatteNetwork(matter.network.session, matter.network.layout, {"name": "mine", "sha256": "0", "licence": "x"})
    both = (
        Matter(matter.network, matter.max_pixels, own).cut(product.picture, MattingRequest(canary=True)).info["models"]
    )
    assert both[1] | {"source": ""} == {
        "name": "mine",
        "sha256": "0",
        "licence": "x",
        "serves": "segmentation",
        "made_for": "",
        "source": "",
        "upstream": "",
    }
    assert "models" not in matter.cut(product.picture, MattingRequest()).info


def test_the_border_method_needs_no_network(product: Scene) -> None:
    matte = border_alone(product.picture).matte
    truth = product.alpha > 127
    assert ((matte > 0.5) & truth).sum() / ((matte > 0.5) | truth).sum() > 0.7


def test_a_megapixel_costs_less_than_a_second_of_two_cores(matter: Matter, product: Scene) -> None:
    image = np.kron(product.picture, np.ones((4, 4, 1), np.uint8))
    start = time.process_time()
    matter.cut(image, MattingRequest())
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_what_is_no_rgb_picture_is_refused(matter: Matter, image: Any) -> None:
    with pytest.raises(MattingError) as refusal:
        matter.cut(image, MattingRequest())
    assert refusal.value.reason == "INVALID_IMAGE"


def test_a_picture_over_the_limit_is_refused(matter: Matter) -> None:
    with pytest.raises(MattingError, match="21x10 is over 200 pixels") as refusal:
        Matter(matter.network, 200).cut(np.zeros((10, 21, 3), np.uint8), MattingRequest())
    assert refusal.value.reason == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_an_empty_request_means_every_default(text: str) -> None:
    assert MattingRequest.parse(text) == MattingRequest()


def test_a_requests_fields_are_taken_over() -> None:
    assert MattingRequest.parse('{"method": "border", "refine": false}') == MattingRequest("border", refine=False)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "null",
        '"auto"',
        '{"method": "magic"}',
        '{"method": 3}',
        '{"method": ["auto"]}',
        '{"refine": 1}',
        '{"refine": null}',
        '{"canary": "yes"}',
        '{"colour": "red"}',
        "[" * 100_000,
    ],
)
def test_a_request_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(MattingError) as refusal:
        MattingRequest.parse(text)
    assert refusal.value.reason == "INVALID_REQUEST"
