"""The command line against a scripted daemon."""
