"""Pure decisions: no clock, no random, no I/O; what varies is an argument."""
