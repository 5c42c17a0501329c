"""Where requests enter: who calls, within which limits, how errors and conditions are spelt. Nothing of any surface."""
