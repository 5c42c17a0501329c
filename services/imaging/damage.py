"""What a decoder would not notice."""


class DamagedPixels(ValueError):
    """A checksum of the pixels is wrong: whoever decodes them takes wrong ones for right."""
