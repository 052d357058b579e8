"""Both ends of a run, and what is seen of it."""

from collections.abc import Callable
from typing import NamedTuple

from supervisor.mapping.answers import Answers
from supervisor.mapping.feed import Feed
from supervisor.mapping.input import ReadingFeed, open_source
from supervisor.mapping.outputs import open_outputs
from supervisor.mapping.screen import Screen
from supervisor.mapping.settings import Settings
from supervisor.mapping.showing import Showing, is_terminal
from supervisor.mapping.tally import Progress
from supervisor.mapping.writing import WritingAnswers


class Ends(NamedTuple):
    """`stem` begins the ids of all lines (mapping.ids); the journal keeps it, so that a line that was cut short has its
    id again when the run goes on. `close` gives the files back."""

    feed: Feed
    answers: Answers
    screen: Screen
    stem: str
    close: Callable[[], None]


def open_ends(settings: Settings) -> Ends:
    """Open the files, and go on where a journal says. Raises StokerError for what cannot be: no such file, a journal of
    another run, a second run at the same output. Only then is anything in the outputs changed."""
    source = open_source(settings.input)
    outputs = open_outputs(settings)
    coverage = outputs.begun.coverage()
    seen = settings.output is None and is_terminal(1)  # somebody looks on
    feed = ReadingFeed(source, settings, coverage)
    answers = WritingAnswers(outputs, coverage, unordered=settings.unordered, records=settings.records, hasty=seen)
    screen = Showing(lambda: _progress(feed, answers), progress=settings.progress, quiet=seen)
    return Ends(feed, answers, screen, outputs.begun.stem, outputs.close)


def _progress(feed: ReadingFeed, answers: WritingAnswers) -> Progress:
    passed, failed = answers.passed_count, answers.failed_count
    known = passed + failed + answers.open_count + feed.waiting
    return Progress(passed, failed, known, feed.offset, feed.size, feed.whole)
