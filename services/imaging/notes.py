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
    # The film of a motion photo, beside its still picture.
    MOTION_LEFT_OUT = "MOTION_LEFT_OUT"
    # What bright screens add to the picture that all screens show.
    GAIN_MAP_LEFT_OUT = "GAIN_MAP_LEFT_OUT"
    DEPTH_MAP_LEFT_OUT = "DEPTH_MAP_LEFT_OUT"
    # Pictures that describe this one in another way: mattes of skin, hair, sky and the like.
    AUXILIARY_LEFT_OUT = "AUXILIARY_LEFT_OUT"
    # A channel beside colours and transparency: a spot colour, a mask, or one whose meaning nobody told.
    CHANNEL_LEFT_OUT = "CHANNEL_LEFT_OUT"
    # Photoshop's outlines and layers.
    CLIPPING_PATH_LEFT_OUT = "CLIPPING_PATH_LEFT_OUT"
    LAYERS_LEFT_OUT = "LAYERS_LEFT_OUT"
    # More than eight bits a sample became eight.
    DEPTH_REDUCED = "DEPTH_REDUCED"
    # The profile is broken or not one of such colours; they were taken for sRGB.
    PROFILE_IGNORED = "PROFILE_IGNORED"
    # Inks without a profile: how they look on paper is a guess.
    INKS_WITHOUT_PROFILE = "INKS_WITHOUT_PROFILE"
    # Some of the metadata cannot be read.
    METADATA_IGNORED = "METADATA_IGNORED"
    # Some of what it says of rights is more, or of another form, than is carried over.
    RIGHTS_LEFT_OUT = "RIGHTS_LEFT_OUT"
    # A signature holds for the file that was signed, and for no result.
    CREDENTIALS_LEFT_OUT = "CREDENTIALS_LEFT_OUT"
