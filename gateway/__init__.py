"""HTTP in front of the services: translates REST to gRPC and nothing else."""
