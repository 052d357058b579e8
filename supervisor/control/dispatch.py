"""One line in, one answer out, whatever the line and whatever the handler does."""

import math
from collections.abc import AsyncGenerator, Coroutine
from inspect import iscoroutinefunction
from typing import Any

import structlog

from protocol.control import INTERNAL_ERROR, MAX_ANSWER, METHOD_NOT_FOUND, REFUSED, Params
from protocol.framing import LineTooLong
from supervisor.control.access import Demand
from supervisor.control.complaints import cut, hint
from supervisor.control.context import Context
from supervisor.control.limits import answer_too_large
from supervisor.control.methods import METHODS, Method
from supervisor.control.rpc import BadCall, BadRequest, Request, Streaming, encode_answer, encode_error, parse
from supervisor.core.roles import Role
from supervisor.errors import Refused, TooLarge

log = structlog.get_logger("stoker.control")

NOTHING = b""  # the answer to a notification and to a blank line


class Work:
    """A request whose answer has to be waited for. Nothing of it has happened before `finish` is awaited.

    `in_turn`: the connection's next request is taken up after it. `reads`: it changes nothing. `lasting`: a daemon that
    stops does not wait for it.
    `lines`: what comes after the answer, if anything does, for clients that keep it waiting for no more than
    `patience`.
    """

    __slots__ = ("_coroutine", "_method", "_request", "in_turn", "lasting", "lines", "patience", "reads")

    def __init__(
        self, request: Request, method: Method[Any], coroutine: Coroutine[Any, Any, object], *, in_turn: bool
    ) -> None:
        self._request = request
        self._method = method
        self._coroutine = coroutine
        self.in_turn = in_turn
        self.lasting = method.lasting
        self.reads = method.role is Role.LOOK
        self.lines: AsyncGenerator[bytes, None] | None = None
        self.patience = math.inf

    def drop(self) -> None:
        """Instead of `finish`."""
        self._coroutine.close()

    async def finish(self) -> bytes:
        """The line that answers."""
        try:
            result = await self._coroutine
            if isinstance(result, Streaming):
                result, self.lines, self.patience = result
            return _answer(self._request, self._method, result)
        except Exception as error:
            return _failure(self._request, error)


class Dispatcher:
    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self, line: bytes | LineTooLong) -> bytes | Work:
        """The line that answers, NOTHING, or the Work it takes. Never raises."""
        if isinstance(line, LineTooLong):
            return _oversize(line)
        try:
            request = parse(line)
        except BadRequest as bad:
            return encode_error(bad.id, bad.code, bad.message, {"code": "invalid"})
        return NOTHING if request is None else self._begin(request)

    def _begin(self, request: Request) -> bytes | Work:
        try:
            method = _method(request.method)
            reach = self._context.caller.reach
            if reach.most < method.role:
                self._context.caller.refuse(Demand(request.method, method.role), reach.most)
            params = method.decode(request.params)
            if reach.least < method.role:
                result = self._guarded(method, Demand(request.method, method.role), params)
            else:
                result = method.run(self._context, params)
            if isinstance(result, Coroutine):
                return Work(request, method, result, in_turn=method.in_turn(params))
            return _answer(request, method, result)
        except Exception as error:
            return _failure(request, error)

    def _guarded(self, method: Method[Any], demand: Demand, params: Params) -> object:
        """For one who may do this in some queues only: what `run` gives, if the guard lets it. A coroutine where the
        guard itself has to look first."""
        if iscoroutinefunction(method.guard):
            return self._guarded_later(method, demand, params)
        method.guard(self._context, demand, params)
        return method.run(self._context, params)

    async def _guarded_later(self, method: Method[Any], demand: Demand, params: Params) -> object:
        await method.guard(self._context, demand, params)
        result = method.run(self._context, params)
        return await result if isinstance(result, Coroutine) else result


def _method(name: str) -> Method[Any]:
    try:
        return METHODS[name]
    except KeyError:
        message = f'there is no method "{cut(name)}"{hint(name, METHODS)}'
        raise BadCall(METHOD_NOT_FOUND, message) from None


def _answer(request: Request, method: Method[Any], result: object) -> bytes:
    if request.id is None:
        return NOTHING
    line = encode_answer(request.id, result)
    if len(line) > MAX_ANSWER:
        raise answer_too_large(len(line), method.advice)
    return line


def _failure(request: Request, error: Exception) -> bytes:
    """The answer that an exception of a handler makes. What nobody foresaw is logged, and not shown to the client."""
    data: dict[str, object] = {"code": "invalid"}
    if isinstance(error, BadCall):
        code, message = error.code, error.message
    elif isinstance(error, Refused):
        code, message, data = REFUSED, error.message, {**error.data, "code": error.code}
    else:
        log.error("request_failed", method=request.method, exc_info=error)
        code, message, data = INTERNAL_ERROR, "stoker failed at this request; its log says why", {"code": "internal"}
    # The frames that the error has passed through hold the request, and the error: a ring that only the collector
    # takes apart, which hardly ever runs here. A client that is refused large payloads would fill the memory.
    error.__traceback__ = error.__context__ = None
    if request.id is None:
        return NOTHING
    line = encode_error(request.id, code, message, data)
    if len(line) > MAX_ANSWER:
        return _failure(request, answer_too_large(len(line), METHODS[request.method].advice))
    return line


def _oversize(line: LineTooLong) -> bytes:
    message = f"{line} (daemon.max_line): it was skipped; submit fewer jobs at a time, or smaller ones"
    return encode_error(b"null", REFUSED, message, {"code": TooLarge.code, "limit": line.max_line})
