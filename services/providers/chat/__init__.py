"""The wire protocols of the vendors behind AI_CORE: one module each, requests and answers as plain values."""
