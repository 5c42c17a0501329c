"""The denoiser, its text encoder and its schedule, and how the coarse denoiser grows into the one of full size."""

import torch
from captions import LENGTH
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 128
COARSE_WIDTHS = (32, 64, 128, 160)
LATENT_CHANNELS = 4


def make_unet(*, fine: bool) -> UNet2DConditionModel:
    """Thin where the latents are large and wide where they are small; attention only on the two smallest levels.

    The coarse one works on latents of 16x16; the fine one is the same with a level of 32x32 around it.
    """
    widths = (COARSE_WIDTHS[0], *COARSE_WIDTHS) if fine else COARSE_WIDTHS
    outer = len(widths) - 2
    return UNet2DConditionModel(
        sample_size=32 if fine else 16,
        block_out_channels=widths,
        down_block_types=("DownBlock2D",) * outer + ("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",) * outer,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        use_linear_projection=True,
    )


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        projection_dim=TEXT_WIDTH,
    )
    return CLIPTextModel(config)


def make_scheduler() -> DDIMScheduler:
    """Predicts v, and its last step is pure noise, so that dark and bright pictures come out as such."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )


def _inner_name(name: str) -> str:
    """Where a weight of the coarse denoiser goes in the fine one: a level deeper on the way down, the same going up."""
    if name.startswith("down_blocks."):
        _, place, rest = name.split(".", 2)
        return f"down_blocks.{int(place) + 1}.{rest}"
    return name


def _identity(weight: Tensor) -> None:
    """Make a convolution hand its first input channels on unchanged."""
    weight.zero_()
    middle = weight.shape[-1] // 2
    for channel in range(min(weight.shape[:2])):
        weight[channel, channel, middle, middle] = 1.0


@torch.no_grad()
def grow(coarse: UNet2DConditionModel) -> UNet2DConditionModel:
    """The fine denoiser that at first does what the coarse one does to every second row and column of the latents.

    Its new outer level begins as a passage: the latents go in unchanged beside some free channels, the way down
    applies the coarse network's first convolution, and the way up hands on what the coarse network found.
    """
    fine, first = make_unet(fine=True), coarse.conv_in
    weights = {_inner_name(name): value for name, value in coarse.state_dict().items() if "conv_in" not in name}
    fine.load_state_dict(weights, strict=False)
    fine.conv_in.weight[:LATENT_CHANNELS].zero_()
    _identity(fine.conv_in.weight[:LATENT_CHANNELS])
    fine.conv_in.bias[:LATENT_CHANNELS].zero_()
    outward, inward = fine.down_blocks[0].downsamplers[0].conv, fine.up_blocks[-2].upsamplers[0].conv
    outward.weight.zero_()
    outward.weight[:, :LATENT_CHANNELS] = first.weight
    outward.bias.copy_(first.bias)
    _identity(inward.weight)
    inward.bias.zero_()
    for resnet in (*fine.down_blocks[0].resnets, *fine.up_blocks[-1].resnets):
        resnet.conv2.weight.zero_()
        resnet.conv2.bias.zero_()
        if resnet.conv_shortcut is not None:
            _identity(resnet.conv_shortcut.weight)
            resnet.conv_shortcut.bias.zero_()
    return fine
