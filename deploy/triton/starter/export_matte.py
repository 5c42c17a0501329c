"""Writes a trained matte network as ONNX with its card: `python export_matte.py --checkpoint FILE --out DIR`."""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from matte_network import MatteNetwork
from torch import Tensor, nn

SIDE = 256
LICENCE = "Apache-2.0"


class MatteExport(nn.Module):
    """The network as the runtime calls it: alpha instead of logits, no coarse answer."""

    def __init__(self, network: MatteNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, prior: Tensor) -> Tensor:
        logits, _ = self.network(image, prior)
        return logits.sigmoid()


def load_average(checkpoint: Path) -> tuple[MatteNetwork, dict[str, float]]:
    """The averaged weights in inference mode, and how long they were trained."""
    whole = torch.load(checkpoint, weights_only=True)
    network = MatteNetwork()
    network.load_state_dict(whole["average"])
    return network.eval(), {"steps": whole["step"], "seconds": round(whole["seconds"])}


def export(checkpoint: Path, folder: Path, command: str) -> Path:
    """`segmentation.onnx` and `model.json` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    network, trained = load_average(checkpoint)
    path = folder / "segmentation.onnx"
    torch.onnx.export(
        MatteExport(network), (torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 2, SIDE, SIDE)), str(path), dynamo=False,
        input_names=["image", "prior"], output_names=["matte"], opset_version=17,
        dynamic_axes={name: {0: "n"} for name in ("image", "prior", "matte")},
    )  # fmt: skip
    card = {
        "name": "atelier-starter-matte",
        "licence": LICENCE,
        "layout": "starter",
        "side": SIDE,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trained": trained,
        "command": command,
        "data": "drawn by scenes*.py only; no photographs, no third-party data",
    }
    (folder / "model.json").write_text(json.dumps(card, indent=2) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--command", default="python deploy/triton/starter/build_matte.py --out DIR")
    options = parser.parse_args()
    export(options.checkpoint, options.out, options.command)


if __name__ == "__main__":
    main()
