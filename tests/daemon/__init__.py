"""The daemon's own parts: logs, the service manager, the control socket."""
