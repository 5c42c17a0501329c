"""gRPC: the server and the clients of every service, calls within a process, health, reflection, errors on the wire."""
