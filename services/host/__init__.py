"""Runs one or several services on one gRPC server; which ones is a matter of deployment."""
