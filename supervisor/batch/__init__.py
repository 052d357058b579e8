"""Batches of the daemon: a file of lines, a job for each, and two files of what became of them."""
