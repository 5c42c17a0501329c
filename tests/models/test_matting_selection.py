"""Two networks, for drawn pictures and for photographs: the right one is believed, and only a whole file is used."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from artefacts import place, registry
from matting import Matter, MattingError, MattingRequest, Settings

sys.path.append(str(Path(__file__).resolve().parents[2] / "deploy/triton/starter"))
from evaluate_matte import catalogue_scenes, composites, score

ROOT = Path(__file__).resolve().parents[2]
BOTH = Settings.from_environment({})
U2NETP = registry()["u2netp"]
pytestmark = pytest.mark.skipif(not U2NETP.present(), reason="the network for photographs could not be had at set-up")


@pytest.fixture(scope="module")
def matter() -> Matter:
    return Matter.from_settings(BOTH)


def photograph(name: str) -> np.ndarray:
    """One of those that scikit-image ships, uint8 RGB [H, W, 3]."""
    [path] = ROOT.glob(f".local/app/lib/python3*/site-packages/skimage/data/{name}")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    "name", ["astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
)
def test_a_photograph_is_cut_out_by_the_network_for_photographs(matter: Matter, name: str) -> None:
    info = matter.cut(photograph(name), MattingRequest()).info
    assert info["model"]["name"] == "u2netp"
    assert info["model"]["sha256"] == U2NETP.files["rembg/u2netp.onnx"]
    assert info["model"]["licence"] == "Apache-2.0"


def test_the_rocket_is_found_in_the_night_sky(matter: Matter) -> None:
    matte = matter.cut(photograph("rocket.jpg"), MattingRequest()).matte / 255
    assert 0.01 < matte.mean() < 0.1
    assert matte[160:380, 310:335].mean() > 0.6


def test_the_flag_beside_the_astronaut_is_left_out(matter: Matter) -> None:
    matte = matter.cut(photograph("astronaut.png"), MattingRequest()).matte / 255
    assert matte[:150, :60].mean() < 0.1
    assert matte[60:160, 190:260].mean() > 0.95


def test_drawn_pictures_are_cut_out_no_worse_than_by_the_starter_alone(matter: Matter) -> None:
    alone = Matter.from_settings(Settings())
    scenes = [*catalogue_scenes(20), *composites(40)]
    both, starter = (
        np.mean([score(scene, one.cut(scene.picture, MattingRequest())).iou for scene in scenes])
        for one in (matter, alone)
    )
    assert both >= starter - 0.002


def test_without_the_network_for_photographs_the_starter_goes_on(tmp_path: Path) -> None:
    alone = Matter.from_settings(Settings(artefacts=tmp_path))
    assert alone.photographs is None
    assert alone.cut(photograph("coffee.png"), MattingRequest()).info["model"]["name"] != "u2netp"


def test_a_swapped_file_is_refused_by_its_hash(tmp_path: Path) -> None:
    shutil.copytree(place() / "u2netp", tmp_path / "u2netp")
    with (tmp_path / "u2netp" / "u2netp.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02\x03")
    with pytest.raises(
        MattingError, match=r"u2netp\.onnx is not the file that the registry names.*make setup"
    ) as caught:
        Matter.from_settings(Settings(artefacts=tmp_path))
    assert caught.value.reason == "MODEL_UNUSABLE"


def test_a_network_of_the_operators_own_is_believed_alone() -> None:
    assert Settings.from_environment({"MATTE_MODEL_PATH": "/models/mine.onnx"}).artefacts is None


@pytest.mark.field("rembg-model")
def test_a_network_that_is_named_is_believed_whatever_the_picture(matter: Matter) -> None:
    scene = next(catalogue_scenes(1))
    by_itself = matter.cut(scene.picture, MattingRequest()).info["model"]["name"]
    named = matter.cut(scene.picture, MattingRequest.parse('{"model": "u2netp"}')).info["model"]["name"]
    assert (by_itself, named) == (matter.network.description["name"], "u2netp")
    starter = MattingRequest(model=matter.network.description["name"])
    assert matter.cut(photograph("coffee.png"), starter).info["model"]["name"] == starter.model


@pytest.mark.field("rembg-model")
def test_a_network_that_is_not_here_is_refused_by_name_with_those_that_are(matter: Matter) -> None:
    with pytest.raises(MattingError, match=r"'sam'.*only atelier-starter-matte, u2netp") as caught:
        matter.cut(photograph("coffee.png"), MattingRequest(model="sam"))
    assert caught.value.reason == "MATTE_MODEL_MISSING"
    with pytest.raises(MattingError, match="model must be the name"):
        MattingRequest.parse('{"model": 3}')


def test_the_operators_own_network_goes_by_the_name_of_its_file(tmp_path: Path) -> None:
    shutil.copy(place() / "u2netp" / "u2netp.onnx", tmp_path / "u2net_human_seg.onnx")
    own = Matter.from_settings(Settings.from_environment({"MATTE_MODEL_PATH": str(tmp_path / "u2net_human_seg.onnx")}))
    assert own.cut(photograph("camera.png"), MattingRequest(model="u2net_human_seg")).info["method"]
    with pytest.raises(MattingError, match="no matte network 'u2netp'"):
        own.cut(photograph("camera.png"), MattingRequest(model="u2netp"))
