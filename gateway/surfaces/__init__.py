"""The public APIs, a package each."""
