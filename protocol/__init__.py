"""What stoker says to its workers and to its clients."""
