"""Its routes."""
