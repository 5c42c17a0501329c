"""Calls to services of our own, each with its deadline."""
