"""`stoker map`: lines through warm workers, without a daemon."""
