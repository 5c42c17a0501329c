"""Our own ways of making a picture better with a diffusion model: no connection, no configuration of a task."""
