"""Where jobs live: the port, its backends, and the group committer that drives them."""
