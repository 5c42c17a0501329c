"""Between the public form of a task and its messages: reading JSON, storing inline pictures, requests, public JSON."""
