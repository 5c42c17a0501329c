"""A second surface, with errors of its own shape."""
