"""The compute API, `/api/v1`."""
