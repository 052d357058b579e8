"""The Unix socket server: one connection, one conversation."""
