"""What every service with state stands on: the store, group commits, leadership."""
