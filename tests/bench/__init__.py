"""How fast stoker is, measured on real daemons beside the references of the same run: `python -m tests.bench --help`."""
