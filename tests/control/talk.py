"""A client for tests: sends what it is told, however wrong, and reads line by line."""

import json
from typing import Any

import trio

PATIENCE_SECS = 20


class Refusal(Exception):
    """An error answer. `code` is JSON-RPC's, `word` stoker's."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: dict[str, Any] = error["data"]
        self.word: str = error["data"]["code"]


class Talk:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._received = b""
        self._last_id = 0

    async def say(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE_SECS):
            await self.stream.send_all(data)

    async def send(self, method: str, **params: Any) -> int:
        self._last_id += 1
        await self.say(a_request(method, params, self._last_id))
        return self._last_id

    async def line(self) -> bytes:
        """The next line; b"" at the end of the stream."""
        with trio.fail_after(PATIENCE_SECS):
            while b"\n" not in self._received:
                data = await self.stream.receive_some()
                if not data:
                    assert not self._received, "half a line at the end"
                    return b""
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    async def receive(self) -> dict[str, Any]:
        line = await self.line()
        assert line, "the daemon closed the connection"
        return json.loads(line)

    async def result(self, id: int | None = None) -> Any:
        """The result in the next answer, which has to be that of request `id`. Raises Refusal."""
        answer = await self.receive()
        assert answer["jsonrpc"] == "2.0"
        assert id is None or answer["id"] == id
        if "error" in answer:
            raise Refusal(answer["error"])
        return answer["result"]

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.result(await self.send(method, **params))

    async def refusal(self, method: str, **params: Any) -> Refusal:
        try:
            result = await self.ask(method, **params)
        except Refusal as refusal:
            return refusal
        raise AssertionError(f"not refused: {result}")

    def half_close(self) -> None:
        """Say that nothing more will be asked."""
        self.stream.socket.shutdown(trio.socket.SHUT_WR)

    def close(self) -> None:
        self.stream.socket.close()

    async def ended(self) -> bool:
        return await self.line() == b""


def a_request(method: str, params: dict[str, Any], id: int | None = None) -> bytes:
    request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if id is not None:
        request["id"] = id
    return json.dumps(request).encode() + b"\n"
