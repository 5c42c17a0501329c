"""Calls the addresses that tasks name, until they answer."""
