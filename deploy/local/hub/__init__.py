"""Diffusers models out of a hub: asked for, judged, fetched, checked and installed."""
