"""Whatever of a file is not taken is told by its note, and nothing else is: a table of losses and of what is none."""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import numpy as np
import pillow_heif
import pytest
import pytest_asyncio
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from services.common.errors import InvalidRequest
from services.imaging import items
from services.imaging.decoder import DecodeLimits, Decoder
from services.imaging.notes import Note
from tests.corpora.pictures import INKS, WIDE, chunk, rgb_profile, tiff
from tests.corpora.pictures import saved as save
from tests.unit.test_handlers_pictures import opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
pillow_heif.register_heif_opener()

RNG = np.random.default_rng(3)
NUMBERS = RNG.integers(0, 256, (24, 40, 6), np.uint8)
DRAWN = Image.fromarray(NUMBERS[..., :3])
CUT_OUT = Image.fromarray(NUMBERS[..., :4])
LAB = Image.new("LAB", (40, 24), (136, 208, 195))
NAMESPACES = (
    'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" xmlns:cc="http://creativecommons.org/ns#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
    'xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" '
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(DecodeLimits(), workers=1) as opened_decoder:
        yield opened_decoder


def xmp(properties: str = "", inner: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {NAMESPACES} {properties}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def segment(kind: int, body: bytes) -> bytes:
    return bytes((0xFF, kind)) + (len(body) + 2).to_bytes(2) + body


def jpeg(*segments: bytes, picture: Image.Image = DRAWN) -> bytes:
    plain = save(picture, "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def app_xmp(packet: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


def several(first: bytes, *further: tuple[int, bytes]) -> bytes:
    """With an index in front (CIPA DC-007) of the `further` ones and their types."""
    entries_at, count = 50, 1 + len(further)
    index = b"II*\0\x08\0\0\0\x03\0" + struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    index += struct.pack("<HHII", 0xB001, 4, 1, count) + struct.pack("<HHII", 0xB002, 7, 16 * count, entries_at)
    index += bytes(4)
    assert len(index) == entries_at
    size = len(index) + 16 * count
    # SOI, then the segment's marker and length and name.
    counted_from, whole = 2 + 4 + 4, len(first) + size + 8
    entries, at = struct.pack("<IIIHH", 0x030000, whole, 0, 0, 0), whole
    for kind, content in further:
        entries += struct.pack("<IIIHH", kind, len(content), at - counted_from, 0, 0)
        at += len(content)
    indexed = first[:2] + segment(0xE2, b"MPF\0" + index + entries) + first[2:]
    assert len(indexed) == whole
    return indexed + b"".join(content for _, content in further)


GAIN_XMP = jpeg(app_xmp(xmp('hdrgm:Version="1.0" hdrgm:GainMapMax="2.3"')))
GAIN_ISO = jpeg(segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(62)))
SAYS_GAIN = jpeg(app_xmp(xmp('hdrgm:Version="1.0"')))


def of_apple(name: str) -> bytes:
    kind = f"urn:com:apple:photo:2020:aux:{name}"
    return jpeg(app_xmp(xmp(f'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" apdi:AuxiliaryImageType="{kind}"')))


FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x10mdat" + bytes(8)


def photoshop(number: int) -> bytes:
    """A resource of that number (Photoshop file formats, image resource blocks)."""
    return b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", 26) + bytes(26)


def extra(photometric: int, channels: int, *kinds: int, tags: dict[int, tuple[int, Any]] | None = None) -> bytes:
    numbers = NUMBERS[..., :channels]
    return tiff(
        numbers, photometric, {**({338: (3, list(kinds))} if kinds else {}), **(tags or {})}, deflate=False, big=True
    )


def paged(kind: int) -> bytes:
    """A second page, which says that it is of that kind (NewSubfileType)."""
    first, second = (bytearray(extra(2, 3, tags=tags)) for tags in ({}, {254: (4, [kind])}))
    at = int.from_bytes(first[4:8])
    end = at + 2 + 12 * int.from_bytes(first[at : at + 2])
    base = len(first) + len(first) % 2
    first[end : end + 4] = (base + int.from_bytes(second[4:8]) - 8).to_bytes(4)
    body = second[8:]
    directory = int.from_bytes(second[4:8]) - 8
    for entry in range(int.from_bytes(body[directory : directory + 2])):
        place = directory + 2 + 12 * entry
        tag, form, count = struct.unpack(">HHI", body[place : place + 8])
        if tag == 273 or count * {3: 2, 4: 4}[form] > 4:
            value = int.from_bytes(body[place + 8 : place + 12])
            body[place + 8 : place + 12] = (value - 8 + base).to_bytes(4)
    return bytes(first.ljust(base, b"\0") + body)


def bmp(fourth: bytes) -> bytes:
    plain = save(DRAWN.convert("RGBA"), "BMP")
    pixels = bytearray(DRAWN.convert("RGBX").tobytes("raw", "BGRX", 0, -1))
    pixels[3::4] = (fourth * len(pixels))[: len(pixels) // 4]
    head = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
    assert plain[:2] == b"BM"
    return head + struct.pack("<IiiHHIIiiII", 40, *DRAWN.size, 1, 32, 0, len(pixels), 0, 0, 0, 0) + bytes(pixels)


def auxiliary(form: str, name: bytes) -> bytes:
    """The alpha channel of a real file is called something else."""
    alpha = {"HEIF": b"urn:mpeg:hevc:2015:auxid:1", "AVIF": b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"}[form]
    content = save(CUT_OUT, form)
    assert content.count(alpha) == 1
    return content.replace(alpha, name.ljust(len(alpha), b"\0"))


def png(*chunks_of: tuple[bytes, bytes], picture: Image.Image = DRAWN, **options: Any) -> bytes:
    plain = save(picture, "PNG", **options)
    return plain[:33] + b"".join(chunk(*told) for told in chunks_of) + plain[33:]


def with_xmp(packet: bytes) -> bytes:
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    return save(DRAWN, "PNG", pnginfo=chunks)


def lines(*texts: tuple[str, str]) -> str:
    told = "".join(f'<rdf:li xml:lang="{language}">{text}</rdf:li>' for language, text in texts)
    return f"<dc:rights><rdf:Alt>{told}</rdf:Alt></dc:rights>"


def nested(depth: int) -> str:
    inner = "x"
    for _ in range(depth):
        inner = f'<plus:Part rdf:parseType="Resource"><plus:Part>{inner}</plus:Part></plus:Part>'
    return f'<plus:Licensor><rdf:Seq><rdf:li rdf:parseType="Resource">{inner}</rdf:li></rdf:Seq></plus:Licensor>'


def exif(artist: str, notice: str) -> bytes:
    told = Image.Exif()
    told[0x013B], told[0x8298] = artist.encode(), notice.encode()
    return told.tobytes()


def iim(*texts: tuple[int, str]) -> bytes:
    """Photoshop's segment with these data sets."""
    sets = b"".join(
        b"\x1c\x02" + bytes((number,)) + len(text.encode()).to_bytes(2) + text.encode() for number, text in texts
    )
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(sets).to_bytes(4) + sets + bytes(len(sets) % 2)


def of_ana(form: str, **options: Any) -> bytes:
    """Whose XMP names Ana and Bo, and a credit, a notice and a source."""
    packet = xmp(
        f'photoshop:Credit="{AGENCY}" photoshop:Source="Desk"',
        "<dc:creator><rdf:Seq><rdf:li>Ana</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>"
        + lines(("x-default", "© Ana 2024")),
    )
    if form == "PNG":
        chunks = options.setdefault("pnginfo", PngInfo())
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    elif form == "TIFF":
        options["tiffinfo"] = {700: packet} | options.get("tiffinfo", {})
    else:
        options["xmp"] = packet
    return save(DRAWN, form, **options)


def with_iim(*texts: tuple[int, str]) -> bytes:
    plain = of_ana("JPEG")
    return plain[:2] + segment(0xED, iim(*texts)) + plain[2:]


def words(**texts: str) -> PngInfo:
    chunks = PngInfo()
    for key, text in texts.items():
        chunks.add_itxt(key, text)
    return chunks


AGENCY = "An agency whose name is longer than the room for it"
SAME = {"artist": "Ana; Bo", "notice": "© Ana  2024 \0"}
OTHERS: dict[str, Callable[[], bytes]] = {
    **{
        f"another {what} in the Exif of a {form}": partial(of_ana, form, exif=exif(**SAME | other))
        for form in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
        for what, other in (("artist", {"artist": "Ana; Cy"}), ("notice", {"notice": "© Studio"}))
    },
    "an editor's notice in Exif": partial(of_ana, "JPEG", exif=exif("Ana", "© Ana 2024\0© Editor")),
    "another artist of a TIFF": partial(of_ana, "TIFF", tiffinfo={0x013B: "Cy"}),
    "another notice of a TIFF": partial(of_ana, "TIFF", tiffinfo={0x8298: "© Cy"}),
    **{
        f"another text in IPTC's data set {number}": partial(with_iim, (number, "of others"))
        for number in (80, 110, 115, 116)
    },
    "two positions where one has room": partial(with_iim, (85, "Staff"), (85, "Editor")),
    "a shorter credit that fills no room": partial(with_iim, (110, AGENCY[:12])),
    "another author in PNG's words": lambda: of_ana("PNG", pnginfo=words(Author="Cy")),
    "another notice in PNG's words": lambda: of_ana("PNG", pnginfo=words(Copyright="© Cy")),
    "two places without XMP": lambda: save(DRAWN, "PNG", exif=exif("Ana", "© Ana"), pnginfo=words(Author="Bo")),
    "more artists than are carried over": lambda: save(DRAWN, "PNG", exif=exif("; ".join(map(str, range(21))), "")),
    "two credits": partial(with_xmp, xmp('photoshop:Credit="One"', "<photoshop:Credit>Two</photoshop:Credit>")),
}
EQUALS: dict[str, Callable[[], bytes]] = {
    **{
        f"the same in the Exif of a {form}": partial(of_ana, form, exif=exif(**SAME))
        for form in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
    },
    "one of the artists": partial(of_ana, "JPEG", exif=exif("Bo", "")),
    "the artists as one text": partial(of_ana, "JPEG", exif=exif("Ana, Bo", "© Ana 2024")),
    "the same in a TIFF": partial(of_ana, "TIFF", tiffinfo={0x013B: "Ana; Bo"}),
    "the same in IPTC": partial(with_iim, (80, "Ana"), (80, "Bo"), (115, "Desk "), (116, "© Ana 2024")),
    "a credit cut at its room": partial(with_iim, (110, AGENCY[:32])),
    "the same in PNG's words": lambda: of_ana("PNG", pnginfo=words(Author="Ana", Copyright="© Ana 2024")),
}


@pytest.mark.field("exif-says-another")
@pytest.mark.parametrize("name", OTHERS)
async def test_of_places_that_differ_the_one_that_is_not_carried_over_is_told(decoder: Decoder, name: str) -> None:
    content = OTHERS[name]()
    for found in (await decoder.decode(content), await decoder.decode_original(content)):
        assert found.notes == (Note.RIGHTS_LEFT_OUT,)


@pytest.mark.field("exif-says-another")
@pytest.mark.parametrize("name", EQUALS)
async def test_places_that_say_the_same_lose_nothing(decoder: Decoder, name: str) -> None:
    found = await decoder.decode(EQUALS[name]())
    assert (found.rights.creators, found.rights.notice, found.rights.credit) == (("Ana", "Bo"), "© Ana 2024", AGENCY)
    assert found.notes == ()


MANIFEST = b"\0\0\0\x30jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0" + bytes(18)
FORMS, TRANSPARENT = (
    ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"),
    ("PNG", "WEBP", "TIFF", "AVIF", "HEIF"),
)
LOSSES: dict[str, tuple[Callable[[], bytes], set[Note]]] = {
    # Gain maps, as three makers write them.
    "a gain map of Ultra HDR": (partial(several, SAYS_GAIN, (0, GAIN_XMP)), {Note.GAIN_MAP_LEFT_OUT}),
    "a gain map of ISO 21496-1": (partial(several, GAIN_ISO, (0, GAIN_ISO)), {Note.GAIN_MAP_LEFT_OUT}),
    "a gain map of Apple's": (partial(several, jpeg(), (0, of_apple("hdrgainmap"))), {Note.GAIN_MAP_LEFT_OUT}),
    "a gain map without an index": (lambda: SAYS_GAIN + GAIN_XMP, {Note.GAIN_MAP_LEFT_OUT}),
    "a gain map in HEIC": (
        partial(auxiliary, "AVIF", b"urn:com:apple:photo:2020:aux:hdrgainmap"),
        {Note.GAIN_MAP_LEFT_OUT},
    ),
    # Depth and mattes.
    "Apple's disparity": (partial(several, jpeg(), (0, of_apple("disparity"))), {Note.DEPTH_MAP_LEFT_OUT}),
    "depth within XMP": (
        lambda: jpeg(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0 GDepth:Data=")),
        {Note.DEPTH_MAP_LEFT_OUT},
    ),
    "depth in a container": (
        lambda: jpeg(app_xmp(xmp('Item:Semantic="Depth"'))) + jpeg(),
        {Note.DEPTH_MAP_LEFT_OUT},
    ),
    "depth in HEIC": (partial(auxiliary, "HEIF", b"urn:mpeg:hevc:2015:auxid:2"), {Note.DEPTH_MAP_LEFT_OUT}),
    "depth in AVIF": (
        partial(auxiliary, "AVIF", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth"),
        {Note.DEPTH_MAP_LEFT_OUT},
    ),
    "Apple's matte": (partial(several, jpeg(), (0, of_apple("portraiteffectsmatte"))), {Note.AUXILIARY_LEFT_OUT}),
    "a matte and a gain map": (
        partial(several, jpeg(), (0, of_apple("semanticskinmatte")), (0, of_apple("hdrgainmap"))),
        {Note.AUXILIARY_LEFT_OUT, Note.GAIN_MAP_LEFT_OUT},
    ),
    "a matte in AVIF": (
        partial(auxiliary, "AVIF", b"urn:com:apple:photo:2019:aux:semanticskinmatt"[:43]),
        {Note.AUXILIARY_LEFT_OUT},
    ),
    # More than one picture.
    "another view in MPO": (partial(several, jpeg(), (0x020003, jpeg())), {Note.FIRST_PAGE_ONLY}),
    "another picture in MPO": (partial(several, jpeg(), (0, jpeg())), {Note.FIRST_PAGE_ONLY}),
    "two pictures in HEIC": (
        partial(save, DRAWN, "HEIF", save_all=True, append_images=[DRAWN]),
        {Note.FIRST_PAGE_ONLY},
    ),
    "two pages": (partial(save, DRAWN, "TIFF", save_all=True, append_images=[DRAWN]), {Note.FIRST_PAGE_ONLY}),
    "two pages of a large TIFF": (
        partial(save, DRAWN, "TIFF", save_all=True, append_images=[DRAWN], big_tiff=True),
        {Note.FIRST_PAGE_ONLY},
    ),
    "a page of its own": (partial(paged, 0), {Note.FIRST_PAGE_ONLY}),
    **{
        f"a moving {form}": (
            partial(save, DRAWN, form, save_all=True, append_images=[Image.new("RGB", DRAWN.size)]),
            {Note.ANIMATION_FIRST_FRAME},
        )
        for form in ("GIF", "PNG", "WEBP", "AVIF")
    },
    "a motion photo": (lambda: jpeg() + FILM, {Note.MOTION_LEFT_OUT}),
    "a motion photo with a gain map": (
        lambda: several(SAYS_GAIN, (0, GAIN_XMP)) + FILM,
        {Note.MOTION_LEFT_OUT, Note.GAIN_MAP_LEFT_OUT},
    ),
    "a motion photo in HEIC": (lambda: save(DRAWN, "HEIF") + b"\0\0\0\x20mpvd" + FILM[:24], {Note.MOTION_LEFT_OUT}),
    # Channels.
    "a fourth channel without a meaning": (partial(extra, 2, 4, 0), {Note.CHANNEL_LEFT_OUT}),
    "a spot colour beside alpha": (partial(extra, 2, 5, 2, 0), {Note.CHANNEL_LEFT_OUT}),
    "a channel beside grey": (partial(extra, 1, 2, 0), {Note.CHANNEL_LEFT_OUT}),
    "a spot colour beside inks": (partial(extra, 5, 5, 0), {Note.CHANNEL_LEFT_OUT, Note.INKS_WITHOUT_PROFILE}),
    "a page of what counts": (partial(paged, 4), {Note.CHANNEL_LEFT_OUT}),
    "transparency in BMP, which has none": (partial(save, CUT_OUT, "BMP"), {Note.CHANNEL_LEFT_OUT}),
    "a fourth byte in BMP": (partial(bmp, bytes(range(256))), {Note.CHANNEL_LEFT_OUT}),
    # Photoshop's.
    "a clipping path": (
        lambda: jpeg(segment(0xED, b"Photoshop 3.0\0" + photoshop(2000) + photoshop(2999))),
        {Note.CLIPPING_PATH_LEFT_OUT},
    ),
    "a path in TIFF": (partial(extra, 2, 3, tags={34377: (7, photoshop(2001))}), {Note.CLIPPING_PATH_LEFT_OUT}),
    "layers": (
        partial(extra, 2, 3, tags={37724: (7, b"Adobe Photoshop Document Data Block\0" + bytes(64))}),
        {Note.LAYERS_LEFT_OUT},
    ),
    # Depth and colours.
    "sixteen bits": (partial(save, Image.new("I;16", (40, 24), 700), "PNG"), {Note.DEPTH_REDUCED}),
    "inks": (partial(save, DRAWN.convert("CMYK"), "JPEG"), {Note.INKS_WITHOUT_PROFILE}),
    "the profile of inks": (partial(save, DRAWN, "PNG", icc_profile=INKS), {Note.PROFILE_IGNORED}),
    "a film's colours": (partial(png, (b"cICP", bytes((9, 16, 0, 1)))), {Note.PROFILE_IGNORED}),
    # The file's own faults, and what it says.
    "no end": (lambda: jpeg()[:-2], {Note.JPEG_END_MISSING}),
    "XMP that is none": (partial(with_xmp, b"<x:xmpmeta"), {Note.METADATA_IGNORED}),
    "notices in two languages": (
        partial(with_xmp, xmp(inner=lines(("x-default", "Ours"), ("de", "Unser")))),
        {Note.RIGHTS_LEFT_OUT},
    ),
    "endless terms": (partial(with_xmp, xmp(f'plus:TermsAndConditionsText="{"x" * 3000}"')), {Note.RIGHTS_LEFT_OUT}),
    "terms within terms": (partial(with_xmp, xmp(inner=nested(3))), {Note.RIGHTS_LEFT_OUT}),
    "a signature in PNG": (partial(png, (b"caBX", MANIFEST)), {Note.CREDENTIALS_LEFT_OUT}),
    "a signature in JPEG": (
        lambda: jpeg(segment(0xEB, b"JP\0\1\0\0\0\1" + MANIFEST)),
        {Note.CREDENTIALS_LEFT_OUT},
    ),
}
NO_LOSSES: dict[str, Callable[[], bytes]] = {
    **{f"a plain {form}": partial(save, DRAWN, form) for form in FORMS},
    **{f"transparency in {form}": partial(save, CUT_OUT, form) for form in TRANSPARENT},
    "alpha that is named": partial(extra, 2, 4, 2),
    "alpha that is multiplied in": partial(extra, 2, 4, 1),
    "grey with alpha": partial(extra, 1, 2, 2),
    "a smaller copy": partial(paged, 1),
    "a fourth byte of nothing": partial(bmp, b"\0"),
    "a fourth byte that is always the same": partial(bmp, b"\xff"),
    "a preview in MPO": partial(several, jpeg(), (0x010002, jpeg())),
    "a gain map that was lost on the way": lambda: SAYS_GAIN,
    "an index of what was lost": lambda: several(SAYS_GAIN, (0, GAIN_XMP))[: -len(GAIN_XMP)],
    "a thumbnail": lambda: jpeg(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + save(DRAWN, "JPEG"))),
    "a film that is only spoken of": lambda: jpeg(segment(0xFE, b"\0\0\0\x18ftyp")),
    "other resources of Photoshop's": lambda: jpeg(segment(0xED, b"Photoshop 3.0\0" + photoshop(1005))),
    "Lab": partial(save, LAB, "TIFF"),
    "Lab with its profile": partial(
        save, LAB, "TIFF", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    ),
    "Lab with a profile of colours": partial(save, LAB, "TIFF", icc_profile=rgb_profile(2.2)),
    "a wide profile": partial(save, DRAWN, "PNG", icc_profile=WIDE),
    "one frame": partial(save, DRAWN, "GIF", save_all=True),
    "a licensor": partial(
        with_xmp, xmp(inner='<plus:Licensor><rdf:Seq><rdf:li plus:LicensorName="Us"/></rdf:Seq></plus:Licensor>')
    ),
    "one notice in two languages": partial(with_xmp, xmp(inner=lines(("x-default", "Ours"), ("en", "Ours")))),
    "four letters by chance": lambda: png((b"teXt", b"c2pa of old")),
}  # fmt: skip


@pytest.mark.field("gain-map", "depth-map", "spot-channel", "clipping-path", "lab-profile", "motion-photo")
@pytest.mark.parametrize("name", LOSSES)
async def test_every_loss_has_its_note_and_no_other(decoder: Decoder, name: str) -> None:
    make, notes = LOSSES[name]
    content = make()
    for found in (await decoder.decode(content), await decoder.decode_original(content)):
        assert set(found.notes) == notes
        assert len(found.notes) == len(notes)


@pytest.mark.parametrize("name", NO_LOSSES)
async def test_nothing_is_told_where_nothing_is_lost(decoder: Decoder, name: str) -> None:
    content = NO_LOSSES[name]()
    assert (await decoder.decode(content)).notes == ()
    assert (await decoder.decode_original(content)).notes == ()


async def test_there_is_a_loss_for_every_note() -> None:
    assert {note for _, notes in LOSSES.values() for note in notes} == set(Note)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4) + kind + body


def item(number: int, kind: bytes, *, hidden: bool = False) -> bytes:
    return box(b"infe", bytes((2, 0, 0, hidden)), struct.pack(">HH4s", number, 0, kind), b"\0")


def references(kind: bytes, source: int, *targets: int) -> bytes:
    return box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))


@pytest.mark.parametrize(
    ("entries", "links", "notes"),
    [
        ((item(1, b"av01"),), (), []),
        # A tone map (ISO 21496-1) is made of the picture and its gain map.
        (
            (item(1, b"av01"), item(2, b"av01", hidden=True), item(3, b"tmap")),
            (references(b"dimg", 3, 1, 2),),
            [Note.GAIN_MAP_LEFT_OUT],
        ),
        (
            (item(1, b"av01"), item(2, b"av01"), item(3, b"tmap")),
            (references(b"dimg", 3, 1, 2),),
            [Note.GAIN_MAP_LEFT_OUT],
        ),
        ((item(1, b"grid"), item(2, b"hvc1"), item(3, b"hvc1")), (references(b"dimg", 1, 2, 3),), []),
        ((item(1, b"hvc1"), item(2, b"hvc1"), item(3, b"Exif")), (references(b"thmb", 2, 1),), []),
        ((item(1, b"av01"), item(2, b"av01")), (), [Note.FIRST_PAGE_ONLY]),
        ((item(1, b"av01"), item(2, b"av01", hidden=True)), (), []),
    ],
)  # fmt: skip
async def test_items_that_make_up_a_picture_are_no_others(
    entries: tuple[bytes, ...], links: tuple[bytes, ...], notes: list[Note]
) -> None:
    told = box(b"iinf", bytes(4), len(entries).to_bytes(2), *entries)
    content = box(b"ftyp", b"avif\0\0\0\0") + box(b"meta", bytes(4), told, box(b"iref", bytes(4), *links))
    assert list(items.beside(content)) == notes
    for cut in range(len(content)):
        list(items.beside(content[:cut]))


@pytest.mark.field("raw-preview")
@pytest.mark.parametrize(
    "tags",
    [{50706: (1, [1, 4, 0, 0])}, {254: (4, [1]), 330: (4, [8])}],
)
async def test_the_preview_of_a_raw_file_is_not_taken_for_the_picture(
    decoder: Decoder, tags: dict[int, tuple[int, Any]]
) -> None:
    with pytest.raises(InvalidRequest, match="raw file") as caught:
        await decoder.decode(
            extra(2, 3, tags={tag: (7, bytes(v)) if k == 1 else (k, v) for tag, (k, v) in tags.items()})
        )
    assert caught.value.reason == "IMAGE_INVALID"


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
async def test_of_a_file_that_is_handed_on_only_what_still_holds_is_told(suffix: str) -> None:
    """Of a JPEG nothing stays behind its pixels; a TIFF keeps its channels."""
    content = several(SAYS_GAIN, (0, GAIN_XMP)) if suffix == "jpg" else extra(2, 4, 0)
    async with opened() as bench:
        result = await bench.adjust(content, target_width=40, target_height=24)
        assert result.result_image_path.endswith(suffix)
        stored = bench.file(result.result_image_path)
    told = [found.note for found in result.notes]
    assert told == (["GAIN_MAP_LEFT_OUT"] if suffix == "jpg" else [])
    assert (b"hdr-gain-map" in stored) == (suffix == "jpg" and not told)


async def test_a_crop_tells_what_it_left_out() -> None:
    async with opened() as bench:
        result = await bench.adjust(several(SAYS_GAIN, (0, GAIN_XMP)), aspect_ratio=1.0, mode="crop")
    assert [(found.picture, found.note) for found in result.notes] == [("input_image", "GAIN_MAP_LEFT_OUT")]


async def test_a_file_with_all_of_it_is_read_whole() -> None:
    """What the helpers above write is what Pillow reads, too."""
    with Image.open(io.BytesIO(several(jpeg(), (0x020003, jpeg())))) as picture:
        assert picture.n_frames == 2  # type: ignore[attr-defined]
    with Image.open(io.BytesIO(paged(0))) as picture:
        picture.seek(1)
        assert np.array_equal(np.asarray(picture), NUMBERS[..., :3])
