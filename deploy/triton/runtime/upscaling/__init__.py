"""Photographs enlarged by a trained network, tile by tile."""

import os

# Read when ncnn's OpenMP is loaded: threads that spin while they wait cost five times the time on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
