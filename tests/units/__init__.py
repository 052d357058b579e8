"""The unit files, as systemd reads them."""
