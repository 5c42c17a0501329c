"""Bytes by key below a tenant: in a local folder or any S3-compatible store."""
