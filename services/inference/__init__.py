"""The worker process: takes ready tasks, runs their handlers, talks to Triton and the providers."""
