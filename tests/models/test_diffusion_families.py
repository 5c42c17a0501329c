"""Every family draws what diffusers' own pipeline draws."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from diffusion.errors import ModelUnsupported
from diffusion.loading import load_model
from diffusion.pictures import to_pixels
from diffusion.preview import fit_preview
from diffusion.settings import Settings
from diffusion_stage import (
    SIDE,
    Client,
    Stage,
    directory,
    distance,
    draw_with,
    load_pipeline,
    open_stage,
    photo,
    pipeline,
)
from PIL import Image

FAMILIES = ["sd", "sdxl", "sd3", "flux"]


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stage(name: str) -> Iterator[Stage]:
    with_open = open_stage(name)
    yield with_open
    with_open.close()


def test_text_to_image_equals_diffusers_in_pixels(name: str, stage: Stage) -> None:
    assert distance(stage.draw(), draw_with(pipeline(name))) == 0


def test_without_guidance_it_equals_diffusers_too(name: str, stage: Stage) -> None:
    assert distance(stage.draw(guidance=1.0), draw_with(pipeline(name), guidance_scale=1.0)) == 0


def test_a_negative_prompt_does_what_it_does_in_diffusers(name: str, stage: Stage) -> None:
    client = stage.ask(negative_prompt="blue").wait()
    if name == "flux":
        assert client.result["ignored"] == [{"field": "negative_prompt", "words": ["blue"]}]
    else:
        assert distance(client.picture, draw_with(pipeline(name), negative_prompt="blue")) == 0
        assert distance(client.picture, stage.draw()) > 1


def test_a_size_that_is_not_square_equals_diffusers(name: str, stage: Stage) -> None:
    size = {"width": 96, "height": 48}
    picture = stage.draw(**size)
    assert picture.shape == (48, 96, 3)
    assert distance(picture, draw_with(pipeline(name), **size)) == 0


@pytest.mark.parametrize("strength", [0.55, 1.0])
def test_image_to_image_equals_diffusers_but_for_a_few_roundings(name: str, stage: Stage, strength: float) -> None:
    pipe = AutoPipelineForImage2Image.from_pipe(pipeline(name))
    theirs = draw_with(pipe, image=Image.fromarray(photo()), strength=strength, num_inference_steps=6)
    assert_equal_but_for_roundings(stage.draw(image=photo(), strength=strength, steps=6), theirs)


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_inpainting_equals_diffusers_where_painted_and_the_original_elsewhere(
    name: str, stage: Stage, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = photo()[..., 0] * 0
    mask[16:48, 16:48] = 255
    ours = stage.draw(image=photo(), mask=mask, strength=strength, steps=6)
    assert distance(ours[mask == 0], photo()[mask == 0]) == 0
    pipe = AutoPipelineForInpainting.from_pipe(pipeline(name))
    if name == "sd3":
        # Diffusers' StableDiffusion3InpaintPipeline forgets the VAE's shift when it decodes.
        decode, shift = pipe.vae.decode, pipe.vae.config.shift_factor
        monkeypatch.setattr(pipe.vae, "decode", lambda latents, **options: decode(latents + shift, **options))
    options = {"image": Image.fromarray(photo()), "mask_image": Image.fromarray(mask), "strength": strength}
    theirs = draw_with(pipe, **options, num_inference_steps=6, width=SIDE, height=SIDE)
    assert_equal_but_for_roundings(ours[mask == 255], theirs[mask == 255])


def test_a_picture_of_another_size_is_resized(name: str, stage: Stage) -> None:
    mask = photo(100, 50)[..., 0] * 0
    assert distance(stage.draw(image=photo(100, 50), mask=mask), photo()) < 12


def test_every_step_brings_a_preview_that_shows_the_picture(name: str, stage: Stage) -> None:
    client = stage.ask(steps=6).wait()
    assert [event["step"] for event in client.steps] == [1, 2, 3, 4, 5, 6]
    assert len({preview.tobytes() for preview in client.previews}) == 6
    shown = torch.from_numpy(client.previews[-1]).float().flatten()
    picture = torch.from_numpy(client.picture).permute(2, 0, 1).float()
    small = torch.nn.functional.adaptive_avg_pool2d(picture, client.previews[-1].shape[:2]).permute(1, 2, 0).flatten()
    # A decoder of random weights is far from linear: a trained one reaches 0.9.
    assert torch.corrcoef(torch.stack([small, shown]))[0, 1] > 0.15


def test_a_preview_is_exact_where_the_decoder_is_linear() -> None:
    matrix = torch.randn((3, 4), generator=torch.Generator().manual_seed(1)) / 4

    def decode(latents: Any) -> Any:
        colours = torch.einsum("rc,bchw->brhw", matrix, latents) + 0.1
        return torch.nn.functional.interpolate(colours, scale_factor=4.0)

    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    preview = fit_preview(decode, 4, device=torch.device("cpu"))
    assert distance(preview.render(latents), to_pixels(decode(latents)[0])[::4, ::4]) <= 1


def test_a_batch_of_mixed_requests_draws_what_each_draws_alone(name: str, stage: Stage) -> None:
    requests: list[dict[str, Any]] = [
        {"seed": 1, "steps": 3},
        {"seed": 2, "steps": 5, "guidance": 1.0},
        {"seed": 3, "prompt": "a blue sneaker", "guidance": 6.0},
        {"seed": 4, "image": photo(), "strength": 0.7, "negative_prompt": "dark"},
    ]
    alone = [stage.draw(**request) for request in requests]
    clients = [stage.ask(**request) for request in requests]
    for client, picture in zip(clients, alone, strict=True):
        assert distance(client.wait().picture, picture) <= 1
    assert max(max(client.batches) for client in clients) > 1


def test_the_probe_is_a_real_step(stage: Stage) -> None:
    client = Client()
    stage.submit({"canary": True}, client)
    assert client.wait().result["event"] == "canary"


@pytest.mark.parametrize(
    "scheduler",
    [
        PNDMScheduler,
        DPMSolverMultistepScheduler,
        UniPCMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        HeunDiscreteScheduler,
    ],
)
def test_schedulers_with_a_memory_or_noise_of_their_own_equal_diffusers(scheduler: Any, tmp_path: Path) -> None:
    changed = scheduler.from_config(pipeline("sd").scheduler.config)
    path = families.build("sd", tmp_path, scheduler=changed)
    stage = open_stage(load_model(Settings(path)))
    try:
        picture = stage.draw(steps=5)
        together = [stage.ask(steps=5), stage.ask(steps=7, seed=8)]
        assert_equal_but_for_roundings(picture, draw_with(load_pipeline(path), num_inference_steps=5))
        assert distance(together[0].wait().picture, picture) <= 1
        assert together[1].wait().error is None
    finally:
        stage.close()


def test_a_distilled_flux_says_that_it_ignores_guidance() -> None:
    stage = open_stage(load_model(Settings(directory("flux", guidance_embeds=False))))
    try:
        assert stage.ask().wait().result["ignored"] == [{"field": "guidance", "words": []}]
        assert stage.ask(guidance=None).wait().result["ignored"] == []
    finally:
        stage.close()


def test_a_directory_can_name_itself_and_its_defaults(tmp_path: Path) -> None:
    path = families.build("sd", tmp_path)
    index = json.loads((path / "model_index.json").read_text())
    index |= {"_name": "starter", "_licence": "CC0-1.0", "_steps": 12, "_guidance": 2.5}
    (path / "model_index.json").write_text(json.dumps(index))
    model = load_model(Settings(path))
    assert (model.card.name, model.card.licence) == ("starter", "CC0-1.0")
    assert (model.limits.steps, model.limits.guidance) == (12, 2.5)


def test_a_network_made_for_inpainting_only_is_refused(tmp_path: Path) -> None:
    path = families.build("sd", tmp_path, in_channels=9)
    with pytest.raises(ModelUnsupported, match="9 channels, the VAE has 4"):
        load_model(Settings(path))


def test_a_directory_of_another_pipeline_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "KandinskyPipeline"}')
    with pytest.raises(ModelUnsupported, match="KandinskyPipeline; served are FluxPipeline, Stable"):
        load_model(Settings(tmp_path))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match="not a diffusers directory"):
        load_model(Settings(tmp_path))


def assert_equal_but_for_roundings(ours: Any, theirs: Any) -> None:
    """Sums in another order differ in the seventh digit, which now and then tips a rounding."""
    assert distance(ours, theirs) <= 1
    assert np.mean(ours != theirs) < 0.002
