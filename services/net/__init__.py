"""The web outside: which addresses are public, guarded fetching, values of headers."""
