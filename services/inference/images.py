"""Pictures of a request, through the guarded loader, as the models want them."""

from __future__ import annotations

from services.imaging.loader import ImageLoader
from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.inference.originals import OriginalPicture, TaskPicture


class TaskImages:
    """Whatever a request names as a picture."""

    def __init__(self, loader: ImageLoader) -> None:
        self._loader = loader

    async def load(self, reference: str, *, tenant: str, local: bool = False) -> TaskPicture:
        """In sRGB, with its own transparency. Raises what the loader raises."""
        picture = await self._loader.load(reference, tenant=tenant, local=local)
        return TaskPicture(
            pixels=picture.pixels, density=picture.density, rights=picture.rights, notes=tuple(picture.notes)
        )

    async def load_original(
        self, reference: str, *, tenant: str, local: bool = False, grey: bool = True
    ) -> OriginalPicture:
        """In its own colours; without `grey` a grey picture becomes sRGB. `local` allows a file of this machine."""
        content = await self._loader.fetch(reference, tenant=tenant, local=local)
        found = await self._loader.decode_original(content, grey=grey)
        content_type = content_type_of(content[:HEAD_BYTES])
        return OriginalPicture(
            content=content,
            content_type=content_type,
            pixels=found.pixels,
            profile=found.profile,
            converted=found.converted,
            density=found.density,
            rights=found.rights,
            notes=tuple(found.notes),
        )

    async def in_profile(self, colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
        """An sRGB colour in the numbers of an ICC profile."""
        return await self._loader.in_profile(colour, profile)
