"""The promises of docs/reliability.md, each with its test."""
