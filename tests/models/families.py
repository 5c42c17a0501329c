"""Tiny random-weight diffusers directories of every served family, built offline in under a second."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

CAPTIONS = [
    "a photo of a red mug on a white background",
    "a blue sneaker, studio light",
    "green t-shirt with a star logo",
    "pink handbag on a wooden table, neon style",
] * 4
HALF_LINEAR = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def build(name: str, into: Path, *, seed: int = 0, **options: Any) -> Path:
    """A directory of the family `name` in `into`; options go to its builder."""
    torch.manual_seed(seed)
    directory = into / name
    pipe = BUILDERS[name](into / f"{name}-tokenizers", **options)
    pipe.save_pretrained(directory)
    return directory


def _clip_tokenizer(path: Path) -> CLIPTokenizer:
    """Byte-level, without merges: 256 bytes, the same at a word's end, and two marks."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + at) for at in range(len(others))]
    vocabulary = letters + [f"{letter}</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    path.mkdir(parents=True, exist_ok=True)
    ids = {token: at for at, token in enumerate(vocabulary)}
    (path / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    (path / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    files = {"vocab": str(path / "vocab.json"), "merges": str(path / "merges.txt")}
    CLIPTokenizer(**files, model_max_length=24, pad_token="<|endoftext|>").save_pretrained(path)
    return CLIPTokenizer.from_pretrained(path)


def _t5_tokenizer(path: Path) -> T5TokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "T5TokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    settings |= {"eos_token": "</s>", "unk_token": "<unk>", "model_max_length": 32, "extra_ids": 0}
    (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return T5TokenizerFast.from_pretrained(path, extra_ids=0)


def _clip(tokenizer: CLIPTokenizer, **options: Any) -> CLIPTextConfig:
    size = len(tokenizer)
    return CLIPTextConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=24, projection_dim=32, bos_token_id=size - 2, eos_token_id=size - 1,
        pad_token_id=size - 1, **options,
    )  # fmt: skip


def _t5(tokenizer: T5TokenizerFast, width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    return T5EncoderModel(config)


def _vae(channels: int, scaling: float, *, shift: float | None = None) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(16, 32), layers_per_block=1, latent_channels=channels, norm_num_groups=8, sample_size=32,
        mid_block_add_attention=False, scaling_factor=scaling, shift_factor=shift,
        use_quant_conv=shift is None, use_post_quant_conv=shift is None,
    )  # fmt: skip


def _unet(width: int, *, in_channels: int = 4, **options: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=32, in_channels=in_channels, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, cross_attention_dim=width, norm_num_groups=8, **options,
    )  # fmt: skip


def _sd(tokenizers: Path, *, scheduler: Any = None, in_channels: int = 4) -> StableDiffusionPipeline:
    tokenizer = _clip_tokenizer(tokenizers / "1")
    return StableDiffusionPipeline(
        vae=_vae(4, 0.18215), text_encoder=CLIPTextModel(_clip(tokenizer)), tokenizer=tokenizer,
        unet=_unet(32, in_channels=in_channels),
        scheduler=scheduler or DDIMScheduler(**HALF_LINEAR, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def _sdxl(tokenizers: Path) -> StableDiffusionXLPipeline:
    first, second = _clip_tokenizer(tokenizers / "1"), _clip_tokenizer(tokenizers / "2")
    unet = _unet(
        64, addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=_vae(4, 0.13025), text_encoder=CLIPTextModel(_clip(first)), tokenizer=first, unet=unet,
        text_encoder_2=CLIPTextModelWithProjection(_clip(second, hidden_act="gelu")), tokenizer_2=second,
        scheduler=EulerDiscreteScheduler(**HALF_LINEAR, timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )  # fmt: skip


def _sd3(tokenizers: Path) -> StableDiffusion3Pipeline:
    first, second = _clip_tokenizer(tokenizers / "1"), _clip_tokenizer(tokenizers / "2")
    third = _t5_tokenizer(tokenizers / "3")
    transformer = SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=64, pooled_projection_dim=64,
    )  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(16, 1.5305, shift=0.0609),
        text_encoder=CLIPTextModelWithProjection(_clip(first)), tokenizer=first,
        text_encoder_2=CLIPTextModelWithProjection(_clip(second, hidden_act="gelu")), tokenizer_2=second,
        text_encoder_3=_t5(third, 64), tokenizer_3=third,
    )  # fmt: skip


def _flux(tokenizers: Path, *, guidance_embeds: bool = True) -> FluxPipeline:
    first, second = _clip_tokenizer(tokenizers / "1"), _t5_tokenizer(tokenizers / "2")
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=guidance_embeds,
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256,
        max_image_seq_len=4096,
    )  # fmt: skip
    return FluxPipeline(
        scheduler=scheduler, vae=_vae(4, 0.3611, shift=0.1159), transformer=transformer,
        text_encoder=CLIPTextModel(_clip(first)), tokenizer=first, text_encoder_2=_t5(second, 32), tokenizer_2=second,
    )  # fmt: skip


BUILDERS = {"sd": _sd, "sdxl": _sdxl, "sd3": _sd3, "flux": _flux}
