"""Child processes, their slots and pools, and the feeder that brings them jobs."""
