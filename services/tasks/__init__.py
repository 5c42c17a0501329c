"""Tasks: created, dispatched by priority and fairness, claimed under a lease, finished once."""
