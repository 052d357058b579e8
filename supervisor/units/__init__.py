"""The unit files of a systemd service, as templates; `stoker systemd` prints them with the paths of an installation."""
