"""The routes of the compute API, found by their presence: each module has a `router`."""
