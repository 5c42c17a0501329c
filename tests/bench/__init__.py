"""Atelier beside the usual stack: how fast, at what cost, and where the time goes."""
