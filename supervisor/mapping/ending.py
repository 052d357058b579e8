"""How a run ended."""

import msgspec

FAILED, MISUSE = 1, 2
READER_GONE = 141  # 128 + SIGPIPE, as shells count


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """`code` is the exit code, `reason` why it ended before the input did; `answered` lines have their answer, earlier
    runs included, `failed` of them an error. `resumable`: a journal says where another run is to begin."""

    code: int
    answered: int
    failed: int
    reason: str | None = None
    resumable: bool = False
