"""Algorithms over pixels: no files, no network, no models."""
