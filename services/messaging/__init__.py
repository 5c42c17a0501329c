"""NATS and what goes over it: streams, publishing with acknowledgement, pulling, the schemas of events."""
