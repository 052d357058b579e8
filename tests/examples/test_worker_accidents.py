"""What happens to the example workers when something is printed that should not be, or thrown that nobody foresaw.

A line is put into a copy of each, in the middle of a job.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.conversation import Conversation, result
from tests.examples.languages import LANGUAGES, Language, Workshop

JOB = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f00"
FACTOR = {"kind": "factor", "n": 360}
FACTORS = {"factors": [2, 2, 2, 3, 3, 5]}

# A line of the job `factor`, after which it happens.
PLACE = {
    "bash": "local primes",
    "c": "json_t *factors = json_array();",
    "go": "n := job.N",
    "java": "long n = wholeNumber(number);",
    "lua": "local p = 2",
    "node": "const factors = [];",
    "perl": "my @factors;",
    "php": "$factors = [];",
    "python": 'n = payload.get("n")',
    "ruby": "factors = []",
    "rust": "let mut p = 2;",
    "tcl": "set factors {}",
}

# Not rust, where println! cannot be led elsewhere without unsafe code, and not sh, where that takes a line of its own.
STRAY = {
    "bash": "echo stray",
    "c": 'puts("stray"); fflush(stdout); if (system("echo stray")) return NULL;',
    "go": 'fmt.Println("stray")',
    "java": 'System.out.println("stray");',
    "lua": 'print "stray" io.write "stray"',
    "node": "console.log('stray'); console.info('stray');",
    "perl": 'print "stray\\n"; system "echo stray";',
    "php": "echo 'stray'; print_r(['stray']);",
    "python": 'print("stray"); os.system("echo stray")',
    "ruby": "puts 'stray'; system('echo stray')",
    "tcl": "puts stray; puts -nonewline stray",
}

# C and the shells have no exceptions.
BOOM = {
    "go": "var none []int; n = int64(none[7])",
    "java": 'if (n > 0) { throw new IllegalStateException("boom"); }',
    "lua": 'error "boom"',
    "node": "throw new TypeError('boom');",
    "perl": 'die "boom\\n";',
    "php": "trigger_error('boom');",
    "python": 'raise RuntimeError("boom")',
    "ruby": "raise 'boom'",
    "rust": 'assert!(n == 0, "boom");',
    "tcl": "error boom",
}

Altered = Callable[[str, str], Conversation]
BY_NAME = {language.name: language for language in LANGUAGES}


@pytest.fixture
def altered(workshop: Workshop, tmp_path: Path) -> Iterator[Altered]:
    """Starts the worker of this language with this line put in."""
    started: list[Conversation] = []

    def begin(name: str, more: str) -> Conversation:
        language: Language = BY_NAME[name]
        started.append(language.start(workshop.altered(language, tmp_path, PLACE[name], more)))
        return started[-1]

    yield begin
    for worker in started:
        worker.end()


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_print_goes_to_the_log(name: str, altered: Altered, capfd: pytest.CaptureFixture[str]) -> None:
    worker = altered(name, STRAY[name])
    for _ in range(2):
        assert result(worker.ask(JOB, FACTOR)) == FACTORS
    assert worker.finish() == 0
    assert capfd.readouterr().err.count("stray") == 2 * STRAY[name].count("stray")


@pytest.mark.parametrize("name", BOOM)
def test_what_nobody_foresaw_fails_the_job_and_can_be_repeated(name: str, altered: Altered) -> None:
    worker = altered(name, BOOM[name])
    for _ in range(2):
        reply = worker.ask(JOB, FACTOR)
        assert (reply.status, reply.retry) == ("error", True)
        assert reply.message != "worker reported error", "the message says nothing"
    assert result(worker.ask(JOB, {"kind": "words", "text": "a b"}))["words"] == 2
    assert worker.finish() == 0
