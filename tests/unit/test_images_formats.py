"""Which formats are taken, how each is known, and the cases from the field about what they look like."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from gateway.app import routed
from services.common.errors import InvalidRequest
from services.imaging.decoder import DecodeLimits, Decoder
from services.imaging.formats import ACCEPTED, suffix_of
from services.imaging.notes import Note
from services.imaging.sniffing import HEAD_BYTES, UNKNOWN, content_type_of, is_picture
from tests.corpora.pictures import INKS, bigtiff, exif, saved, tiff

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIELD = Path(__file__).parents[1] / "corpora" / "field"
DRAWN = Image.new("RGB", (64, 32), (10, 200, 30))
DRAWN.paste((250, 0, 0), (0, 0, 32, 16))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(DecodeLimits(), workers=1) as opened:
        yield opened


async def field(decoder: Decoder, name: str) -> np.ndarray:
    return (await decoder.decode((FIELD / name).read_bytes())).pixels.astype(int)


async def refusal(decoder: Decoder, content: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await decoder.decode(content)
    assert caught.value.reason == "IMAGE_INVALID"
    return caught.value.message


def boxes(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4) + body + b"\0\0\1\0meta"


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (boxes(b"avif", b"mif1", b"miaf"), "image/avif"),
        (boxes(b"avis", b"msf1", b"iso8"), "image/avif"),
        (boxes(b"mif1", b"avif", b"miaf"), "image/avif"),
        (boxes(b"msf1", b"iso8", b"avis"), "image/avif"),
        (boxes(b"miaf", b"MA1B", b"avif"), "image/avif"),
        (boxes(b"mif1", *(b"xxxx",) * 40, b"avif"), "image/avif"),
        *((boxes(brand, b"mif1"), "image/heic") for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")),
        (boxes(b"mif1", b"heic"), "image/heic"),
        (boxes(b"msf1", b"hevc", b"iso8"), "image/heic"),
        (boxes(b"mif1", b"jpeg"), "image/heif"),
        (boxes(b"isom", b"iso2", b"mp41"), "video/mp4"),
        (boxes(b"mp42", b"isom", b"mif1", b"heic"), "video/mp4"),
        (boxes(b"M4V "), "video/mp4"),
        (boxes(b"qt  "), "video/quicktime"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
        (b"8BPS\0\1", "image/vnd.adobe.photoshop"),
        (b"RIFF\0\0\0\0AVI ", UNKNOWN),
    ],
)
async def test_a_file_of_boxes_is_known_by_all_its_brands(head: bytes, content_type: str) -> None:
    assert content_type_of(head[:HEAD_BYTES]) == content_type
    assert is_picture(head) == content_type.startswith("image/")


async def test_a_name_ends_as_its_content_says() -> None:
    endings = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
    for form, suffix in {**endings, "AVIF": ".avif", "HEIF": ".heic"}.items():
        assert suffix_of(saved(DRAWN, form)) == suffix
    assert suffix_of(b"RIFF\0\0\0\0WAVE") == suffix_of(b"") == ".bin"


@pytest.mark.field("09")
async def test_an_avif_by_another_brand_is_one(decoder: Decoder) -> None:
    content = (FIELD / "09_mif1.avif").read_bytes()
    assert content_type_of(content[:HEAD_BYTES]) == "image/avif"
    assert suffix_of(content) == ".avif"
    assert (await decoder.decode(content)).facts.content_type == "image/avif"


@pytest.mark.field("10")
@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
async def test_heic_is_taken_under_every_brand(decoder: Decoder, brand: bytes) -> None:
    content = saved(DRAWN, "HEIF", quality=95)
    picture = await decoder.decode(content[:8] + brand + content[12:])
    assert picture.facts.content_type == "image/heic"
    assert np.abs(picture.pixels.astype(int) - np.asarray(DRAWN)).mean() < 3


@pytest.mark.field("10")
async def test_a_heic_that_is_cut_off_is_named_and_refused(decoder: Decoder) -> None:
    assert "HEIC" in await refusal(decoder, (FIELD / "10_head_of.heic").read_bytes())


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_turn_told_twice_is_made_once(decoder: Decoder, form: str, orientation: int) -> None:
    """Phones write it as a box and in Exif; the size in the headers is the size as displayed."""
    content = saved(DRAWN, form, quality=95, exif=exif(orientation))
    picture = await decoder.decode(content)
    size = (64, 32) if orientation < 5 else (32, 64)
    assert (picture.facts.width, picture.facts.height) == size == picture.pixels.shape[1::-1]
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert picture.pixels[corner[orientation]][0] > 200


async def test_what_is_measured_is_what_is_decoded(decoder: Decoder, tmp_path: Path) -> None:
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"):
        for orientation in (1, 6, 7):
            path = tmp_path / f"{form}{orientation}"
            path.write_bytes(saved(DRAWN, form, exif=exif(orientation)))
            with path.open("rb") as file:
                measured = await decoder.measure(file)
            decoded = (await decoder.decode(path.read_bytes())).facts
            assert (measured.width, measured.height) == (decoded.width, decoded.height), path.name
            assert measured == decoded


async def test_a_second_picture_in_a_jpeg_changes_nothing_and_is_told(decoder: Decoder) -> None:
    content = saved(DRAWN, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 32))])
    picture = await decoder.decode(content)
    assert (picture.facts.format, picture.facts.animated, picture.notes) == ("JPEG", False, (Note.FIRST_PAGE_ONLY,))
    assert picture.pixels[0, 0, 0] > 200


async def test_a_refusal_names_what_is_taken_and_no_exception(decoder: Decoder) -> None:
    for content in (b"", b"hello", b"8BPS\0\1" + bytes(50), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50)):
        assert ACCEPTED in await refusal(decoder, content)
    assert "image/jxl" in await refusal(decoder, b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50))
    for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF"):
        message = await refusal(decoder, saved(DRAWN, form)[:-60])
        assert "Error" not in message and "Exception" not in message


async def test_the_documentation_names_what_is_taken() -> None:
    told = routed().openapi()["tags"]
    assert ACCEPTED in next(tag["description"] for tag in told if tag["name"] == "Storage")
    assert ACCEPTED in (Path(__file__).parents[2] / "docs" / "pictures.md").read_text()


@pytest.mark.field("01")
async def test_a_turned_tiff_equals_the_same_jpeg(decoder: Decoder) -> None:
    turned, same = await field(decoder, "01_tiff_orientation6.tif"), await field(decoder, "01_same_as.jpg")
    assert turned.shape == same.shape == (96, 48, 3)
    assert np.abs(turned - same).max() <= 4


@pytest.mark.field("02")
@pytest.mark.field("04")
@pytest.mark.field("05")
@pytest.mark.parametrize(
    "name",
    [
        "02_grey_alpha_linear_icc.png",
        "02_control_grey_linear_icc.png",
        "04_linear_named_srgb.png",
        "04_control_linear_other_name.png",
        "05_gama_linear.png",
    ],
)
async def test_colours_are_shown_as_a_browser_shows_them(decoder: Decoder, name: str) -> None:
    assert (await field(decoder, name))[64, 64, :3].tolist() == [0x80, 0x80, 0x80]


@pytest.mark.field("05")
async def test_colours_by_gamma_keep_their_numbers_and_get_a_profile(decoder: Decoder) -> None:
    original = await decoder.decode_original((FIELD / "05_gama_linear.png").read_bytes())
    assert original.pixels[64, 64].tolist() == [55, 55, 55]
    assert original.profile is not None and not original.converted


@pytest.mark.field("06")
@pytest.mark.parametrize("name", ["06_grey4_trns.png", "06_rgb16_trns.png"])
async def test_the_transparent_colour_is_transparent(decoder: Decoder, name: str) -> None:
    alpha = (await field(decoder, name))[..., 3]
    middle = alpha.shape[1] // 2
    assert (alpha[:, :middle] == 0).all() and (alpha[:, middle:] == 255).all()


@pytest.mark.field("08")
async def test_floating_point_samples_are_a_ramp(decoder: Decoder) -> None:
    ramp = (await field(decoder, "08_float.tif"))[32, :, 0]
    assert np.abs(ramp - np.linspace(0, 255, 256)).max() <= 1


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.array([[[0.0], [1.5]]], np.float32), "floating-point samples lie between 0 and 1.5"),
        (np.array([[[-0.5], [1.0]]], np.float32), "only 0 (black) to 1 (white) is taken"),
        (np.array([[[np.nan], [1.0]]], np.float32), "floating-point"),
        (np.array([[[np.inf], [1.0]]], np.float32), "floating-point"),
        (np.array([[[7], [1 << 20]]], np.int32), "whole numbers without an agreed scale"),
    ],
)
async def test_samples_without_an_agreed_scale_are_refused_by_name(
    decoder: Decoder, numbers: np.ndarray, words: str
) -> None:
    tags = {339: (3, [2])} if numbers.dtype.kind == "i" else {}
    assert words in await refusal(decoder, tiff(numbers, 1, tags, deflate=False, big=False))


async def test_twelve_bits_are_taken_for_twelve(decoder: Decoder) -> None:
    packed = b"\xff\xf0\x00\x80\x08\x00"  # 4095, 0, 2048, 2048
    content = bytearray(tiff(np.zeros((1, 6, 1), np.uint8), 1, {}, deflate=False, big=False))
    content[8:14] = packed
    for tag, value in ((256, 4), (258, 12)):
        at = content.index(tag.to_bytes(2, "little") + (b"\4\0" if tag == 256 else b"\3\0") + b"\1\0\0\0")
        content[at + 8 : at + 10] = value.to_bytes(2, "little")
    picture = await decoder.decode(bytes(content))
    assert picture.pixels[0, :, 0].tolist() == [255, 0, 128, 128]
    assert picture.facts.depth == 12


@pytest.mark.field("13")
async def test_a_profile_of_inks_in_a_picture_of_colours_is_left_out_and_that_is_told(decoder: Decoder) -> None:
    picture = await decoder.decode((FIELD / "13_rgba_cmyk_icc.png").read_bytes())
    assert picture.pixels[64, 100].tolist() == [200, 30, 60, 255]
    assert picture.notes == (Note.PROFILE_IGNORED,)


async def test_inks_without_a_profile_are_told(decoder: Decoder) -> None:
    inks = DRAWN.convert("CMYK")
    assert (await decoder.decode(saved(inks, "JPEG"))).notes == (Note.INKS_WITHOUT_PROFILE,)
    assert (await decoder.decode(saved(inks, "JPEG", icc_profile=INKS))).notes == ()


@pytest.mark.field("19")
@pytest.mark.parametrize(
    ("name", "shape"), [("19_odd_333x501.png", (501, 333, 3)), ("19_thin_3000x9.png", (9, 3000, 3))]
)
async def test_odd_and_thin_pictures_come_whole(decoder: Decoder, name: str, shape: tuple[int, int, int]) -> None:
    assert (await field(decoder, name)).shape == shape


@pytest.mark.field("big-endian-bigtiff")
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
async def test_a_tiff_is_the_same_in_either_order_and_size(decoder: Decoder, kind: type, channels: int) -> None:
    numbers: np.ndarray = np.random.default_rng(5).integers(0, np.iinfo(kind).max, (12, 20, channels)).astype(kind)
    alpha = {338: (3, [2])} if channels in (2, 4) else {}
    for deflate in (False, True):
        files = [bigtiff(numbers, deflate=deflate, big=big) for big in (False, True)]
        photometric = 2 if channels > 2 else 1
        files += [tiff(numbers, photometric, alpha, deflate=deflate, big=big) for big in (False, True)]
        assert {file[:4] for file in files} == {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
        if kind is np.uint16 and channels == 2:
            for file in files:
                await refusal(decoder, file)
            continue
        pictures = [await decoder.decode(file) for file in files]
        assert all(np.array_equal(picture.pixels, pictures[0].pixels) for picture in pictures)
        shown = numbers >> (8 * (np.dtype(kind).itemsize - 1))
        assert np.abs(pictures[0].pixels[..., -1].astype(int) - shown[..., -1]).max() <= 1


async def test_a_big_tiff_that_is_cut_off_is_refused(decoder: Decoder) -> None:
    whole = bigtiff(np.zeros((12, 20, 3), np.uint8), deflate=False, big=True)
    for end in (4, 8, 12, 16, 200, len(whole) - 150):
        await refusal(decoder, whole[:end])


async def test_lab_colours_are_shown(decoder: Decoder) -> None:
    lab = Image.new("LAB", (4, 4), (136, 208, 195))
    with io.BytesIO() as target:
        lab.save(target, "TIFF")
        picture = await decoder.decode(target.getvalue())
    assert picture.pixels.shape == (4, 4, 3)
    red, green, blue = picture.pixels[0, 0].astype(int)
    assert red > 200 > 60 > max(green, blue)
