"""Batches: files of jobs, each with a folder of its own from which it is fed, and in which its results gather."""
