"""One connection of a scripted SMTP server; see `scripted_smtp`."""

import asyncio
import base64

from tests.support.smtp_acts import Act, Say, reset_socket
from tests.support.smtp_script import Connection, Mail, Script, Step


class Session:
    """One connection; a `Line` for the acts."""

    def __init__(
        self,
        server: Script,
        log: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.log = log
        self.sender: str | None = None
        self.recipient: str | None = None
        self._refused: set[str] = set()
        self._options = ""
        self._has_rcpt = False
        self._user: str | None = None
        self._encrypted = server.implicit
        self._reader = reader
        self._writer = writer

    # Line

    async def put(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def finish(self) -> None:
        self._writer.write_eof()

    def forget(self) -> None:
        self._reader._buffer.clear()  # type: ignore[attr-defined]

    def drop(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        reset_socket(self._writer.get_extra_info("socket"))
        self._writer.transport.abort()

    # The dialogue

    async def run(self) -> None:
        alive, _ = await self._answer(Step.CONNECT, b"220 scripted.test ESMTP\r\n")
        handlers = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "QUIT": self._quit,
        }
        while alive:
            line = (await self._line()).decode("utf-8", "surrogateescape")
            self.log.commands.append(line)
            if self._reader._buffer:  # type: ignore[attr-defined]
                self.log.pipelined = True
            self.server.note()
            handler = handlers.get(line.split(" ")[0].upper(), self._unknown)
            alive = await handler(line)

    async def _answer(self, step: Step, normal: bytes) -> tuple[bool, bool]:
        """Answer as scripted, else as normal: (does the dialogue go on?, was it positive?)."""
        rule = self.server.rule_for(step, self)
        if rule is None:
            await self.put(normal)
            return True, normal[:1] in b"23"
        accepts = rule.act.accepts
        return await rule.act.play(self, normal), accepts

    async def _line(self) -> bytes:
        return (await self._reader.readuntil(b"\r\n")).removesuffix(b"\r\n")

    async def _unknown(self, line: str) -> bool:
        await self.put(b"500 5.5.1 what?\r\n")
        return True

    async def _helo(self, line: str) -> bool:
        await self.put(b"250 scripted.test\r\n")
        return True

    async def _ehlo(self, line: str) -> bool:
        offers = list(self.server.extensions)
        if self.server.tls is not None and not self._encrypted:
            offers.append("STARTTLS")
        if self.server.users:
            offers.append(" ".join(("AUTH", *self.server.mechanisms)))
        lines = ["scripted.test", *offers]
        text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
        return (await self._answer(Step.EHLO, text.encode()))[0]

    async def _starttls(self, line: str) -> bool:
        alive, positive = await self._answer(Step.STARTTLS, b"220 2.0.0 go ahead\r\n")
        if alive and positive and self.server.tls is not None:
            await self._writer.start_tls(self.server.tls)
            self._encrypted = True
        return alive

    async def _auth(self, line: str) -> bool:
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            _, user, password = base64.b64decode(words[2]).decode().split("\0")
        else:
            user = base64.b64decode(words[2]).decode()
            await self.put(b"334 UGFzc3dvcmQ6\r\n")
            password = base64.b64decode(await self._line()).decode()
        good = self.server.users.get(user) == password
        normal = b"235 2.7.0 welcome\r\n" if good else b"535 5.7.8 bad credentials\r\n"
        alive, positive = await self._answer(Step.AUTH, normal)
        self._user = user if positive else None
        return alive

    async def _mail(self, line: str) -> bool:
        path, _, self._options = line[len("MAIL FROM:") :].partition("> ")
        self.sender = path.strip("<>")
        self.recipient, self._has_rcpt = None, False
        alive, positive = await self._answer(Step.MAIL, b"250 2.1.0 ok\r\n")
        if not positive:
            self.sender = None
        return alive

    async def _rcpt(self, line: str) -> bool:
        if self.sender is None:
            return await self._out_of_order()
        self.recipient = line[len("RCPT TO:") :].strip("<>")
        alive, positive = await self._answer(Step.RCPT, b"250 2.1.5 ok\r\n")
        self._has_rcpt = self._has_rcpt or positive
        return alive

    async def _out_of_order(self) -> bool:
        await self.put(b"503 5.5.1 bad sequence of commands\r\n")
        return True

    async def _data(self, line: str) -> bool:
        if not self._has_rcpt and not self.server.data_without_rcpt:
            return await self._out_of_order()
        alive, positive = await self._answer(Step.DATA, b"354 go ahead\r\n")
        if not (alive and positive):
            return alive
        rule = self.server.rule_for(Step.BODY, self)
        first = await self._reader.readuntil(b"\r\n")
        if rule is not None and not await self._interrupt(rule.act):
            return False
        return await self._dot(await self._rest_of_body(first))

    async def _interrupt(self, act: Act) -> bool:
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        alive = await act.play(self, b"")
        if alive:
            self._writer.transport.resume_reading()  # type: ignore[attr-defined]
        return alive

    async def _rest_of_body(self, line: bytes) -> bytes:
        lines = []
        while line != b".\r\n":
            lines.append(line.removeprefix(b"."))
            line = await self._reader.readuntil(b"\r\n")
        return b"".join(lines)

    async def _dot(self, content: bytes) -> bool:
        if self._reader._buffer:  # type: ignore[attr-defined]
            self.log.chained += 1
        rule = self.server.rule_for(Step.DOT, self)
        act: Act = Say(250, f"2.0.0 Ok: queued as S{len(self.server.accepted):04}")
        if rule is not None:
            act = rule.act
        if act.accepts and self._has_rcpt:
            self._take(content)
        self.server.note()
        alive = await act.play(self, b"250 2.0.0 Ok\r\n")
        if act.accepts and self._has_rcpt and alive:
            self.server.accepted[-1].acknowledged = True
        self.sender, self.recipient, self._has_rcpt = None, None, False
        return alive

    def _take(self, content: bytes) -> None:
        mail = Mail(
            self.sender or "",
            self.recipient or "",
            content,
            self._options,
            self.log.number,
            self._encrypted,
            self._user,
            acknowledged=False,
        )
        self.server.accepted.append(mail)

    async def _rset(self, line: str) -> bool:
        self.sender, self.recipient, self._has_rcpt = None, None, False
        return (await self._answer(Step.RSET, b"250 2.0.0 ok\r\n"))[0]

    async def _quit(self, line: str) -> bool:
        alive, _ = await self._answer(Step.QUIT, b"221 2.0.0 bye\r\n")
        if alive:
            self.drop()
        return False
