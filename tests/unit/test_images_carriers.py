"""A recipe and XMP put into a file as it is: pixels, other metadata and whatever is signed or broken stay untouched."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from services.imaging.recipes import HEAD_BYTES, TAIL_BYTES, inscribed, lies_at_end, read_recipe
from services.inference.provenance import DigitalSource, mark, xmp_packet
from services.providers.film_facts import read_facts
from tests.fakes.vendors.films import tiny_film
from tests.unit.test_images_originals import SRGB

GENERATED = DigitalSource.GENERATED
RECIPE = {"seed": 3, "prompt": "ein Würfel, 立方体"}
SAID = b"trainedAlgorithmicMedia"
THEIRS = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description r:about="uuid:1"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    ' xmp:CreatorTool="Vendor 3" photoshop:Credit="Vendor &amp; Sons"/></r:RDF></x:xmpmeta>\n\n<?xpacket end="w"?>'
).encode()
FORMS: list[tuple[str, str, dict[str, Any]]] = [
    ("PNG", "RGB", {}),
    ("PNG", "P", {"optimize": True}),
    ("PNG", "I;16", {}),
    ("JPEG", "RGB", {"quality": 80}),
    ("JPEG", "L", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("WEBP", "RGB", {"quality": 60}),
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"quality": 60}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("GIF", "P", {}),
    ("AVIF", "RGB", {"quality": 50}),
]
NAMES = [f"{form}-{mode}-{'-'.join(options)}" for form, mode, options in FORMS]


def picture(mode: str, width: int = 13, height: int = 9, seed: int = 1) -> Image.Image:
    depth = np.uint16 if mode == "I;16" else np.uint8
    bands = {"RGB": (3,), "RGBA": (4,), "CMYK": (4,)}.get(mode, ())
    values = np.random.default_rng(seed).integers(0, np.iinfo(depth).max, (height, width, *bands), depth)
    if mode == "P":
        made = Image.fromarray(values).convert("P")
        made.putpalette(range(256))
        return made
    return Image.fromarray(values) if mode != "CMYK" else Image.frombytes("CMYK", (width, height), values.tobytes())


def saved(form: str, mode: str, size: tuple[int, int] = (13, 9), **options: Any) -> bytes:
    target = io.BytesIO()
    picture(mode, *size).save(target, form, **options)
    return target.getvalue()


def marked(content: bytes, source: DigitalSource | None = GENERATED) -> bytes:
    parts, beside = mark(content, RECIPE, source)
    assert beside is None, beside
    return b"".join(parts)


def frames_of(content: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(content)) as opened:
        return [frame.copy().tobytes() for frame in ImageSequence.Iterator(opened)]


def info_of(content: bytes) -> dict[Any, Any]:
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        return dict(opened.info)


def stream_of(content: bytes) -> list[bytes]:
    """The compressed pixels as they lie in the file, found by walks of this module's own."""
    if content.startswith(b"\x89PNG"):
        return [body for kind, body in png_chunks(content) if kind in (b"IDAT", b"PLTE", b"fdAT")]
    if content.startswith(b"\xff\xd8"):
        return [content[content.index(b"\xff\xda") :]]
    if content.startswith(b"RIFF"):
        return [body for kind, body in riff_chunks(content) if kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")]
    if content.startswith(b"GIF"):
        colours = 3 << (content[10] & 7) + 1
        return [content[13 : 13 + colours], content[content.rindex(b"\x2c\0\0\0\0") :]]
    return [content]


def packet_of(content: bytes) -> bytes:
    """Pillow looks for no XMP in a GIF: XMP's part 3 says that its packet ends 258 bytes before the block's end."""
    if not content.startswith(b"GIF"):
        packet: bytes = info_of(content)["xmp"]
        return packet
    start = content.index(b"\x21\xff\x0bXMP DataXMP") + 14
    end = content.index(b"\x01\xff\xfe", start)
    assert content[end : end + 258] == b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return content[start:end]


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        yield kind, content[at + 8 : at + 8 + size]
        at += size + 12


def riff_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    at = 12
    while at < len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        yield kind, content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 0, []
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        found.append((kind, content[at + 8 : at + size]))
        at += size
    assert at == len(content)
    return found


@pytest.mark.parametrize(("form", "mode", "options"), FORMS, ids=NAMES)
def test_a_marked_picture_has_its_very_pixels_and_says_how_it_was_made(
    form: str, mode: str, options: dict[str, Any]
) -> None:
    content = saved(form, mode, **options)
    made = marked(content)
    assert frames_of(made) == frames_of(content)
    recipe = read_recipe(made)
    assert recipe is not None and recipe.items() >= RECIPE.items()
    assert recipe["digital_source_type"] == GENERATED.uri
    if form == "AVIF":
        assert made.startswith(content) and any(SAID in body for kind, body in boxes(made) if kind == b"uuid")
    else:
        assert stream_of(made) == stream_of(content)
        assert SAID in packet_of(made)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FORMS), st.integers(1, 70), st.integers(1, 70), st.sampled_from([None, *DigitalSource]))
def test_pictures_of_any_size_keep_their_compressed_pixels(
    form: tuple[str, str, dict[str, Any]], width: int, height: int, source: DigitalSource | None
) -> None:
    name, mode, options = form
    content = saved(name, mode, (width, height), **options)
    made = marked(content, source)
    assert frames_of(made) == frames_of(content)
    assert made.startswith(content) if name == "AVIF" else stream_of(made) == stream_of(content)
    head, tail = made[:HEAD_BYTES], made[-TAIL_BYTES:]
    recipe = read_recipe(head, tail)
    assert recipe is not None and recipe.items() >= RECIPE.items()


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_a_moving_picture_keeps_its_frames_and_its_rounds(form: str) -> None:
    pictures = [picture("RGB", seed=number) for number in range(3)]
    target = io.BytesIO()
    pictures[0].save(target, form, save_all=True, append_images=pictures[1:], duration=100, loop=2)
    made = marked(target.getvalue())
    assert frames_of(made) == frames_of(target.getvalue())
    assert (info_of(made)["loop"], info_of(made)["duration"]) == (2, 100)
    assert read_recipe(made) is not None and SAID in packet_of(made)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_profile_camera_data_and_the_makers_own_words_stay(form: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a coat"
    chunk = {"pnginfo": said(THEIRS)} if form == "PNG" else {"xmp": THEIRS}
    content = saved(form, "RGB", exif=exif.tobytes(), icc_profile=SRGB, **chunk)
    before, after = info_of(content), info_of(marked(content))
    for name in ("exif", "icc_profile"):
        assert after[name] == before[name] != b""
    packet = after["xmp"]
    assert SAID in packet
    theirs, ours = packet.split(b"<rdf:Description", 1)
    assert THEIRS.startswith(theirs) and THEIRS.endswith(ours.split(b"/>", 1)[1])
    # The vendor has said which tool it was.
    assert b"CreatorTool" not in ours and b'rdf:about="uuid:1"' in ours


def test_words_that_cannot_be_added_to_safely_are_left_as_they_are() -> None:
    for theirs in (b"no xml", THEIRS.decode().encode("utf-16"), b"<!DOCTYPE a>" + THEIRS, b"<a>" * 9 + b"</a>" * 9):
        content = saved("JPEG", "RGB", xmp=theirs)
        made = marked(content)
        assert info_of(made)["xmp"] == theirs
        assert read_recipe(made) is not None


def test_who_has_named_the_source_is_not_contradicted() -> None:
    packet = xmp_packet(DigitalSource.ENHANCED, "Vendor 3")
    assert packet is not None
    theirs = packet.encode()
    assert info_of(marked(saved("WEBP", "RGB", xmp=theirs)))["xmp"] == theirs


def test_a_packet_that_would_not_fit_is_not_made_longer() -> None:
    theirs = THEIRS.replace(b"Sons", b"S" * (65_504 - len(THEIRS)))
    made = marked(saved("JPEG", "RGB", xmp=theirs))
    assert info_of(made)["xmp"] == theirs and read_recipe(made) is not None


def test_camera_data_stays_in_front() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a coat"
    content = saved("JPEG", "RGB", exif=exif.tobytes(), icc_profile=SRGB)
    front = content[: content.index(b"\xff\xe2")]
    assert marked(content).startswith(front)


def test_nothing_moves_behind_an_index_of_further_pictures() -> None:
    content = saved("JPEG", "RGB")
    index = b"\xff\xe2" + (60).to_bytes(2) + b"MPF\0" + bytes(54)
    packet = b"http://ns.adobe.com/xap/1.0/\0" + THEIRS
    late = content[:20] + index + b"\xff\xe1" + (len(packet) + 2).to_bytes(2) + packet + content[20:]
    made = marked(late)
    assert made[made.index(b"MPF\0") :] == late[late.index(b"MPF\0") :]


def test_a_simple_webp_becomes_an_extended_one_with_the_flags_of_its_pixels() -> None:
    for mode, alpha in (("RGB", 0), ("RGBA", 0x10)):
        made = marked(saved("WEBP", mode, (301, 17), lossless=True))
        kind, body = next(riff_chunks(made))
        assert (kind, body[0]) == (b"VP8X", 0x04 | alpha)
        assert (int.from_bytes(body[4:7], "little"), int.from_bytes(body[7:10], "little")) == (300, 16)


@cache
def film(*options: str, kind: str = "mp4") -> bytes:
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.mp4", Path(folder) / f"film.{kind}"
        source.write_bytes(tiny_film())
        ffmpeg(str(source), "-c", "copy", *options, str(target))
        return target.read_bytes()


def ffmpeg(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-i", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def decoded(content: bytes) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film"
        path.write_bytes(content)
        return ffmpeg(str(path), "-f", "framemd5", "-")


FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov", "-write_tmcd", "0")
FILMS = [((), "mp4"), (("-movflags", "faststart"), "mp4"), (FRAGMENTS, "mp4"), ((), "mov"), (("-f", "3gp"), "mp4")]


@pytest.mark.parametrize(("options", "kind"), FILMS)
def test_nothing_of_a_film_moves(options: tuple[str, ...], kind: str) -> None:
    content = film(*options, kind=kind)
    made = marked(content)
    index = content[-int.from_bytes(content[-4:]) :] if content[-16:-8].endswith(b"mfro") else b""
    assert made.startswith(content.removesuffix(index)) and made.endswith(index)
    assert decoded(made) == decoded(content)
    assert boxes(made)[: len(boxes(content.removesuffix(index)))] == boxes(content.removesuffix(index))
    assert SAID in made[len(content) - len(index) :]
    if options != FRAGMENTS and kind == "mp4":
        assert read_facts(made) == read_facts(content)


def test_of_a_large_film_the_end_is_enough() -> None:
    content = tiny_film() + struct.pack(">I4s", 3 << 20, b"free") + bytes((3 << 20) - 8)
    made = marked(content)
    assert lies_at_end(made[:HEAD_BYTES]) and read_recipe(made[:HEAD_BYTES], made[-TAIL_BYTES:]) == read_recipe(made)
    assert read_recipe(made[:HEAD_BYTES]) is None


def test_a_films_own_words_are_kept_once() -> None:
    xmp = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    theirs = struct.pack(">I4s", 24 + len(THEIRS), b"uuid") + xmp + THEIRS
    ftyp = int.from_bytes(tiny_film()[:4])
    # In front of the pixels, where nothing may change its length: such a film would be broken, but is one in form.
    made = marked(tiny_film()[:ftyp] + theirs + tiny_film()[ftyp:])
    packets = [body[16:] for kind, body in boxes(made) if kind == b"uuid" and body.startswith(xmp)]
    assert len(packets) == 1 and SAID in packets[0] and b"Vendor &amp; Sons" in packets[0]
    assert made.count(b"<?xpacket begin") == 1
    assert len(made) > len(theirs) + len(tiny_film())
    assert made[ftyp + len(theirs) :].startswith(tiny_film()[ftyp:])


def test_a_large_film_is_not_held_twice() -> None:
    content = tiny_film() + struct.pack(">I4s", 32 << 20, b"mdat") + bytes((32 << 20) - 8)
    tracemalloc.start()
    parts, _ = mark(content, RECIPE, GENERATED)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, parts)) > len(content) and most < 1 << 20


def test_a_large_picture_is_not_held_twice() -> None:
    packet = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + bytes(32 << 20)
    chunk = (len(packet) - 4).to_bytes(4) + packet + zlib.crc32(packet).to_bytes(4)
    small = saved("PNG", "RGB")
    content = small[:33] + chunk + small[33:]
    del packet, chunk
    tracemalloc.start()
    parts, _ = mark(content, RECIPE, GENERATED)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, parts)) > len(content) and most < 1 << 20


def signed_files() -> dict[str, bytes]:
    """Files whose maker put a C2PA manifest in, or says where it lies."""
    png, jpeg, gif, webp = saved("PNG", "RGB"), saved("JPEG", "RGB"), saved("GIF", "P"), saved("WEBP", "RGB")
    segment = b"JP\0\1\0\0\0\1" + b"\0\0\0\x40jumb" + b"\0\0\0\x20jumdc2pa" + bytes(40)
    manifest = b"C2PA" + (4).to_bytes(4, "little") + b"jumb"
    elsewhere = THEIRS.replace(
        b"xmp:CreatorTool=", b'xmlns:d="http://purl.org/dc/terms/" d:provenance="https://x.example/m" xmp:CreatorTool='
    )
    colours = 13 + (3 << (gif[10] & 7) + 1)
    return {
        "png": png[:33] + b"\0\0\0\4caBXjumb\0\0\0\0" + png[33:],
        "jpeg": jpeg[:20] + b"\xff\xeb" + (len(segment) + 2).to_bytes(2) + segment + jpeg[20:],
        "gif": gif[:colours] + b"\x21\xff\x0bC2PA_GIF\1\0\0\4jumb\0" + gif[colours:],
        "webp": webp[:4] + (len(webp) + 4).to_bytes(4, "little") + webp[8:] + manifest,
        "mp4": tiny_film() + b"\0\0\0\x1cuuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"jumb",
        "elsewhere": saved("PNG", "RGB", pnginfo=said(elsewhere)),
    }


def said(packet: bytes) -> PngInfo:
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    return chunks


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "mp4", "elsewhere"])
def test_a_signed_file_stays_as_it_was_signed(kind: str) -> None:
    content = signed_files()[kind]
    parts, beside = mark(content, RECIPE, GENERATED)
    assert b"".join(parts) == content
    told = json.loads(beside or b"{}")
    assert (told["beside_the_file_because"], told["seed"]) == ("its maker signed it (C2PA)", 3)
    assert read_recipe(content) is None


WHOLE = {
    **{name: saved(form, mode, **options) for name, (form, mode, options) in zip(NAMES, FORMS, strict=True)},
    "film": tiny_film(),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_file_that_is_cut_off_stays_as_it_came(name: str, data: st.DataObject) -> None:
    whole = WHOLE[name]
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    # A GIF without its end's mark, or a JPEG without its last two bytes, is cut off, too.
    parts, beside = mark(cut, RECIPE, GENERATED)
    if cut:
        assert b"".join(parts) == cut and beside is not None
    assert read_recipe(cut) is None


@pytest.mark.parametrize("junk", [b"\0\0\0\0", b"\0\0\1\0", b"\xff\xff\xff\xff"])
def test_a_picture_whose_data_would_take_in_what_is_put_behind_it_stays_as_it_came(junk: bytes) -> None:
    whole = WHOLE["AVIF-RGB-quality"]
    length = whole.index(b"iloc") + 24  # of its only piece, in a box with fields of four bytes
    broken = whole[:length] + junk + whole[length + 4 :]
    parts, beside = mark(broken, RECIPE, GENERATED)
    assert b"".join(parts) == broken
    assert json.loads(beside or b"{}")["beside_the_file_because"] == "it is no whole film"


def test_a_picture_of_countless_pieces_is_given_up() -> None:
    piece = b"\0\1\0\1\0\0\xff\xff"
    places = b"\1\0\0\0\0\0\x40\0" + piece * 0x4000
    inner = (8 + len(places)).to_bytes(4) + b"iloc" + places
    content = (
        b"\0\0\0\x10ftypavif\0\0\0\0"
        + (12 + len(inner)).to_bytes(4) + b"meta\0\0\0\0" + inner
        + b"\0\0\0\x08mdat"
    )  # fmt: skip
    _, beside = mark(content, RECIPE, GENERATED)
    assert json.loads(beside or b"{}")["beside_the_file_because"] == "it has too many parts"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.integers(0), st.binary(min_size=1, max_size=12))
def test_a_damaged_file_is_kept_as_it_came_or_marked_around_the_same_bytes(name: str, at: int, junk: bytes) -> None:
    whole = WHOLE[name]
    place = at % len(whole)
    broken = whole[:place] + junk + whole[place + len(junk) :]
    parts, beside = mark(broken, RECIPE, GENERATED)
    made = b"".join(parts)
    if beside is not None:
        assert made == broken
    else:
        assert len(made) > len(broken) and read_recipe(made) is not None
        assert is_read_as(broken, made)


def is_read_as(broken: bytes, made: bytes) -> bool:
    """Whether a decoder sees in `made` what it sees in `broken`, be it an error."""
    if broken[4:8] == b"ftyp" and b"avi" not in broken[:16]:
        return made.startswith(broken)
    return seen(broken) == seen(made)


def seen(content: bytes) -> object:
    try:
        return frames_of(content)
    except Exception as error:  # noqa: BLE001 - whatever a decoder says of a broken file
        return type(error)


@given(st.binary(max_size=400), st.sampled_from([value[:size] for value in WHOLE.values() for size in (12, 40, 90)]))
def test_junk_stays_junk(junk: bytes, head: bytes) -> None:
    for content in (junk, head + junk):
        parts, beside = mark(content, RECIPE, GENERATED)
        assert beside is None or b"".join(parts) == content
        read_recipe(content, junk)


def test_a_file_of_nothing_but_parts_is_given_up() -> None:
    gif = saved("GIF", "P")[:-1] + b"\x21\xfe\0" * ((1 << 20) + 1) + b";"
    _, beside = mark(gif, RECIPE, GENERATED)
    assert json.loads(beside or b"{}")["beside_the_file_because"] == "it has too many parts"


def test_other_kinds_have_their_recipe_beside_them() -> None:
    for content in (b"PK\x03\x04rest", b"\x1aE\xdf\xa3rest", b"", saved("BMP", "RGB"), saved("TIFF", "RGB")):
        parts, beside = mark(content, RECIPE, None)
        assert b"".join(parts) == content
        assert "no place" in json.loads(beside or b"{}")["beside_the_file_because"]


def test_a_file_that_was_marked_before_tells_of_its_last_making() -> None:
    for content in WHOLE.values():
        once = marked(content)
        twice = b"".join(inscribed(once, b'{"seed": 4}', lambda old: None))
        assert read_recipe(twice) == {"seed": 4}
