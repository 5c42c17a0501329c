"""What is said on NATS, and where: one module for each service that says it, by which the others know it."""
