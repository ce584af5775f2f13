"""A proxy between an S3 client and its server that misbehaves on request.

Bodies pass byte for byte and every header but Connection is left alone, so signatures stay valid. Each connection
carries one request.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BLOCK = 1 << 16


@dataclass(frozen=True)
class Rule:
    """Which requests meet which fault.

    fault: status | reset | hang | truncate | corrupt | commit_then_reset | latency | throttle.
    method, path: the method ("" for any) and a regular expression searched in the path with its query.
    header: a regular expression searched in the head of the request, case ignored.
    nth: the matching requests to hit, counted from 1; empty for all. probability: share of these that are hit.
    code, status, retry_after: what `status` answers. at: body bytes that pass before `truncate` or `corrupt` strikes.
    abort: end a truncated body with RST rather than FIN. Uploads are truncated and corrupted on their way up.
    seconds: how long `latency` waits. rate: bytes a second that `throttle` lets pass, either way.
    """

    fault: str
    method: str = ""
    path: str = ""
    header: str = ""
    nth: Sequence[int] = ()
    probability: float = 1.0
    status: int = 503
    code: str = "SlowDown"
    retry_after: int | None = None
    at: int = 0
    abort: bool = False
    seconds: float = 1.0
    rate: int = 10_000


class FaultProxy:
    """Runs in a thread of its own: `with FaultProxy(host, port, rules) as proxy: proxy.port`.

    counts: faults injected, by name; `requests` counts everything that came in.
    watch: is told the method, path, head and status of every request that the server has answered.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        rules: Sequence[Rule] = (),
        seed: int = 0,
        watch: Callable[[str, str, str, int], None] = lambda *_: None,
    ):
        self.upstream = upstream_host, upstream_port
        self._watch = watch
        self.counts: Counter[str] = Counter()
        self.port = 0
        self._random = random.Random(seed)
        self._running: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.set_rules(rules)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules and begin counting anew."""
        self._rules = [(rule, Counter()) for rule in rules]
        self.counts.clear()

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _pick(self, method: str, path: str, head: str) -> Rule | None:
        self.counts["requests"] += 1
        for rule, seen in self._rules:
            if rule.method not in ("", method) or not re.search(rule.path, path):
                continue
            if not re.search(rule.header, head, re.I):
                continue
            seen["matched"] += 1
            if (not rule.nth or seen["matched"] in rule.nth) and self._random.random() < rule.probability:
                self.counts[rule.fault] += 1
                return rule
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._running.add(task)  # the event loop itself only holds it weakly
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            rule = self._pick(method, path, head.decode("latin-1"))
            match rule.fault if rule else None:
                case "reset":
                    _reset(writer)
                case "hang":
                    await asyncio.sleep(3600)
                case "status":
                    await _refuse(rule, head, method, reader, writer)
                case other:
                    if other == "latency":
                        await asyncio.sleep(rule.seconds)
                    await self._pass(rule, head, method, path, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._running.discard(task)
            writer.close()

    async def _pass(self, rule: Rule | None, head: bytes, method: str, path: str, reader, writer) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        upload = method in ("PUT", "POST")
        bent = rule if rule and rule.fault in ("truncate", "corrupt") else None
        slow = rule if rule and rule.fault == "throttle" else None
        head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.I)
        up_writer.write(head[:-2] + b"Connection: close\r\n\r\n")
        sending = asyncio.create_task(_copy(reader, up_writer, slow or (bent if upload else None), writer))
        try:
            while (answer := await up_reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100"):
                writer.write(answer)
            self._watch(method, path, head.decode("latin-1"), int(answer.split(b" ", 2)[1]))
            if rule and rule.fault == "commit_then_reset":
                await up_reader.read()
                _reset(writer)
                return
            writer.write(answer)
            await _copy(up_reader, writer, slow or (None if upload else bent), writer)
        finally:
            sending.cancel()
            up_writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, rule: Rule | None, client) -> None:
    """Pass a body on until its end, or until the rule strikes."""
    passed = 0
    throttled = rule and rule.fault == "throttle"
    while block := await source.read(max(1, rule.rate // 10) if throttled else BLOCK):
        if throttled:
            await asyncio.sleep(len(block) / rule.rate)
        if rule and rule.fault == "truncate" and passed + len(block) > rule.at:
            sink.write(block[: rule.at - passed])
            await sink.drain()
            if rule.abort:
                _reset(client)
            sink.close()
            client.close()
            return
        if rule and rule.fault == "corrupt" and passed <= rule.at < passed + len(block):
            spot = rule.at - passed
            block = block[:spot] + bytes([block[spot] ^ 0xFF]) + block[spot + 1 :]
        passed += len(block)
        sink.write(block)
        await sink.drain()
    sink.close()  # a client that leaves takes its request along; a server that is done has said so


async def _refuse(rule: Rule, head: bytes, method: str, reader, writer) -> None:
    """Answer with an S3 error, after the body unless the client waits to be asked for it."""
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    if length and not re.search(rb"\r\nexpect: *100-continue", head, re.I):
        await reader.readexactly(int(length[1]))
    body = f"<Error><Code>{rule.code}</Code><Message>Please reduce your request rate.</Message></Error>".encode()
    lines = [f"HTTP/1.1 {rule.status} Fault", "Content-Type: application/xml", f"Content-Length: {len(body)}"]
    if rule.retry_after is not None:
        lines.append(f"Retry-After: {rule.retry_after}")
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
    if method != "HEAD":
        writer.write(body)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
