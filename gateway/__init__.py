"""The HTTP face: translates REST to gRPC and nothing else."""
