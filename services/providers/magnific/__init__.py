"""Magnific's upscalers, Freepik's of old: one submit, one status, one account for all of them."""
