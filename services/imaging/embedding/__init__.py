"""File formats that can carry a recipe and an XMP packet: where each lies, and how it gets there around the pixels."""
