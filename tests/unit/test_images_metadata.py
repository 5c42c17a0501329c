"""What a picture's own metadata say comes along with its pixels: density, rights, the earlier recipe, and notes."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.imaging.decoder import DecodeLimits, Decoder
from services.imaging.notes import Note
from services.imaging.recipes import RECIPE_CHUNK, inscribed
from services.imaging.rights import VOCABULARY, Rights, source_uri, strongest
from services.imaging.statements import merged
from tests.corpora.pictures import chunk
from tests.unit.test_handlers_pictures import opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIELD = Path(__file__).parents[1] / "corpora" / "field"
DRAWN = Image.fromarray(np.arange(12 * 20 * 3, dtype=np.uint16).astype(np.uint8).reshape(12, 20, 3))
GENERATED = f"{VOCABULARY}trainedAlgorithmicMedia"
ENHANCED = f"{VOCABULARY}algorithmicallyEnhanced"
AS_ELEMENTS = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" photoshop:Credit="Agentur Süd">
<Iptc4xmpExt:DigitalSourceType rdf:resource="{GENERATED}"/>
<dc:creator><rdf:Seq><rdf:li>Ana Příklad</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="de">© Studio, alle Rechte</rdf:li>
<rdf:li xml:lang="x-default">© Studio</rdf:li></rdf:Alt></dc:rights>
<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="x-default">Ask first</rdf:li></rdf:Alt></xmpRights:UsageTerms>
<xmpRights:WebStatement>https://example.com/licence</xmpRights:WebStatement>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
ALL = Rights(GENERATED, ("Ana Příklad", "Bo"), "Agentur Süd", "© Studio", "Ask first", "https://example.com/licence")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(DecodeLimits(max_bytes=4 << 20, max_pixels=1_000_000), workers=1) as opened:
        yield opened


def saved(form: str, picture: Image.Image = DRAWN, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


def with_xmp(form: str, packet: bytes) -> bytes:
    if form == "PNG":
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
        return saved(form, pnginfo=chunks)
    if form == "GIF":
        return b"".join(inscribed(saved(form), b"no recipe", lambda _: packet))
    return saved(form, tiffinfo={700: packet}) if form == "TIFF" else saved(form, xmp=packet)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF"])
async def test_rights_in_xmp_come_along(decoder: Decoder, form: str) -> None:
    content = with_xmp(form, AS_ELEMENTS.encode())
    assert (await decoder.decode(content)).rights == ALL
    assert (await decoder.decode_original(content)).rights == ALL


async def test_xmp_may_be_written_in_sixteen_bits(decoder: Decoder) -> None:
    assert (await decoder.decode(with_xmp("TIFF", AS_ELEMENTS.encode("utf-16")))).rights == ALL


async def test_where_xmp_says_nothing_exif_is_asked(decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Ana Příklad; Bo".encode()
    exif[0x8298] = "© Studio\0Editor".encode()
    for form in ("PNG", "JPEG", "WEBP", "AVIF", "HEIF"):
        rights = (await decoder.decode(saved(form, exif=exif))).rights
        assert rights == Rights(creators=("Ana Příklad", "Bo"), notice="© Studio, Editor")


async def test_press_agencies_fields_are_read(decoder: Decoder) -> None:
    values = {80: b"Ana", 110: b"Agentur S\xfcd", 116: "© Studio".encode()}
    block = b"".join(b"\x1c\x02" + bytes((n,)) + len(v).to_bytes(2) + v for n, v in values.items())
    resource = b"8BIM\x04\x04\0\0" + len(block).to_bytes(4) + block + bytes(len(block) % 2)
    segment = b"Photoshop 3.0\0" + resource
    plain = saved("JPEG")
    content = plain[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + plain[2:]
    rights = (await decoder.decode(content)).rights
    assert rights == Rights(creators=("Ana",), credit="Agentur Süd", notice="© Studio")
    tiff = saved("TIFF", tiffinfo={33723: block})
    assert (await decoder.decode(tiff)).rights == rights


async def test_a_pngs_own_words_are_read(decoder: Decoder) -> None:
    chunks = PngInfo()
    chunks.add_text("Author", "Ana")
    chunks.add_itxt("Copyright", "© Studio")
    assert (await decoder.decode(saved("PNG", pnginfo=chunks))).rights == Rights(creators=("Ana",), notice="© Studio")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF", "HEIF"])
async def test_an_earlier_recipe_comes_along_and_tells_its_source(decoder: Decoder, form: str) -> None:
    recipe = {"task_type": "GENERATION", "digital_source_type": GENERATED}
    content = b"".join(inscribed(saved(form), json.dumps(recipe).encode(), lambda _: None))
    assert (await decoder.decode(content)).rights == Rights(GENERATED, recipe=recipe)


@pytest.mark.field("21")
async def test_a_label_is_found_and_with_it_who_made_the_picture(decoder: Decoder) -> None:
    rights = (await decoder.decode_original((FIELD / "21_ai_labelled.png").read_bytes())).rights
    assert rights.digital_source == GENERATED
    assert rights.notice == "(c) Example Studio"


async def test_of_two_labels_the_one_that_says_more_counts(decoder: Decoder) -> None:
    chunks = PngInfo()
    chunks.add_itxt(RECIPE_CHUNK, json.dumps({"digital_source_type": ENHANCED}))
    chunks.add_itxt("XML:com.adobe.xmp", AS_ELEMENTS)
    assert (await decoder.decode(saved("PNG", pnginfo=chunks))).rights.digital_source == GENERATED
    assert strongest([None, ENHANCED, f"{VOCABULARY}digitalCapture"]) == ENHANCED
    assert strongest([None, f"{VOCABULARY}digitalCapture"]) == f"{VOCABULARY}digitalCapture"
    assert strongest([]) is None


def credentials(*sources: str) -> bytes:
    """As much of a manifest store as tells the sources of its manifests, each with a key behind it."""
    told = (b"qdigitalSourceType\x78" + bytes((len(uri),)) + uri.encode() + b"kdescription" for uri in sources)
    return b"jumbjumdc2pa" + b"c2pa.actions.v2".join((b"", *told))


async def test_what_content_credentials_say_counts_too(decoder: Decoder) -> None:
    plain, capture = saved("PNG"), f"{VOCABULARY}digitalCapture"
    signed = plain[:33] + chunk(b"caBX", credentials(capture, GENERATED)) + plain[33:]
    assert (await decoder.decode(signed)).rights == Rights(GENERATED)
    marked = with_xmp("PNG", AS_ELEMENTS.replace(GENERATED, ENHANCED).encode())
    both = marked[:33] + chunk(b"caBX", credentials(GENERATED)) + marked[33:]
    assert (await decoder.decode(both)).rights.digital_source == GENERATED
    empty = plain[:33] + chunk(b"caBX", b"jumbc2padigitalSourceType\x78\xff") + plain[33:]
    assert (await decoder.decode(empty)).rights == Rights()


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("trainedAlgorithmicMedia", GENERATED),
        (f" {GENERATED}/", GENERATED),
        (GENERATED.replace("http:", "https:"), GENERATED),
        ("http://example.com/other", None),
        ("", None),
    ],
)
async def test_a_source_type_has_one_spelling(text: str, uri: str | None) -> None:
    assert source_uri(text) == uri


@pytest.mark.parametrize(
    "packet",
    [
        b"no XML",
        b"\xff\xfe\xff",
        AS_ELEMENTS.encode()[:-80],
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + AS_ELEMENTS.encode(),
        b"<a/>",
        b"<a>" * 100_000,
        b"x" * (2 << 20),
    ],
)
async def test_broken_metadata_spoil_no_picture_and_are_told(decoder: Decoder, packet: bytes) -> None:
    picture = await decoder.decode(saved("TIFF", tiffinfo={700: packet}))
    assert np.array_equal(picture.pixels, np.asarray(DRAWN))
    assert picture.rights == Rights()
    assert Note.METADATA_IGNORED in picture.notes


@pytest.mark.field("metadata-checksum")
async def test_a_recipe_with_a_wrong_checksum_is_left_out(decoder: Decoder) -> None:
    content = b"".join(inscribed(saved("PNG"), b'{"task": "x"}', lambda _: None))
    assert (await decoder.decode(content)).rights.recipe == {"task": "x"}
    picture = await decoder.decode(content.replace(b'"x"', b'"y"'))
    assert (picture.rights.recipe, picture.notes) == (None, (Note.METADATA_IGNORED,))


async def test_texts_are_cleaned_and_shortened(decoder: Decoder) -> None:
    packet = AS_ELEMENTS.replace("Ask first", "a\x85b" + "é" * 5000).replace(
        "<rdf:li>Bo</rdf:li>", "<rdf:li>B</rdf:li>" * 90
    )
    rights = (await decoder.decode(with_xmp("TIFF", packet.encode()))).rights
    assert rights.usage_terms == "a b" + "é" * 1997
    assert rights.creators == ("Ana Příklad", "B")


@pytest.mark.field("20")
@pytest.mark.parametrize("name", ["20_300dpi.png", "20_300dpi.jpg"])
async def test_density_comes_along(decoder: Decoder, name: str) -> None:
    assert (await decoder.decode_original((FIELD / name).read_bytes())).density == (300.0, 300.0)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "AVIF"])
async def test_density_is_told_as_the_picture_is_displayed(decoder: Decoder, form: str) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, 2
    if form == "BMP":
        assert (await decoder.decode(saved(form, dpi=(300, 150)))).density == (300.0, 150.0)
        return
    options = {"exif": exif} if form in ("WEBP", "AVIF") else {"dpi": (300, 150)}
    assert (await decoder.decode(saved(form, **options))).density == (300.0, 150.0)
    exif[0x0112] = 6
    turned = saved(form, **options | {"exif": exif})
    assert (await decoder.decode(turned)).density == (150.0, 300.0)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "AVIF"])
async def test_a_density_nobody_told_is_none(decoder: Decoder, form: str) -> None:
    assert (await decoder.decode(saved(form))).density is None


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (300, 0)])
async def test_a_density_that_cannot_be_is_none(decoder: Decoder, dpi: tuple[float, float]) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = dpi[0], dpi[1], 2
    assert (await decoder.decode(saved("WEBP", exif=exif))).density is None


async def test_what_was_left_out_is_told(decoder: Decoder) -> None:
    second = Image.new("RGB", DRAWN.size)
    moving = saved("GIF", save_all=True, append_images=[second])
    assert (await decoder.decode(moving)).notes == (Note.ANIMATION_FIRST_FRAME,)
    pages = saved("TIFF", save_all=True, append_images=[second])
    assert (await decoder.decode(pages)).notes == (Note.FIRST_PAGE_ONLY,)
    deep = await decoder.decode(saved("PNG", Image.new("I;16", (4, 4), 700)))
    assert (deep.facts.depth, deep.notes) == (16, (Note.DEPTH_REDUCED,))
    assert (await decoder.decode(saved("PNG"))).notes == ()


FURTHER = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" xmlns:cc="http://creativecommons.org/ns#"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 photoshop:Instructions="Not before May" xmpRights:Certificate="https://example.com/c" exif:GPSLatitude="50,4N"
 plus:ModelReleaseStatus="http://ns.useplus.org/ldf/vocab/MR-UMR">
<plus:Licensor><rdf:Seq>
 <rdf:li rdf:parseType="Resource"><plus:LicensorName>Ana &amp; Co</plus:LicensorName>
  <plus:LicensorURL>https://example.com/buy</plus:LicensorURL></rdf:li>
 <rdf:li><rdf:Description plus:LicensorName="Bo"/></rdf:li><rdf:li plus:LicensorName="Cy"/>
</rdf:Seq></plus:Licensor>
<plus:ModelReleaseID><rdf:Bag><rdf:li>17</rdf:li><rdf:li>18</rdf:li></rdf:Bag></plus:ModelReleaseID>
<plus:OtherConstraints><rdf:Alt><rdf:li xml:lang="x-default">No alcohol</rdf:li></rdf:Alt></plus:OtherConstraints>
<cc:license rdf:resource="https://creativecommons.org/licenses/by/4.0/"/>
<Iptc4xmpCore:CreatorContactInfo rdf:parseType="Resource"><Iptc4xmpCore:CiEmailWork>a@example.com
</Iptc4xmpCore:CiEmailWork></Iptc4xmpCore:CreatorContactInfo>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
STATEMENTS: dict[str, dict[str, Any]] = {
    "photoshop:Instructions": {"kind": "", "values": ["Not before May"]},
    "xmpRights:Certificate": {"kind": "", "values": ["https://example.com/c"]},
    "plus:ModelReleaseStatus": {"kind": "", "values": ["http://ns.useplus.org/ldf/vocab/MR-UMR"]},
    "plus:Licensor": {
        "kind": "Seq",
        "values": [
            {"plus:LicensorName": "Ana & Co", "plus:LicensorURL": "https://example.com/buy"},
            {"plus:LicensorName": "Bo"},
            {"plus:LicensorName": "Cy"},
        ],
    },
    "plus:ModelReleaseID": {"kind": "Bag", "values": ["17", "18"]},
    "plus:OtherConstraints": {"kind": "Alt", "values": ["No alcohol"]},
    "cc:license": {"kind": "", "values": ["https://creativecommons.org/licenses/by/4.0/"]},
    "Iptc4xmpCore:CreatorContactInfo": {"kind": "", "values": [{"Iptc4xmpCore:CiEmailWork": "a@example.com"}]},
}


@pytest.mark.field("licensor")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
async def test_what_else_is_said_of_rights_comes_along_in_its_own_form(decoder: Decoder, form: str) -> None:
    picture = await decoder.decode(with_xmp(form, FURTHER.encode()))
    assert picture.rights == Rights(statements=STATEMENTS)
    assert picture.notes == ()


@pytest.mark.field("licensor")
async def test_a_result_says_of_rights_what_its_picture_said() -> None:
    """Twice, so that what was written is read as what was meant."""
    packet = FURTHER.encode()
    async with opened() as bench:
        for _ in range(2):
            result = await bench.adjust(with_xmp("PNG", packet), aspect_ratio=1.0, mode="crop")
            with Image.open(io.BytesIO(bench.file(result.result_image_path))) as made:
                packet = made.info["xmp"]
            assert result.notes == []
            assert b"GPSLatitude" not in packet
    async with Decoder(DecodeLimits(), workers=1) as own:
        assert (await own.decode(with_xmp("PNG", packet))).rights.statements == STATEMENTS


async def test_press_agencies_instructions_and_sources_are_read(decoder: Decoder) -> None:
    sets = b"".join(
        b"\x1c\x02" + bytes((number,)) + len(text).to_bytes(2) + text
        for number, text in ((40, b"Ask first"), (85, b"Staff"), (115, b"An agency"))
    )
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(sets).to_bytes(4) + sets + b"\0" * (len(sets) % 2)
    plain = saved("JPEG")
    content = plain[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2) + block + plain[2:]
    found = (await decoder.decode(content)).rights.statements
    assert {name: told["values"] for name, told in found.items()} == {
        "photoshop:Instructions": ["Ask first"],
        "photoshop:AuthorsPosition": ["Staff"],
        "photoshop:Source": ["An agency"],
    }


@pytest.mark.field("licence-as-text")
async def test_addresses_that_are_references_leave_as_references() -> None:
    """However they came; what is no address stays a text."""
    by = "https://creativecommons.org/licenses/by/4.0/"
    properties = f"""<cc:license>{by}</cc:license><cc:morePermissions rdf:resource="https://example.com/a?b=1&amp;c=2"/>
<cc:attributionName>Ana</cc:attributionName><cc:jurisdiction>Chile</cc:jurisdiction>
<cc:permits><rdf:Bag><rdf:li rdf:resource="http://creativecommons.org/ns#Sharing"/></rdf:Bag></cc:permits>
<plus:LicensorURL>https://example.com/buy</plus:LicensorURL>"""
    packet = re.sub(r"<plus:Licensor>.*</rdf:Descr", f"{properties}</rdf:Descr", FURTHER, flags=re.DOTALL).encode()
    async with opened() as bench:
        result = await bench.adjust(with_xmp("JPEG", packet), aspect_ratio=1.0, mode="crop")
        with Image.open(io.BytesIO(bench.file(result.result_image_path))) as made:
            written = made.info["xmp"].decode()
    for told in (
        f'<cc:license rdf:resource="{by}"/>',
        '<cc:morePermissions rdf:resource="https://example.com/a?b=1&amp;c=2"/>',
        '<cc:permits><rdf:Bag><rdf:li rdf:resource="http://creativecommons.org/ns#Sharing"/></rdf:Bag></cc:permits>',
        "<cc:attributionName>Ana</cc:attributionName>",
        "<cc:jurisdiction>Chile</cc:jurisdiction>",
        "<plus:LicensorURL>https://example.com/buy</plus:LicensorURL>",
    ):
        assert told in written


async def test_of_several_pictures_all_licensors_are_told_and_the_first_terms() -> None:
    first = {"plus:Licensor": {"kind": "Seq", "values": ["A"]}, "cc:license": {"kind": "", "values": ["by"]}}
    second = {"plus:Licensor": {"kind": "Bag", "values": ["A", "B"]}, "cc:license": {"kind": "", "values": ["nc"]}}
    assert merged([first, {}, second]) == {
        "plus:Licensor": {"kind": "Seq", "values": ["A", "B"]},
        "cc:license": {"kind": "", "values": ["by"]},
    }


IIM = b"".join(
    b"\x1c\x02" + bytes((number,)) + len(text).to_bytes(2) + text for number, text in ((80, b"Ana"), (116, b"(c) Ana"))
)
RESOURCE = b"8BIM\x04\x04\0\0" + len(IIM).to_bytes(4) + IIM + b"\0" * (len(IIM) % 2)


def exif_of_ana() -> bytes:
    made = Image.Exif()
    made[0x013B], made[0x8298] = "Ana", "(c) Ana"
    return b"Exif\0\0" + made.tobytes().removeprefix(b"Exif\0\0")


def raw_profile(kind: str, body: bytes) -> bytes:
    """As ImageMagick writes it."""
    digits = body.hex()
    rows = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(body):8d}\n{rows}\n".encode()
    plain = saved("PNG")
    told = b"Raw profile type " + kind.encode() + b"\0\0" + zlib.compress(text)
    return plain[:33] + chunk(b"zTXt", told) + plain[33:]


@pytest.mark.field("raw-profiles")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("exif", exif_of_ana()),
        ("APP1", exif_of_ana()),
        ("iptc", RESOURCE),
        ("iptc", IIM),
        ("8bim", RESOURCE),
        ("APP13", b"Photoshop 3.0\0" + RESOURCE),
    ],
)
async def test_rights_in_raw_profiles_of_a_png_are_read(decoder: Decoder, kind: str, body: bytes) -> None:
    picture = await decoder.decode(raw_profile(kind, body))
    assert picture.rights == Rights(creators=("Ana",), notice="(c) Ana")
    assert picture.notes == ()


@pytest.mark.field("raw-profiles")
async def test_so_is_the_label_of_a_models_picture(decoder: Decoder) -> None:
    assert (await decoder.decode(raw_profile("xmp", AS_ELEMENTS.encode()))).rights == ALL
    broken = raw_profile("xmp", b"no packet")
    assert (await decoder.decode(broken)).notes == (Note.METADATA_IGNORED,)


@pytest.mark.field("extended-xmp")
async def test_a_packet_is_read_beyond_its_first_segment(decoder: Decoder) -> None:
    name, packet = b"0123456789ABCDEF" * 2, AS_ELEMENTS.encode()
    note = f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{name.decode()}"'
    first = FURTHER.replace("plus:ModelReleaseStatus", f"{note} plus:ModelReleaseStatus")

    def segment(body: bytes) -> bytes:
        return b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body

    def extension(of: bytes, at: int, part: bytes) -> bytes:
        head = of + len(packet).to_bytes(4) + at.to_bytes(4)
        return segment(b"http://ns.adobe.com/xmp/extension/\0" + head + part)

    plain, half = saved("JPEG"), len(packet) // 2
    main = segment(b"http://ns.adobe.com/xap/1.0/\0" + first.encode())
    parts = extension(name, half, packet[half:]) + extension(name, 0, packet[:half])
    found = (await decoder.decode(plain[:2] + main + parts + plain[2:])).rights
    assert found == replace(ALL, statements=STATEMENTS)
    others = extension(b"F" * 32, 0, packet)
    assert (await decoder.decode(plain[:2] + main + others + plain[2:])).rights == Rights(statements=STATEMENTS)


@pytest.mark.field("split-credentials")
async def test_credentials_are_read_across_segments(decoder: Decoder) -> None:
    """Wherever the cut lies, and in whatever order the segments do."""
    store = credentials(f"{VOCABULARY}digitalCapture", GENERATED)
    plain, at = saved("JPEG"), store.rfind(b"digitalSourceType")

    def segment(number: int, part: bytes) -> bytes:
        head = b"JP\0\1" + number.to_bytes(4) + (b"" if number == 1 else store[:8])
        return b"\xff\xeb" + (len(head + part) + 2).to_bytes(2) + head + part

    for cut in (at - 3, at + 5, at + 19, at + 40, len(store) - 20):
        parts = [segment(1, store[:cut]), segment(2, store[cut:])]
        for ordered in (parts, parts[::-1]):
            picture = await decoder.decode(plain[:2] + b"".join(ordered) + plain[2:])
            assert picture.rights == Rights(GENERATED)
