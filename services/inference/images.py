"""Pictures of a request, through the guarded loader, as the models want them."""

from __future__ import annotations

from typing import Any

from services.imaging.decoder import DecodedPicture
from services.imaging.loader import ImageLoader
from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.inference.originals import OriginalPicture, TaskPicture


class TaskImages:
    """Whatever a request names as a picture."""

    def __init__(self, loader: ImageLoader) -> None:
        self._loader = loader

    async def load(self, reference: str, *, tenant: str, local: bool = False) -> TaskPicture:
        """In sRGB, with its own transparency. Raises what the loader raises."""
        content = await self._loader.fetch(reference, tenant=tenant, local=local)
        found = await self._loader.decode(content)
        return TaskPicture(**_told(found), content=content)

    async def load_original(
        self, reference: str, *, tenant: str, local: bool = False, grey: bool = True
    ) -> OriginalPicture:
        """In its own colours; without `grey` a grey picture becomes sRGB. `local` allows a file of this machine."""
        return await self.original(await self._loader.fetch(reference, tenant=tenant, local=local), grey=grey)

    async def original(self, content: bytes, *, grey: bool = True) -> OriginalPicture:
        """The same of a file that is here."""
        found = await self._loader.decode_original(content, grey=grey)
        kind = content_type_of(content[:HEAD_BYTES])
        return OriginalPicture(**_told(found), content=content, content_type=kind, profile=found.profile)

    async def in_profile(self, colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
        """An sRGB colour in the numbers of an ICC profile."""
        return await self._loader.in_profile(colour, profile)


def _told(found: DecodedPicture) -> dict[str, Any]:
    """What a picture and an original have in common."""
    return {
        "pixels": found.pixels,
        "converted": found.converted,
        "grey": found.grey,
        "density": found.density,
        "rights": found.rights,
        "notes": tuple(found.notes),
    }
