"""The embedded stack: everything Atelier needs, started and watched on one machine."""
