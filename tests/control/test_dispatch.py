"""What an error leaves behind."""

from supervisor.control.dispatch import _failure
from supervisor.control.rpc import Request, parse
from supervisor.errors import NotFound, TooLarge


def _request() -> Request:
    request = parse(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert request is not None
    return request


def test_a_refusal_lets_go_of_the_request_it_passed_through() -> None:
    """Its traceback and context hold frames, and those the request, in a ring that only the collector takes apart."""
    try:
        try:
            raise NotFound("no earlier job")
        except NotFound:
            raise TooLarge("the payload is too large")  # noqa: B904  # the context is the point
    except TooLarge as refusal:
        caught = refusal
    assert caught.__traceback__ is not None
    assert caught.__context__ is not None
    _failure(_request(), caught)
    assert caught.__traceback__ is None
    assert caught.__context__ is None
