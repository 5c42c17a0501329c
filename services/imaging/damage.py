"""What a decoder would not notice."""


class Damaged(ValueError):
    """A checksum of the pixels is wrong: whoever decodes them takes wrong ones for right."""
