"""Attacks the running API with generated cases: `make fuzz`, and a bounded form in `make test`."""
