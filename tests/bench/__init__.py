"""How fast stoker is: real daemons, beside the references of the same run. See `python -m tests.bench --help`."""
