"""The configuration: what loads, what is refused and with which words, and where things are by default."""
