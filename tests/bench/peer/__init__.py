"""The peer: FastAPI, Celery and Redis, as most teams run them. Runs in an environment of its own."""
