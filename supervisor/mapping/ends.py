"""Both ends of a run, and what is seen of it."""

from typing import NamedTuple

from supervisor.mapping.answers import Answers
from supervisor.mapping.feed import Feed
from supervisor.mapping.screen import Screen
from supervisor.mapping.settings import Settings


class Ends(NamedTuple):
    feed: Feed
    answers: Answers
    screen: Screen


def open_ends(settings: Settings) -> Ends:
    """Open the files, and go on where a journal says. Raises StokerError for what cannot be: no such file, a journal of
    another input, a second run at the same output."""
    from supervisor.mapping.simple import SimpleAnswers, SimpleFeed, SimpleScreen

    screen = SimpleScreen()
    return Ends(SimpleFeed(settings), SimpleAnswers(settings), screen)
