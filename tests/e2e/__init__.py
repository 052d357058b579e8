"""A real daemon, reached over its socket as its users reach it."""
