"""What a handler cannot keep of a picture it says, and what it did not touch comes back as it was."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.common.errors import InvalidRequest, ProviderRefused
from services.imaging.decoder import DecodeLimits, Decoder
from services.inference.xmp import XmpDescription, new_packet
from services.providers.capabilities.animating import Animation, Film
from services.providers.capabilities.editing import EditRequest
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.directory import Providers
from services.providers.film_facts import read_facts
from services.providers.media import Made, Media
from services.providers.ports import Drawing, DrawnPicture, ModelCard, OnStep
from tests.corpora.pictures import INKS, WIDE
from tests.fakes.provider_context import provider_context_of
from tests.fakes.vendors.films import least_alpha, transparent_film
from tests.picture_bench import PictureBench, Silence, many, opened, saved

pytestmark = pytest.mark.asyncio(loop_scope="module")
# Nobody is in it, and most of it lies outside sRGB.
NUMBERS = np.random.default_rng(9).integers(0, 256, (90, 120, 4), np.uint8)
NUMBERS[..., 3] = 255
NUMBERS[:20, :, 3] = 0
COLOURS = Image.fromarray(NUMBERS[..., :3])
WIDE_PNG = saved(COLOURS, icc_profile=WIDE)
CARD = ModelCard("vendor/model", "", "")
PLUS = "http://ns.useplus.org/ldf/vocab/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def media() -> AsyncIterator[Media]:
    async with Decoder(DecodeLimits(), workers=1) as decoder:
        yield Media(cast("Any", None), decoder, max_bytes=1 << 20)


def told(result: Any) -> list[tuple[str, str]]:
    return [(found.picture, found.note) for found in result.notes]


@pytest.mark.field("profile-lost")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
async def test_a_picture_without_a_face_comes_back_in_its_own_colours(bench: PictureBench, mode: str) -> None:
    picture = Image.fromarray(NUMBERS).convert(mode)
    content = saved(picture, icc_profile=WIDE) if mode != "L" else saved(picture)
    result = await bench.run("FACE_ENHANCER", input_image=bench.put(content))
    made = bench.picture(result.result_image_path)
    assert (made.mode, made.info.get("icc_profile")) == (mode, WIDE if mode != "L" else None)
    wanted, found = np.asarray(picture), np.asarray(made)
    seen = (
        wanted[..., 3:] > 0
        if mode == "RGBA"
        else np.ones((*wanted.shape[:2], *((1,) if wanted.ndim == 3 else ())), bool)
    )
    assert np.array_equal(found * seen, wanted * seen)
    assert (result.face_detected, told(result)) == (False, [])


@pytest.mark.field("profile-lost")
async def test_so_does_a_garment_that_is_not_found_and_a_picture_nothing_is_asked_of(bench: PictureBench) -> None:
    base = bench.put(WIDE_PNG)
    plain = bench.put(Image.new("RGB", (120, 90), "white"))
    garment = await bench.run("DETAIL_ENHANCER", base_image=base, reference_image=plain)
    left = await bench.run("REFINE", base_image_url=base, upscale_enabled=False, face_detail_enabled=True)
    same = await bench.run("EDITING", base_image=base, prompt="a hat", edit_strength=0)
    for result in (garment, left, same):
        made = bench.picture(result.result_image_path)
        assert made.info.get("icc_profile") == WIDE
        assert np.array_equal(np.asarray(made), np.asarray(COLOURS))
        assert told(result) == []


@pytest.mark.field("profile-lost")
async def test_a_profile_that_does_not_stay_is_told(bench: PictureBench) -> None:
    base, inks = bench.put(WIDE_PNG), bench.put(saved(COLOURS.convert("CMYK"), "TIFF", icc_profile=INKS))
    converted = [("base_image", "PROFILE_CONVERTED")]
    assert told(await bench.run("EDITING", base_image=base, prompt="a hat")) == converted
    assert told(await bench.run("REFINE", base_image_url=base, upscale_factor=2.0)) == [
        ("base_image_url", "PROFILE_CONVERTED")
    ]
    film = await bench.run("VIDEO_GENERATION", prompt="pan left", input_image_path=base, duration_seconds=1)
    assert told(film) == [("input_image_path", "PROFILE_CONVERTED")]
    cut = await bench.run("IMAGE_ADJUSTER", input_image=inks, aspect_ratio=1.0, mode="crop")
    assert (told(cut), cut.icc_profile) == ([("input_image", "PROFILE_CONVERTED")], "converted")
    fixed = await bench.run("BACKGROUND_FIX", base_image=inks, background_color="white")
    assert told(fixed) == converted


async def test_colours_of_what_only_tells_something_do_not_matter(bench: PictureBench) -> None:
    plain, wide = bench.put(COLOURS), bench.put(WIDE_PNG)
    assert told(await bench.run("EDITING", base_image=plain, mask_image=wide, prompt="a hat")) == []
    assert told(await bench.run("BACKGROUND_FIX", base_image=plain, palette_image=wide)) == []


@pytest.mark.field("cropped-by-size")
@pytest.mark.parametrize("strength", [0, 60])
@pytest.mark.parametrize(
    ("width", "height", "notes"), [(90, 90, 1), (240, 90, 1), (240, 180, 0), (96, 72, 0), (95, 71, 0)]
)
async def test_an_edit_to_another_shape_is_told(
    bench: PictureBench, strength: int, width: int, height: int, notes: int
) -> None:
    result = await bench.run(
        "EDITING", base_image=bench.put(COLOURS), prompt="a hat", edit_strength=strength, width=width, height=height
    )
    assert bench.picture(result.result_image_path).size == (width, height)
    assert told(result) == [("base_image", "PROPORTIONS_CHANGED")] * notes


@pytest.mark.field("cropped-by-size")
async def test_so_is_an_enlargement_and_a_drawing_from_a_reference(bench: PictureBench) -> None:
    base = bench.put(COLOURS)
    larger = await bench.run("REFINE", base_image_url=base, target_width=180, target_height=180)
    assert told(larger) == [("base_image_url", "PROPORTIONS_CHANGED")]
    drawn = await bench.run("GENERATION", prompt="a mug", reference_image_path=base, width=64, height=64)
    assert told(drawn) == [("reference_image_path", "PROPORTIONS_CHANGED")]
    assert told(await bench.run("GENERATION", prompt="a mug", reference_image_path=base, width=120, height=90)) == []


@dataclass
class Vendor:
    """Answers whatever it is asked with one picture, or film."""

    made: Made
    film: Film | None = None
    checks: dict[str, Any] = field(default_factory=dict)
    canaries: dict[str, Any] = field(default_factory=dict)
    terms = None

    def configured(self, config: object, call: object) -> Vendor:
        return self

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        return self.made.by(CARD)

    async def edit(self, edit: EditRequest, on_step: OnStep) -> DrawnPicture:
        return self.made.by(CARD)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        return RefineResultPicture(self.made.by(CARD))

    async def animate(self, animation: Animation, on_step: OnStep) -> Film:
        assert self.film is not None
        return self.film


async def asked(bench: PictureBench, made: Made | Vendor, kind: str, **fields: Any) -> Any:
    around, vendor = bench.resources, made if isinstance(made, Vendor) else Vendor(made)
    provider_context = provider_context_of(Providers({"LOCAL": cast("Any", vendor)}), cast("Any", Silence()))
    bench.resources = replace(around, provider_context=provider_context)
    try:
        return await bench.run(kind, **fields)
    finally:
        bench.resources = around


@pytest.mark.field("vendor-alpha")
async def test_a_vendors_transparency_is_kept(bench: PictureBench, media: Media) -> None:
    made = await media.decode(saved(NUMBERS))
    assert made.alpha is not None and (made.pixels[:20] == 255).all()
    base = bench.put(COLOURS)
    for kind, fields in (
        ("GENERATION", {"prompt": "a sticker"}),
        ("EDITING", {"prompt": "a sticker", "base_image": base}),
        ("REFINE", {"base_image_url": base}),
    ):
        result = await asked(bench, made, kind, **fields)
        shown = bench.pixels(result.result_image_path)
        assert np.array_equal(shown[20:], NUMBERS[20:])
        assert not shown[:20].any()
        assert told(result) == []


@pytest.mark.field("vendor-alpha")
async def test_it_hides_no_less_than_the_pictures_own(bench: PictureBench, media: Media) -> None:
    own = NUMBERS.copy()
    own[..., 3] = 255
    own[:, :60, 3] = 128
    made = await media.decode(saved(NUMBERS))
    result = await asked(bench, made, "EDITING", prompt="a sticker", base_image=bench.put(own))
    alpha = bench.pixels(result.result_image_path)[..., 3]
    assert (alpha[:20] == 0).all() and (alpha[20:, :60] == 128).all() and (alpha[20:, 60:] == 255).all()


@pytest.mark.field("vendor-alpha")
async def test_an_answer_in_which_nothing_can_be_seen_is_no_result(bench: PictureBench, media: Media) -> None:
    made = await media.decode(saved(np.zeros((90, 120, 4), np.uint8)))
    with pytest.raises(InvalidRequest) as caught:
        await asked(bench, made, "GENERATION", prompt="nothing")
    assert caught.value.reason == "RESULT_EMPTY"


async def test_what_else_of_a_vendors_file_is_not_taken_is_told(bench: PictureBench, media: Media) -> None:
    moving = io.BytesIO()
    COLOURS.save(moving, "WEBP", save_all=True, append_images=[Image.new("RGB", COLOURS.size)])
    result = await asked(bench, await media.decode(moving.getvalue()), "GENERATION", prompt="a mug")
    assert told(result) == [("result_image_path", "ANIMATION_FIRST_FRAME")]
    opaque = await media.decode(saved(np.dstack([NUMBERS[..., :3], np.full((90, 120), 255, np.uint8)])))
    assert opaque.alpha is None
    with pytest.raises(ProviderRefused):
        await media.decode(b"<svg/>")


@pytest.mark.field("second-notice")
async def test_of_two_pictures_the_notice_that_is_not_carried_over_is_told(bench: PictureBench, media: Media) -> None:
    def by(creator: str, notice: str) -> str:
        exif = Image.Exif()
        exif[0x013B], exif[0x8298] = creator, notice
        return bench.put(saved(COLOURS, exif=exif))

    made = await media.decode(saved(COLOURS))
    for second, notes in (("(c) Bo", [("reference_images[0]", "RIGHTS_LEFT_OUT")]), ("(c) Ana", [])):
        fields = {"base_image": by("Ana", "(c) Ana"), "reference_images": many([by("Bo", second)])}
        result = await asked(bench, made, "EDITING", prompt="a hat", **fields)
        assert told(result) == notes
        packet = bench.picture(result.result_image_path).info["xmp"].decode()
        assert "(c) Ana" in packet and "Bo" in packet and "(c) Bo" not in packet


@pytest.mark.field("looser-word-first")
@pytest.mark.parametrize("order", [("DMI-ALLOWED", "DMI-PROHIBITED"), ("DMI-PROHIBITED", "DMI-ALLOWED")])
async def test_a_picture_made_of_two_reserves_what_the_stricter_reserves(
    bench: PictureBench, media: Media, order: tuple[str, str]
) -> None:
    def png(word: str) -> str:
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", new_packet(XmpDescription(None, None, data_mining=PLUS + word)).decode())
        return bench.put(saved(COLOURS, pnginfo=chunks))

    base, reference = map(png, order)
    fields = {"base_image": base, "reference_images": many([reference]), "prompt": "a hat"}
    result = await asked(bench, await media.decode(saved(COLOURS)), "EDITING", **fields)
    packet = bench.picture(result.result_image_path).info["xmp"].decode()
    assert PLUS + "DMI-PROHIBITED" in packet and "ALLOWED" not in packet
    looser = "base_image" if order[0] == "DMI-ALLOWED" else "reference_images[0]"
    assert told(result) == [(looser, "RIGHTS_LEFT_OUT")]


# Kind, its codec with transparency, and whether what is stored is called so.
FILMS = {
    "mov": ["-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"],
    "mp4": ["-c:v", "libx264", "-pix_fmt", "yuv420p"],
}


@pytest.mark.field("film-alpha")
@pytest.mark.parametrize("kind", FILMS)
async def test_a_vendors_film_is_kept_as_it_was_made(bench: PictureBench, kind: str) -> None:
    made = transparent_film(kind, *FILMS[kind])
    facts = read_facts(made)
    film = Film(made, facts.width, facts.height, facts.frames, facts.fps, model=CARD)
    vendor = Vendor(Made(NUMBERS[..., :3]), film=film)
    result = await asked(bench, vendor, "VIDEO_GENERATION", prompt="it turns", input_image_path=bench.put(COLOURS))
    assert result.result_video_path.endswith("." + kind)
    stored = bench.file(result.result_video_path)
    assert stored.startswith(made) and len(stored) > len(made)
    assert least_alpha(stored) == (0 if kind == "mov" else 255)
