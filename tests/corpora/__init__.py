"""Hostile inputs that several tests and the fuzzer share."""
