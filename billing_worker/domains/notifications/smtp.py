"""The mail server: asked for one message at a time whether it takes it."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from typing import Protocol

from billing_worker.domains.notifications.states import AttemptOutcome
from billing_worker.runtime.logs import mask
from billing_worker.runtime.settings import Settings

LONGEST_REPLY = 300

_GO_ON = frozenset({250, 251, 252, 354})
_SHUTTING_DOWN = 421
_PERMANENT = 500
_REPLY_CODES = (400, 599)
"""Anything else is no answer of a mail server."""

_OURS_TO_MEND = frozenset({530, 534, 535, 538})
"""Permanent by their first digit, about our credentials by their meaning: the message itself is not refused.

Source: RFC 4954, 6."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a conversation ended; `detail` is the server's answer without addresses.

    Shape: `is_server_away`: nothing was said about this message, the next one would fare the same.
    """

    outcome: AttemptOutcome
    detail: str
    is_server_away: bool = False


class Transport(Protocol):
    """Carries messages to a mail server."""

    def deliver(self, message: EmailMessage, *, sender: str, recipient: str) -> Reply:
        """Hand a message over and tell how that ended; trouble with the server is an answer, not an error."""
        ...


class SmtpTransport:
    """A conversation with MAIL_HOST for each message.

    Units: every wait within a conversation is at most `timeout`.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        timeout: timedelta,
        username: str = "",
        password: str = "",
        starttls: bool = False,
        tls: bool = False,
    ) -> None:
        self._tls = tls
        self._host, self._port, self._timeout = host, port, timeout.total_seconds()
        self._username, self._password, self._starttls = username, password, starttls

    @classmethod
    def from_settings(cls, settings: Settings) -> SmtpTransport:
        """Build the transport that the settings describe."""
        return cls(
            host=settings.mail_host,
            port=settings.mail_port,
            timeout=settings.mail_timeout,
            username=settings.mail_username,
            password=settings.mail_password.get_secret_value(),
            starttls=settings.mail_starttls,
            tls=settings.mail_tls,
        )

    def deliver(self, message: EmailMessage, *, sender: str, recipient: str) -> Reply:
        """Hand a message over and tell how that ended; trouble with the server is an answer, not an error.

        Shape: until the last line is sent nothing was taken; a connection that breaks after it leaves it unknown.
        """
        with contextlib.ExitStack() as conversation:
            try:
                server = conversation.enter_context(self._conversation())
                for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
                    code, answer = server.docmd(command)
                    if code not in _GO_ON:
                        return _refusal(code, answer)
            except smtplib.SMTPResponseException as error:
                return Reply(AttemptOutcome.DEFERRED, _told(error.smtp_code, error.smtp_error), is_server_away=True)
            except (smtplib.SMTPException, OSError) as error:
                return Reply(AttemptOutcome.DEFERRED, _described(error), is_server_away=True)
            try:
                server.send(_framed(message))
                code, answer = server.getreply()
            except (smtplib.SMTPException, OSError) as error:
                why = f"the server's answer to the whole message did not come: {_described(error)}"
                return Reply(AttemptOutcome.UNKNOWN, why, is_server_away=True)
        return Reply(AttemptOutcome.SENT, _told(code, answer)) if code in _GO_ON else _refusal(code, answer)

    def _connect(self) -> smtplib.SMTP:
        if self._tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=self._timeout)

    @contextmanager
    def _conversation(self) -> Iterator[smtplib.SMTP]:
        server = self._connect()
        try:
            server.ehlo_or_helo_if_needed()
            if self._starttls:
                server.starttls(context=ssl.create_default_context())
                server.ehlo_or_helo_if_needed()
            if self._username:
                server.login(self._username, self._password)
            yield server
        finally:
            # Whatever was said about the message stands: how the conversation is closed changes nothing.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()


def _framed(message: EmailMessage) -> bytes:
    """Write a message as the DATA command sends it (RFC 5321, 4.5.2)."""
    body = re.sub(rb"(?m)^\.", b"..", message.as_bytes(policy=policy.SMTP))
    return (body if body.endswith(b"\r\n") else body + b"\r\n") + b".\r\n"


def _refusal(code: int, answer: bytes | str) -> Reply:
    is_server_away = code == _SHUTTING_DOWN or code in _OURS_TO_MEND or not _REPLY_CODES[0] <= code <= _REPLY_CODES[1]
    is_permanent = code >= _PERMANENT and not is_server_away
    outcome = AttemptOutcome.REJECTED if is_permanent else AttemptOutcome.DEFERRED
    return Reply(outcome, _told(code, answer), is_server_away=is_server_away)


def _told(code: int, answer: bytes | str) -> str:
    words = answer if isinstance(answer, str) else answer.decode(errors="replace")
    return mask(f"{code} {words}")[:LONGEST_REPLY]


def _described(error: Exception) -> str:
    return mask(f"{type(error).__name__}: {error}")[:LONGEST_REPLY]
