"""The contact sheet of a demonstration: a picture taking shape, each step of a workflow, and a photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from PIL import Image, ImageDraw, ImageFont

Picture: TypeAlias = Image.Image

WIDTH, MARGIN, GAP = 1600, 64, 16
_BETWEEN = 40
MOST_PREVIEWS = 10
THUMBNAIL = (WIDTH - 2 * MARGIN - GAP * (MOST_PREVIEWS - 1)) // MOST_PREVIEWS
PAPER, INK, FAINT = (250, 249, 246), (28, 28, 32), (128, 126, 122)
_SQUARE, _ROW = 24, 190
_TREATED = ("photograph", "background removed", "another ground", "four times larger, a part of it")


class DenoisingPreview(NamedTuple):
    """What was to be seen after a denoising step; steps count from 1."""

    step: int
    picture: Picture


def draw(
    prompt: str,
    previews: Sequence[DenoisingPreview],
    steps: Mapping[str, Picture],
    footer: str,
    treated: Sequence[Picture] = (),
    credit: str = "",
) -> Picture:
    """`previews` are in the order of their steps; the sheet shows at most ten, first and last among them.

    `steps` are what the steps of a workflow made, by their names. `treated` are a photograph, its cut-out, it on
    another ground, and that enlarged; `credit` says whose it is.
    """
    shown = _spread(previews)
    large = _ROW + (THUMBNAIL + 70 if shown else 0)
    chain, strip = _chain(steps), _strip(treated, credit)
    end = large + chain.height + 20
    sheet = Image.new("RGB", (WIDTH, end + strip.height + 70), PAPER)
    write = ImageDraw.Draw(sheet)
    write.text((MARGIN, 52), "Atelier", fill=FAINT, font=font(26))
    write.text((MARGIN, 92), fitted(f"“{prompt}”", WIDTH - 2 * MARGIN, 46), fill=INK, font=font(46))
    for column, (step, preview) in enumerate(shown):
        left = MARGIN + round(column * (WIDTH - 2 * MARGIN - THUMBNAIL) / max(len(shown) - 1, 4))
        sheet.paste(scaled(preview.convert("RGB"), THUMBNAIL), (left, _ROW))
        write.text((left, _ROW + THUMBNAIL + 10), f"denoising {step}", fill=FAINT, font=font(18))
    sheet.paste(chain, (MARGIN, large))
    sheet.paste(strip, (MARGIN, end))
    write.text((MARGIN, end + strip.height + 12), fitted(footer, WIDTH - 2 * MARGIN, 18), fill=FAINT, font=font(18))
    return sheet


def _chain(steps: Mapping[str, Picture]) -> Picture:
    """What each step made, an arrow between one and the next."""
    side = (WIDTH - 2 * MARGIN - _BETWEEN * (len(steps) - 1)) // len(steps)
    chain = Image.new("RGB", (WIDTH - 2 * MARGIN, side + 70), PAPER)
    write = ImageDraw.Draw(chain)
    for number, (name, picture) in enumerate(steps.items()):
        left, middle = number * (side + _BETWEEN), side // 2
        made = scaled(picture, side)
        chain.paste(over_squares(made) if made.mode == "RGBA" else made.convert("RGB"), (left, 0))
        title = f"{number + 1}  {name}   {picture.width} x {picture.height}"
        write.text((left, side + 14), fitted(title, side, 20), fill=FAINT, font=font(20))
        if number:
            point = left - _BETWEEN // 2 + 8
            write.polygon([(point - 16, middle - 12), (point, middle), (point - 16, middle + 12)], fill=FAINT)
    return chain


def _strip(treated: Sequence[Picture], credit: str) -> Picture:
    """The photograph's pictures side by side, of the last one a part at its own pixels."""
    wide = (WIDTH - 2 * MARGIN - GAP * (len(_TREATED) - 1)) // len(_TREATED)
    if not treated:
        return Image.new("RGB", (WIDTH - 2 * MARGIN, 0), PAPER)
    high = wide * treated[0].height // treated[0].width
    strip = Image.new("RGB", (WIDTH - 2 * MARGIN, high + 60), PAPER)
    write = ImageDraw.Draw(strip)
    for number, (picture, title) in enumerate(zip(treated, _TREATED, strict=True)):
        left = number * (wide + GAP)
        last = number == len(_TREATED) - 1
        shown = _middle(picture, wide, high) if last else picture.resize((wide, high), Image.Resampling.LANCZOS)
        strip.paste(over_squares(shown) if shown.mode == "RGBA" else shown.convert("RGB"), (left, 24))
        write.text((left, 34 + high), f"{title} ({credit})" if number == 0 else title, fill=FAINT, font=font(18))
    return strip


def _middle(picture: Picture, width: int, height: int) -> Picture:
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _spread(previews: Sequence[DenoisingPreview]) -> list[DenoisingPreview]:
    """At most ten of them, evenly chosen, first and last among them."""
    count = min(len(previews), MOST_PREVIEWS)
    last = len(previews) - 1
    places = [round(number * last / max(count - 1, 1)) for number in range(count)]
    return [previews[place] for place in places]


def scaled(picture: Picture, side: int) -> Picture:
    """Fitted into a square of `side` pixels; small pictures keep their pixels crisp."""
    factor = side / max(picture.size)
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS if factor < 8 else Image.Resampling.BICUBIC)


def over_squares(cutout: Picture) -> Picture:
    ground = Image.new("RGBA", cutout.size, (255, 255, 255, 255))
    draw = ImageDraw.Draw(ground)
    for top in range(0, cutout.height, _SQUARE):
        for left in range((top // _SQUARE % 2) * _SQUARE, cutout.width, 2 * _SQUARE):
            draw.rectangle((left, top, left + _SQUARE - 1, top + _SQUARE - 1), fill=(222, 222, 222, 255))
    return Image.alpha_composite(ground, cutout).convert("RGB")


def fitted(text: str, width: int, size: int) -> str:
    """The text, cut to one line of that many pixels."""
    face = font(size)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType")
    return font
