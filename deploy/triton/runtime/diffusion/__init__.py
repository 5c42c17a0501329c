"""Continuous batching of diffusion models at denoise steps, for the Triton model `diffusion`."""
