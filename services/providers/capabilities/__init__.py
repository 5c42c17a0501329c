"""What providers can be asked for beyond drawing and matting: one module each, plain values in and out."""
