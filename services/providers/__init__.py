"""One module for each provider: how to call it, and what it can do."""
