"""TOML in, frozen structs out; every problem of a file at once."""
