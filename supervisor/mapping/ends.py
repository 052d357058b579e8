"""Both ends of a run, and what is seen of it."""

from typing import NamedTuple

from supervisor.mapping.answers import Answers
from supervisor.mapping.feed import Feed
from supervisor.mapping.ids import new_stem
from supervisor.mapping.screen import Screen
from supervisor.mapping.settings import Settings


class Ends(NamedTuple):
    """`stem` begins the ids of all lines (mapping.ids); the journal keeps it, so that a line that was cut short has its
    id again when the run goes on."""

    feed: Feed
    answers: Answers
    screen: Screen
    stem: str


def open_ends(settings: Settings) -> Ends:
    """Open the files, and go on where a journal says. Raises StokerError for what cannot be: no such file, a journal of
    another input, a second run at the same output."""
    from supervisor.mapping.simple import SimpleAnswers, SimpleFeed, SimpleScreen

    return Ends(SimpleFeed(settings), SimpleAnswers(settings), SimpleScreen(), new_stem())
