"""stoker: warm worker processes fed from a durable queue."""
