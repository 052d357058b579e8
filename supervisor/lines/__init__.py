"""Files of lines: read, answered line by line, and whole after a crash. Without trio, and without a daemon."""
