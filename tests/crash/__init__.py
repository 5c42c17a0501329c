"""Load while kill -9 hits one process after the other; then the ledger."""
