"""What happens to a task, as the bus tells it: its end, and its events from any place on."""
