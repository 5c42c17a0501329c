"""The numerical work on slots: begin one, take a step with several, make pictures of those that are done."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from .families import Conditioning
from .loading import Model
from .pictures import latent_mask, mask_alpha, paste_back, to_pixels, to_tensor
from .ports import Pixels, Sink
from .request import Request
from .slots import Original, Slot
from .waiting import Ticket

PROMPTS_KEPT = 128
# Encoding a prompt and every step with it take longer with each window, and everybody waits for it.
MOST_WINDOWS = 8
PROBE_BLOCKS = 4  # side of the canary's picture, in `multiple_of`


def seeded(seed: int) -> torch.Generator:
    """PyTorch's generator takes 64 bits and goes by the lower 32; a larger seed is told by a digest of all of them."""
    if seed >= 2**32:
        seed = int.from_bytes(hashlib.blake2b(seed.to_bytes(8), digest_size=4).digest())
    return torch.Generator().manual_seed(seed)


class Painter:
    """Runs in one thread only, with grad mode off."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._family = model.family
        self._prompts: OrderedDict[tuple[str, str, bool, bool], Conditioning] = OrderedDict()
        self._decodes = False

    def begin(self, ticket: Ticket) -> Slot:
        request, family = ticket.request, self._family
        guided = family.guides(request.guidance)
        conditioning = self._encode(request, guided)
        size = (request.height, request.width)
        scheduler = family.new_scheduler()
        family.set_timesteps(scheduler, request.steps, size)
        slot = Slot(
            request=request, sink=ticket.sink, conditioning=conditioning, scheduler=scheduler,
            generator=seeded(request.seed), latents=torch.empty(0),
            timesteps=scheduler.timesteps, guided=guided, adapters=ticket.adapters,
            ignored=self._ignored(request, conditioning), warnings=tuple(self.model.vocabulary.warnings(request)),
            arrived=ticket.arrived,
        )  # fmt: skip
        if request.image is None:
            slot.latents = family.start(self._noise(request, slot.generator), scheduler)
        else:
            self._begin_from(slot, request.image)
        return slot

    def _begin_from(self, slot: Slot, image: Pixels) -> None:
        """Image to image; the order of random draws is diffusers'."""
        request, family = slot.request, self._family
        skipped = min(family.skipped_steps(request.steps, request.strength), request.steps - 1)
        first = skipped * slot.scheduler.order
        slot.timesteps = slot.timesteps[first:]
        if hasattr(slot.scheduler, "set_begin_index"):
            slot.scheduler.set_begin_index(first)
        latents = family.to_latents(to_tensor(image), slot.generator)
        noise = self._noise(request, slot.generator)
        if request.mask is not None and request.strength == 1:
            slot.latents = family.start(noise, slot.scheduler)
        else:
            slot.latents = family.add_noise(slot.scheduler, latents, noise, slot.timestep[None])
        slot.original = self._original(request, latents, noise, image)

    def _noise(self, request: Request, generator: torch.Generator) -> torch.Tensor:
        size = (request.height, request.width)
        noise = self._family.noise(size, generator)
        if not request.variation:
            return noise
        other = self._family.noise(size, seeded(request.variation_seed))
        return slerp(noise, other, request.variation)

    def _original(self, request: Request, latents: torch.Tensor, noise: torch.Tensor, image: Pixels) -> Original:
        if request.mask is None:
            return Original(latents, noise, image)
        family = self._family
        alpha = mask_alpha(request.mask)
        mask = latent_mask(alpha, family.scale).expand(-1, family.channels, -1, -1)
        return Original(latents, noise, image, family.pack(mask.to(family.device, family.dtype)), alpha)

    def _encode(self, request: Request, guided: bool) -> Conditioning:
        adapted = bool(request.loras)
        key = (request.prompt, request.negative_prompt if guided else "", guided, adapted)
        found = self._prompts.get(key)
        if found is None:
            (prompt, rest), (negative, negative_rest) = (self._readable(text, adapted) for text in key[:2])
            found = self._family.encode(prompt, negative, guided=guided)
            found = replace(found, unheard=f"{found.unheard} {rest}", unheard_negative=negative_rest)
            self._prompts[key] = found
            if len(self._prompts) > PROMPTS_KEPT:
                self._prompts.popitem(last=False)
        self._prompts.move_to_end(key)
        return found

    def _readable(self, text: str, adapted: bool) -> tuple[str, str]:
        """What the encoders are given of a text, and what lies beyond their windows.

        A model of few words is given, of a text longer than its window, those that it knows; a LoRA may have taught it
        others. Where it knows none, one window says as little as all.
        """
        vocabulary, most = self.model.vocabulary, MOST_WINDOWS
        text = vocabulary.readable(text) if vocabulary.says_words else text
        parts = self._family.windows(text)
        if vocabulary.says_words and not adapted and len(parts) > 1:
            known = vocabulary.essence(text)
            parts, most = (self._family.windows(known), most) if known else (parts, 1)
        return "".join(parts[:most]), "".join(parts[most:])

    def _ignored(self, request: Request, conditioning: Conditioning) -> tuple[dict[str, Any], ...]:
        family = self._family
        unguided = not family.guides(request.guidance)
        silent = {
            "prompt": conditioning.unheard.split(),
            "negative_prompt": (request.negative_prompt if unguided else conditioning.unheard_negative).split(),
        }
        found = [{"field": name, "words": words} for name, words in silent.items() if words]
        if request.chose_guidance and not family.takes_guidance:
            found.append({"field": "guidance", "words": []})
        if request.image is not None and family.skipped_steps(request.steps, request.strength) >= request.steps:
            found.append({"field": "strength", "words": []})
        return tuple(found)

    def predict(self, group: Sequence[Slot]) -> list[torch.Tensor]:
        return self._family.predict(group)

    def advance(self, slot: Slot, prediction: torch.Tensor, *, reported: bool = True) -> Pixels | None:
        """One step; the preview, where this step is reported and is to have one."""
        estimate = self._family.advance(slot, prediction)
        every = slot.request.preview_every
        if not reported or not every or slot.index - slot.previewed < every:
            return None
        slot.previewed = slot.index
        size = (slot.request.height, slot.request.width)
        return self.model.preview.render(self._family.unpack(estimate, size))

    def develop(self, slot: Slot) -> Pixels:
        """The finished picture; raises ArithmeticError where the network's numbers overflowed."""
        request = slot.request
        latents = self._family.unpack(slot.latents, (request.height, request.width))
        picture = self._family.to_picture(latents)[0]
        if not torch.isfinite(picture).all():
            raise ArithmeticError("the picture came out as no numbers")
        painted = to_pixels(picture)
        original = slot.original
        if original is None or original.alpha is None:
            return painted
        return paste_back(painted, original.pixels, original.alpha)

    def probe(self, sink: Sink) -> None:
        """A real step on a tiny picture, the first time a picture as well; raises what the model raises, and
        ArithmeticError for answers that are none.
        """
        limits = self.model.limits
        side = PROBE_BLOCKS * limits.multiple_of
        request = Request("", side, side, steps=1, guidance=limits.guidance, seed=0, preview_every=0)
        slot = self.begin(Ticket(request, sink))
        prediction = self.predict([slot])[0]
        _check_answer("the network", prediction, slot.latents.shape[-1:])
        if not self._decodes:  # what decodes once goes on to: the weights stay as they are
            picture = self._family.to_picture(self._family.unpack(slot.latents, (side, side)))
            _check_answer("the VAE", picture, (side, side))
            self._decodes = True


def _check_answer(who: str, answer: torch.Tensor, shape: Sequence[int]) -> None:
    """To noise. Raises ArithmeticError."""
    if tuple(answer.shape[-len(shape) :]) != tuple(shape):
        raise ArithmeticError(f"{who} answers {list(answer.shape)}, not [..., {', '.join(map(str, shape))}]")
    if not torch.isfinite(answer).all():
        raise ArithmeticError(f"{who} answers no numbers")
    if float(answer.float().std()) == 0:
        raise ArithmeticError(f"{who} answers the same everywhere")


def slerp(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """Spherical interpolation (Shoemake 1985): what lies between two noises is noise of the same strength."""
    a, b = start.double().flatten(), end.double().flatten()
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if angle < 1e-6:
        return start
    mixed = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    return mixed.reshape(start.shape).to(start.dtype)
