"""Faces, people and text found in a picture by small networks on the CPU."""
