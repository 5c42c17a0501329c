"""What a process says of itself: metrics on a port of their own, and the trace that its work belongs to."""
