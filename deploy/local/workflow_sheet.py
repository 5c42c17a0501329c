"""A workflow as a picture: its steps in the order they run in, how each stands, and what it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from deploy.local.contact_sheet import FAINT, INK, PAPER, Picture, fitted, font, over_squares

WIDTH, _MARGIN, _BETWEEN, _GAP, _HEAD = 1000, 28, 36, 20, 58
_TALLEST, _SLOTS_IN_A_ROW = 190, 5
_CARD, _EDGE = (255, 255, 255), (224, 222, 216)
_COLOURS = {
    "PENDING": (176, 174, 168),
    "RUNNING": (46, 110, 200),
    "WAITING": (214, 146, 24),
    "COMPLETED": (44, 140, 84),
    "CACHED": (32, 132, 148),
    "FAILED": (198, 52, 46),
}
Made = Mapping[str, Sequence[Picture]]
"""Pictures by the names of steps and slots."""


class _StepCard(NamedTuple):
    """What is to be seen of one step; `picture` is all of it."""

    step: dict[str, Any]
    picture: Picture
    left: int
    top: int


def draw(title: str, workflow: Mapping[str, Any], made: Made) -> Picture:
    """`workflow` is as the API shows it."""
    columns = _columns(workflow["steps"])
    width = (WIDTH - 2 * _MARGIN - _BETWEEN * (len(columns) - 1)) // len(columns)
    cards = {}
    for number, steps in enumerate(columns):
        top = _HEAD
        for step in steps:
            picture = _card(step, made, width)
            cards[step["step_id"]] = _StepCard(step, picture, _MARGIN + number * (width + _BETWEEN), top)
            top += picture.height + _GAP
    height = max(card.top + card.picture.height for card in cards.values()) + _MARGIN
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    write = ImageDraw.Draw(sheet)
    write.text((_MARGIN, 16), fitted(title, WIDTH - 200, 22), fill=INK, font=font(22))
    write.text((WIDTH - _MARGIN, 20), workflow["status"], fill=_colour(workflow["status"]), font=font(17), anchor="ra")
    for card in cards.values():
        for name in card.step["dependencies"]:
            _arrow(write, cards[name], card)
    for card in cards.values():
        sheet.paste(card.picture, (card.left, card.top))
    return sheet


def stacked(sheets: Sequence[Picture]) -> Picture:
    """One above the other."""
    whole = Image.new("RGB", (WIDTH, sum(sheet.height for sheet in sheets)), PAPER)
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return whole


def _columns(steps: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Each step behind the last of those it depends on."""
    known = {step["step_id"]: step for step in steps}

    def depth(name: str) -> int:
        return max((depth(before) + 1 for before in known[name]["dependencies"]), default=0)

    depths = {name: depth(name) for name in known}
    return [[known[name] for name in known if depths[name] == place] for place in range(max(depths.values()) + 1)]


def _card(step: dict[str, Any], made: Made, width: int) -> Picture:
    slots = step["slots"]
    shown = _grid(slots, made, width - 16) if slots else _largest(made.get(step["step_id"], ()), width - 16)
    card = Image.new("RGB", (width, 62 + (shown.height + 8 if shown else 0)), _CARD)
    write = ImageDraw.Draw(card)
    write.rectangle((0, 0, width - 1, card.height - 1), outline=_EDGE)
    write.rectangle((0, 0, 4, card.height), fill=_colour(step["status"]))
    write.text((14, 8), fitted(step["step_id"], width - 22, 17), fill=INK, font=font(17))
    said = step["status"].lower() + (f": {len(slots)} tasks" if slots else "")
    write.text((14, 33), fitted(said, width - 22, 14), fill=_colour(step["status"]), font=font(14))
    if shown:
        card.paste(shown, ((width - shown.width) // 2 + 2, 58))
    return card


def _grid(slots: Sequence[dict[str, Any]], made: Made, width: int) -> Picture:
    """A tile for each slot; those that made nothing have the colour of their status."""
    across = min(len(slots), _SLOTS_IN_A_ROW if len(slots) > 4 else 2)
    side = (width - 6 * (across - 1)) // across
    rows = -(-len(slots) // across)
    grid = Image.new("RGB", (width, rows * (side + 6)), _CARD)
    for number, slot in enumerate(slots):
        place = (number % across * (side + 6), number // across * (side + 6))
        pictures = made.get(slot["slot_id"], ())
        tile = _plain(pictures[0]) if pictures else Image.new("RGB", (8, 8), _colour(slot["status"]))
        grid.paste(tile.resize((side, side), Image.Resampling.LANCZOS), place)
    return grid


def _largest(pictures: Sequence[Picture], width: int) -> Picture | None:
    """Side by side, as large as there is room for."""
    if not pictures:
        return None
    ratio = sum(picture.width / picture.height for picture in pictures)
    height = min(_TALLEST, int((width - 6 * (len(pictures) - 1)) / ratio))
    row = Image.new("RGB", (round(height * ratio) + 6 * (len(pictures) - 1), height), _CARD)
    left = 0
    for picture in pictures:
        size = (max(1, round(picture.width * height / picture.height)), height)
        row.paste(_plain(picture.resize(size, Image.Resampling.LANCZOS)), (left, 0))
        left += size[0] + 6
    return row


def _plain(picture: Picture) -> Picture:
    return over_squares(picture) if picture.mode == "RGBA" else picture.convert("RGB")


def _arrow(write: ImageDraw.ImageDraw, begin: _StepCard, end: _StepCard) -> None:
    start = (begin.left + begin.picture.width, begin.top + 30)
    tip = (end.left - 3, end.top + 30)
    bend = tip[0] - _BETWEEN // 2
    write.line((start, (bend, start[1]), (bend, tip[1]), tip), fill=FAINT, width=2)
    write.polygon([(tip[0] - 9, tip[1] - 6), tip, (tip[0] - 9, tip[1] + 6)], fill=FAINT)


def _colour(status: str) -> tuple[int, int, int]:
    return _COLOURS.get(status, FAINT)
