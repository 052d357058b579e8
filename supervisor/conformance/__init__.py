"""The conformance tester for workers: runs a program as the daemon would, and tries what the protocol asks of it."""
