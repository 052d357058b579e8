"""Which refusals are told, so that somebody who is refused again and again tells of himself and fills no log."""

EVERY = 60.0  # seconds in which the same is told once,
MOST = 100  # and of all together so many: one person may come as thousands of users, in a namespace of his own


class Denials:
    def __init__(self) -> None:
        self._since = float("-inf")
        self._told: dict[tuple[int, str], int] = {}  # and what was left out since
        self._before: dict[tuple[int, str], int] = {}  # the same of the last period that told of anything
        self._others = 0

    def tell(self, uid: int, method: str, now: float) -> int | None:
        """None: leave this one out. Else how many of the same, and of those that there was no room for, were left out
        since the last that was told. `now` is seconds that never go back."""
        if now - self._since >= EVERY:
            self._since, self._before, self._told = now, self._told, {}
        same = (uid, method)
        if same in self._told:
            self._told[same] += 1
            return None
        if len(self._told) >= MOST:
            self._others += 1
            return None
        self._told[same] = 0
        left_out, self._others = self._before.pop(same, 0) + self._others, 0
        return left_out
