"""Users' own networks: each family's graph is recognised, fed and read as its reference code does, on real sessions."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from matting import Matter, MattingError, Settings
from matting.network import MatteNetwork
from onnx import TensorProto, helper, numpy_helper

IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def save_graph(path: Path, side: int, outputs: list[str], weights: np.ndarray, bias: float = 0.0) -> Path:
    """A network whose n-th output is n + 1 times the weighted sum of the three input planes, plus a bias."""
    tensors = [numpy_helper.from_array(np.array([bias], np.float32), "bias")]
    nodes = []
    for number, name in enumerate(outputs, start=1):
        kernel = (weights * number).reshape(1, 3, 1, 1).astype(np.float32)
        tensors.append(numpy_helper.from_array(kernel, f"kernel{number}"))
        nodes.append(helper.make_node("Conv", ["picture", f"kernel{number}", "bias"], [name]))
    given = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, side, side])
    answers = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, side, side]) for name in outputs]
    graph = helper.make_graph(nodes, "matte", [given], answers, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def load(path: Path, layout: str = "auto") -> MatteNetwork:
    return MatteNetwork.load(Settings(model_path=path, layout=layout, threads=1))


def picture(side: int) -> np.ndarray:
    """A picture at the network's own size, so that no resizing stands between it and the formula."""
    return np.random.default_rng(5).integers(10, 200, (side, side, 3), dtype=np.uint8)


def stretched(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / np.ptp(values)


def test_birefnet_gets_imagenet_planes_and_its_logits_pass_a_sigmoid(tmp_path: Path) -> None:
    weights, image = np.array([0.5, -1.0, 0.25], np.float32), picture(1024)
    network = load(save_graph(tmp_path / "custom.onnx", 1024, ["mask"], weights, bias=0.3))
    logits = ((image / np.float32(255) - IMAGENET_MEAN) / IMAGENET_STD) @ weights + 0.3
    assert network.layout.name == "birefnet"
    np.testing.assert_allclose(network.matte(image), 1 / (1 + np.exp(-logits)), atol=1e-4)


def test_u2net_gets_planes_by_the_pictures_own_peak_and_its_first_of_seven_outputs_is_stretched(tmp_path: Path) -> None:
    weights, image = np.array([1.0, 0.5, -0.25], np.float32), picture(320)
    network = load(save_graph(tmp_path / "custom.onnx", 320, [f"d{n}" for n in range(7)], weights))
    planes = (image / np.float32(image.max()) - IMAGENET_MEAN) / IMAGENET_STD
    assert network.layout.name == "u2net"
    np.testing.assert_allclose(network.layout.prepare(image)[0].transpose(1, 2, 0), planes, atol=1e-5)
    np.testing.assert_allclose(network.matte(image), stretched(planes @ weights), atol=1e-4)


def test_isnet_gets_planes_around_one_half_and_its_first_output_is_stretched(tmp_path: Path) -> None:
    weights, image = np.array([-1.0, 0.5, 0.75], np.float32), picture(1024)
    network = load(save_graph(tmp_path / "custom.onnx", 1024, ["d0", "d1", "d2"], weights))
    planes = image / np.float32(255) - 0.5
    assert network.layout.name == "isnet"
    np.testing.assert_allclose(network.layout.prepare(image)[0].transpose(1, 2, 0), planes, atol=1e-5)
    np.testing.assert_allclose(network.matte(image), stretched(planes @ weights), atol=1e-4)


def test_the_starter_gets_planes_in_0_to_1_and_answers_alpha(tmp_path: Path) -> None:
    weights, image = np.array([0.2, 0.3, 0.4], np.float32), picture(256)
    network = load(save_graph(tmp_path / "custom.onnx", 256, ["matte"], weights))
    assert network.layout.name == "starter"
    np.testing.assert_allclose(network.look(image), image / np.float32(255) @ weights, atol=1e-4)


def test_the_starter_looks_twice_and_the_second_time_mirrored_with_a_margin(tmp_path: Path) -> None:
    class Looks(MatteNetwork):
        def look(self, image: np.ndarray) -> np.ndarray:
            seen.append(image)
            return super().look(image)

    seen: list[np.ndarray] = []
    loaded = load(save_graph(tmp_path / "custom.onnx", 256, ["matte"], np.array([1.0, 0.0, 0.0], np.float32)))
    image = np.zeros((160, 240, 3), np.uint8)
    image[40:120, :80] = 255
    matte = Looks(loaded.session, loaded.layout, loaded.description).matte(image)
    assert [one.shape for one in seen] == [(160, 240, 3), (200, 300, 3)]
    np.testing.assert_array_equal(seen[1][20:180, 30:270][:, ::-1], image)
    assert matte.shape == (171, 256)
    truth = cv2.resize(image[..., 0], (256, 171)) / np.float32(255)
    assert np.abs(matte - truth).mean() < 0.01


@pytest.mark.parametrize(
    ("name", "layout"),
    [("BiRefNet-general-epoch_244", "birefnet"), ("isnet-general-use", "isnet"), ("u2netp", "u2net")],
)
def test_a_file_name_that_says_its_family_goes_before_the_signature(tmp_path: Path, name: str, layout: str) -> None:
    assert load(save_graph(tmp_path / f"{name}.onnx", 1024, ["1959"], np.ones(3))).layout.name == layout


def test_the_setting_goes_before_everything(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "birefnet.onnx", 1024, ["mask"], np.ones(3))
    assert load(path, "isnet").layout.name == "isnet"


@pytest.mark.parametrize("side", [64, 512])
def test_a_signature_of_no_known_family_is_refused_with_the_settings_name(tmp_path: Path, side: int) -> None:
    with pytest.raises(MattingError, match="MATTE_LAYOUT") as refusal:
        load(save_graph(tmp_path / "custom.onnx", side, ["mask"], np.ones(3)))
    assert refusal.value.reason == "MODEL_UNUSABLE"


def test_an_unknown_layout_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MattingError, match="u2net"):
        load(save_graph(tmp_path / "custom.onnx", 320, ["mask"], np.ones(3)), "modnet")


def test_a_missing_model_is_refused_with_its_path_and_the_settings_name(tmp_path: Path) -> None:
    with pytest.raises(MattingError, match=r"nowhere\.onnx; set MATTE_MODEL_PATH"):
        load(tmp_path / "nowhere.onnx")


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(MattingError, match=r"broken\.onnx cannot be loaded"):
        load(path)


def test_a_network_that_answers_not_a_number_fails_and_is_not_taken_for_a_matte(tmp_path: Path) -> None:
    network = load(save_graph(tmp_path / "custom.onnx", 256, ["matte"], np.array([np.nan, 0, 0], np.float32)))
    with pytest.raises(MattingError) as failure:
        network.matte(picture(256))
    assert failure.value.reason == "MODEL_FAILED"


@pytest.mark.parametrize(
    ("weights", "words"),
    [([np.nan, 0, 0], "not one finite matte"), ([0, 0, 0], "the same everywhere"), ([9, 9, 9], "the same everywhere")],
    ids=["nan", "nothing", "everything"],
)
def test_a_network_that_cannot_tell_a_disc_from_its_ground_is_not_loaded(
    tmp_path: Path, weights: list[float], words: str
) -> None:
    path = save_graph(tmp_path / "custom.onnx", 256, ["matte"], np.array(weights, np.float32))
    with pytest.raises(MattingError, match=words) as refusal:
        Matter.from_settings(Settings.from_environment({"MATTE_MODEL_PATH": str(path)}))
    assert refusal.value.reason == "MODEL_UNUSABLE"


def test_the_description_names_the_file_its_hash_and_its_licence(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "mine.onnx", 256, ["matte"], np.ones(3))
    described = MatteNetwork.load(Settings(model_path=path, licence="CC-BY-4.0")).description
    assert described["name"] == "mine"
    assert described["licence"] == "CC-BY-4.0"
    assert described["layout"] == "starter"
    assert len(described["sha256"]) == 64
