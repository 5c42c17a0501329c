"""Pictures from outside, guarded: fetched within limits, decoded in a child process."""
