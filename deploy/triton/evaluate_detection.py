"""Judges the networks that find faces and people and read text, on pictures in known places.

`python deploy/triton/evaluate_detection.py PHOTOGRAPHS [--sheet FILE]`, in the models' environment, adds its figures to
out/photographs/report.json and fails where one falls short. PHOTOGRAPHS is scikit-image's data folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from photographs import report
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent / "runtime"))
from artefacts import place, registry
from detecting.faces import FaceFinder
from detecting.finder import FOR_PEOPLE, FOR_TEXT
from detecting.people import PersonFinder
from detecting.ssd import overlap
from detecting.text import TextReader
from detection_pictures import BLANKS, WITHOUT_FACES, Label, Photographs, Pixels, Posed, labels, product

SAME = 0.3
HELD_OUT = 2_026
LEAST_FACES, MOST_FALSE, LEAST_CHARACTERS = 0.95, 0.01, 0.95


def faces_found_share(finder: FaceFinder, posed: Iterable[Posed]) -> float:
    return float(np.mean([any(overlap(one.box, it.face) > SAME for one in finder.find(it.picture)) for it in posed]))


def false_faces(finder: FaceFinder, pictures: Iterable[tuple[str, Pixels]]) -> dict[str, bool]:
    """Of each picture without a face, whether one is found."""
    return {name: bool(finder.find(picture)) for name, picture in pictures}


def characters_share(reader: TextReader, shown: Iterable[Label]) -> float:
    """Of all characters but spaces those that are read, by edit distance, lines in their order."""
    wrong, all_of_them = 0, 0
    for label in shown:
        read = "".join(line.text for line in reader.read(label.picture))
        expected, read = ("".join(text.split()) for text in (label.text, read))
        wrong += min(distance(expected, read), len(expected))
        all_of_them += len(expected)
    return 1 - wrong / all_of_them


def distance(one: str, other: str) -> int:
    """Signs to add, remove or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, sign in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, against in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (sign != against))
    return row[-1]


def blanks_read(reader: TextReader, every: int = 1, seed: int = 1) -> list[str]:
    """What is read on products without a word."""
    return [line.text for number in range(0, BLANKS, every) for line in reader.read(product(number, seed))]


def load() -> tuple[FaceFinder, PersonFinder, TextReader]:
    for_people, for_text = (registry()[name].verified(place()) for name in (FOR_PEOPLE, FOR_TEXT))
    return FaceFinder.load(for_people, 2), PersonFinder.load(for_people, 2), TextReader.load(for_text, 2)


def held_out(faces: FaceFinder, reader: TextReader, photographs: Photographs) -> dict[str, float]:
    """The same of faces, crops, drawings and labels that no threshold was chosen on."""
    others = ((name, picture) for name, picture in photographs.products(seed=HELD_OUT) if name not in WITHOUT_FACES)
    false = false_faces(faces, others)
    print("held out, a face is seen in:", ", ".join(name for name, found in false.items() if found) or "none of them")
    return {
        "faces_found_share": faces_found_share(faces, photographs.unused_faces()),
        "false_faces_share": round(float(np.mean(list(false.values()))), 4),
        "ocr_characters_share": round(characters_share(reader, labels(seed=HELD_OUT)), 4),
        "ocr_blank_reads": len(blanks_read(reader, seed=HELD_OUT)),
    }


def figures(faces: FaceFinder, reader: TextReader, photographs: Photographs) -> dict[str, float]:
    false = false_faces(faces, photographs.products())
    print("a face is seen in:", ", ".join(name for name, found in false.items() if found) or "none of them")
    blanks = blanks_read(reader)
    print("read on products without a word:", blanks or "nothing")
    return {
        "faces_found_share": faces_found_share(faces, photographs.faces()),
        "false_faces_share": float(np.mean(list(false.values()))),
        "ocr_characters_share": round(characters_share(reader, labels()), 4),
        "ocr_blank_reads": len(blanks),
    }


def sheet(faces: FaceFinder, people: PersonFinder, reader: TextReader, photographs: Photographs) -> Image.Image:
    """Boxes drawn into photographs, a mosaic, composed pictures and labels: faces green, people blue, text red."""
    wild = cv2.resize(np.vstack([np.hstack(list(photographs.wild()[n : n + 6])) for n in range(1, 37, 6)]), (480, 480))
    shown = [photographs.photograph(name) for name in ("astronaut.png", "camera.png", "chelsea.png", "page.png")]
    shown += [np.repeat(wild[:, :, None], 3, axis=2), *(posed.picture for posed in photographs.faces(every=13))]
    shown += [label.picture for label in labels(every=17)]
    tiles = [_tile(_drawn_into(picture, faces, people, reader)) for picture in shown]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % 5)
    return Image.fromarray(np.vstack([np.hstack(tiles[row : row + 5]) for row in range(0, len(tiles), 5)]))


def _drawn_into(picture: Pixels, faces: FaceFinder, people: PersonFinder, reader: TextReader) -> Pixels:
    page, wide = picture.copy(), max(1, max(picture.shape[:2]) // 160)
    found = faces.find(picture)
    for colour, boxes in (((0, 80, 255), people.find(picture, found)), ((0, 200, 0), found)):
        for one in boxes:
            left, top, right, bottom = map(int, one.box)
            cv2.rectangle(page, (left, top), (right, bottom), colour, wide)
    for line in reader.read(picture):
        cv2.polylines(page, [np.rint(line.corners).astype(np.int32)], True, (230, 0, 0), wide)
    return page


def _tile(picture: Pixels, side: int = 300) -> Pixels:
    scale = side / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.full((side, side, 3), 255, np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[:side, :side]
    return tile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path, help="scikit-image's data folder")
    parser.add_argument("--sheet", type=Path, help="where to write pictures with boxes drawn in, as JPEG")
    given = parser.parse_args()
    (faces, people, reader), photographs = load(), Photographs(given.photographs)
    if given.sheet:
        sheet(faces, people, reader, photographs).save(given.sheet, quality=85)
    made, apart = figures(faces, reader, photographs), held_out(faces, reader, photographs)
    missed = {f"held out: {what}": is_short for what, is_short in shortfalls(apart).items()}
    report(made, {**shortfalls(made), **missed}, held_out=apart)


def shortfalls(made: dict[str, float]) -> dict[str, bool]:
    return {
        f"of the faces {LEAST_FACES} or more are to be found": made["faces_found_share"] < LEAST_FACES,
        f"faces are to be seen on {MOST_FALSE} of other pictures at most": made["false_faces_share"] > MOST_FALSE,
        f"of the characters {LEAST_CHARACTERS} or more are to be read": made["ocr_characters_share"] < LEAST_CHARACTERS,
        "nothing is to be read where nothing is written": made["ocr_blank_reads"] > 0,
    }


if __name__ == "__main__":
    main()
