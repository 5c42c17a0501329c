"""Our own models on a Triton server: the wire, the two models, and the watch over them."""
