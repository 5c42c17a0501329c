"""What the gallery shows: one task of each type that runs here without a key, with the pictures it starts from.

Photographs are those that scikit-image ships, whose licences it tells; everything else is drawn by the system itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw
from skimage import data

Picture: TypeAlias = Image.Image
# Draws a picture with the system itself, from a prompt and a seed.
Drawer: TypeAlias = Callable[[str, int], Picture]
# Stands in a request for the picture that the one before it made.
PREVIOUS = "…"
CREDITS = {
    "astronaut": "NASA, public domain",
    "chelsea": "Stefan van der Walt, CC0",
    "coffee": "Rachel Michetti, CC0",
    "camera": "Lav Varshney, CC0",
    "rocket": "SpaceX, public domain",
}
"""Of each photograph that is shown: who took it, and its licence."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """`inputs` maps a field of the request to the picture it names. `then` are requests that go on with what was made.

    `photograph` is the name of the one that is shown, if one is.
    """

    name: str
    title: str
    request: dict[str, Any]
    inputs: dict[str, Callable[[Drawer], Picture]] = field(default_factory=dict)
    note: str = ""
    then: tuple[dict[str, Any], ...] = ()
    photograph: str = ""

    @property
    def requests(self) -> tuple[dict[str, Any], ...]:
        return self.request, *self.then

    @property
    def task_type(self) -> str:
        return str(self.request["task_type"])


def photograph(name: str, draw: Drawer) -> Picture:
    return Image.fromarray(getattr(data, name)()).convert("RGB")


def part(name: str, box: tuple[int, int, int, int], size: tuple[int, int], draw: Drawer) -> Picture:
    """Of a photograph, as if it were all that there is, and no larger than `size`."""
    return photograph(name, draw).crop(box).resize(size, Image.Resampling.LANCZOS)


def drawn(prompt: str, seed: int, side: int, draw: Drawer) -> Picture:
    picture = draw(prompt, seed)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def middle_mask(side: int, draw: Drawer) -> Picture:
    """White over the middle, where the product is."""
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).rectangle((side * 0.1, side * 0.1, side * 0.95, side * 0.9), fill=255)
    return mask.convert("RGB")


def warm_shelf(draw: Drawer) -> Picture:
    """A catalogue photograph whose paper turned yellow, with a soft shadow under the product."""
    picture = drawn("a photo of a blue plain mug on a white background", 8, 512, draw)
    pixels = np.asarray(picture).astype(np.float32) * (1.0, 0.94, 0.80)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def plain(colour: tuple[int, int, int], draw: Drawer) -> Picture:
    return Image.new("RGB", (256, 256), colour)


MUG = "a photo of a blue plain mug on a wooden table"
EXHIBITS = (
    Exhibit(
        "generation",
        "“a red dotted dress on a light blue background”",
        {"task_type": "GENERATION", "prompt": "a red dotted dress on a light blue background", "seed": 4},
    ),
    Exhibit(
        "editing",
        "“a red striped mug on a wooden table”",
        {
            "task_type": "EDITING",
            "prompt": "a photo of a red striped mug on a wooden table",
            "edit_strength": 60,
            "seed": 4,
        },
        {"base_image": partial(drawn, MUG, 3, 128)},
    ),
    Exhibit(
        "editing_masked",
        "“a green dotted mug”, inside a mask",
        {"task_type": "EDITING", "prompt": "a photo of a green dotted mug on a wooden table", "seed": 4},
        {"base_image": partial(drawn, MUG, 3, 512), "mask_image": partial(middle_mask, 512)},
    ),
    Exhibit(
        "refine",
        "four times larger, tile by tile",
        {"task_type": "REFINE", "upscale_factor": 4, "refine_strategy": "creative", "upscale_denoise": 0.15},
        {"base_image_url": partial(drawn, "a photo of a purple checkered hat on a beige background", 5, 128)},
    ),
    Exhibit(
        "detail_enhancer",
        "the shirt's pattern, from a reference",
        {"task_type": "DETAIL_ENHANCER", "detail_label": "tshirt"},
        {
            "base_image": partial(drawn, "a photo of a green plain t-shirt on a white background", 6, 256),
            "reference_image": partial(drawn, "a photo of a green striped t-shirt on a white background", 6, 256),
        },
    ),
    Exhibit(
        "face_enhancer",
        "the face found, refined and blended back",
        {"task_type": "FACE_ENHANCER"},
        {"input_image": partial(photograph, "astronaut")},
        "The starter model has never seen a face: what it loses is put back, so next to nothing changes, and the "
        "answer says PICTURE_UNLIKE_MODEL; with a model of faces (MODEL_PATH) it is replaced where SSIM allows.",
        photograph="astronaut",
    ),
    Exhibit(
        "background_removal",
        "the subject on nothing",
        {"task_type": "BACKGROUND_REMOVAL"},
        {"input_image_paths": partial(photograph, "coffee")},
        photograph="coffee",
    ),
    Exhibit(
        "background_change",
        "a meadow and a town become one colour",
        {"task_type": "BACKGROUND_FIX", "strategy": "FLAT_FILL", "background_color": "#a9c7d6"},
        {"base_image": partial(photograph, "camera")},
        photograph="camera",
    ),
    Exhibit(
        "enlarging",
        "a photograph four times larger, faithfully",
        {"task_type": "REFINE", "upscale_factor": 4, "refine_strategy": "faithful"},
        {"base_image_url": partial(part, "chelsea", (120, 60, 360, 290), (120, 115))},
        photograph="chelsea",
    ),
    Exhibit(
        "margins",
        "3:4 around the subject, with air above it",
        {
            "task_type": "IMAGE_ADJUSTER",
            "mode": "crop",
            "target_width": 300,
            "target_height": 400,
            "margin_top": 0.15,
        },
        {"input_image": partial(photograph, "rocket")},
        photograph="rocket",
    ),
    Exhibit(
        "chain",
        "from a snapshot to a shop's picture: cut out, framed, twice as large",
        {"task_type": "BACKGROUND_REMOVAL"},
        {"input_image_paths": partial(part, "coffee", (0, 0, 600, 400), (300, 200))},
        "Each task takes the stored result of the one before.",
        then=(
            {
                "task_type": "IMAGE_ADJUSTER",
                "input_image": PREVIOUS,
                "mode": "pad",
                "target_width": 240,
                "target_height": 240,
                "margin_top": 0.1,
                "margin_bottom": 0.1,
                "margin_left": 0.1,
                "margin_right": 0.1,
            },
            {"task_type": "REFINE", "base_image_url": PREVIOUS, "upscale_factor": 2},
        ),
        photograph="coffee",
    ),
    Exhibit(
        "background_fix",
        "the yellowed paper as grey as the palette",
        {"task_type": "BACKGROUND_FIX"},
        {"base_image": warm_shelf, "palette_image": partial(plain, (226, 228, 232))},
    ),
    Exhibit(
        "image_adjuster",
        "4:5, a fifth of air around the subject",
        {
            "task_type": "IMAGE_ADJUSTER",
            "mode": "pad",
            "target_width": 800,
            "target_height": 1000,
            "margin_top": 0.2,
            "margin_bottom": 0.2,
            "margin_left": 0.2,
            "margin_right": 0.2,
        },
        {"input_image": partial(drawn, "a photo of a yellow plain handbag on a white background", 2, 512)},
    ),
    Exhibit(
        "video_generation",
        "two seconds, the camera pans left",
        {"task_type": "VIDEO_GENERATION", "prompt": "a photo of a red cup, pan left", "duration_seconds": 2, "seed": 1},
        {"input_image_path": partial(photograph, "coffee")},
        photograph="coffee",
    ),
)
