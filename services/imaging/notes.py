"""What has to be told of a picture that was taken all the same: stable words for results and logs."""

from __future__ import annotations

from enum import StrEnum


class Note(StrEnum):
    """Something about the file that its user would want to know."""

    # The end marker is missing; every pixel is there.
    JPEG_END_MISSING = "JPEG_END_MISSING"
    # The first picture of several was taken.
    ANIMATION_FIRST_FRAME = "ANIMATION_FIRST_FRAME"
    FIRST_PAGE_ONLY = "FIRST_PAGE_ONLY"
    # More than eight bits a sample became eight.
    DEPTH_REDUCED = "DEPTH_REDUCED"
    # The profile is broken or not one of such colours; they were taken for sRGB.
    PROFILE_IGNORED = "PROFILE_IGNORED"
    # Inks without a profile: how they look on paper is a guess.
    INKS_WITHOUT_PROFILE = "INKS_WITHOUT_PROFILE"
    # Some of the metadata cannot be read.
    METADATA_IGNORED = "METADATA_IGNORED"
