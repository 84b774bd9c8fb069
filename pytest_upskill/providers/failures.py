"""What went wrong with a call over HTTP, as one sentence that holds no key."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from pytest_upskill.errors import CallError
from pytest_upskill.providers.headers import rate_limits, retry_after
from pytest_upskill.providers.meanings import meaning
from pytest_upskill.types import Fault

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT = 10.0
_LONGEST = 300
_SHORTEST_SECRET = 4
_SECRETS = ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_NOBODY = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL}
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)


class MalformedError(ValueError):
    """The server answered, but not with a reply: what is wrong with it, and that in a few words."""

    def __init__(
        self,
        message: str,
        short: str = "no usable reply",
        *,
        fault: Fault = "final",
        fatal: bool = False,
    ) -> None:
        super().__init__(message)
        self.short = short
        self.fault: Fault = fault
        self.fatal = fatal


@dataclass(frozen=True, slots=True)
class Failures:
    """Says what went wrong with the calls of one model.

    Args:
        name: the configured name of the model, which begins every sentence.
        model: the model id that is asked for.
        url: where the calls go; what could be a secret in it is not shown.
        path: the path of the call under `url`.
        credentials: where the key comes from, in words.
        secrets: texts that are masked, beside those of the SDKs' own variables.
    """

    name: str
    model: str
    url: str
    path: str
    credentials: str
    secrets: tuple[str, ...] = ()

    def of(self, err: Exception, timeout: float, answer: httpx2.Response | None = None) -> CallError:
        """Return the error for whatever was raised.

        Args:
            err: by an SDK, or by whoever read the answer.
            timeout: what the call was given, in seconds.
            answer: what came, where something did.
        """
        if isinstance(err, CallError):
            return err
        error = self._told(err, timeout)
        answer = answer or getattr(err, "response", None)
        if answer is not None:
            error.limits = rate_limits(answer.headers.raw)
            error.retry_after = retry_after(answer.headers)
        return error

    def _told(self, err: Exception, timeout: float) -> CallError:
        if isinstance(err, MalformedError):
            return self._error(f"{self._where} {err}", err.short, fault=err.fault, fatal=err.fatal)
        status = getattr(err, "status_code", None)
        if isinstance(status, int):
            return self._status(status, getattr(err, "body", None))
        return self._connection(list(_chain(err)), timeout)

    def setup(self, err: Exception) -> CallError:
        """Return the error for a client that could not be made."""
        return self._error(f"cannot make the client: {err}", "no client", fatal=True)

    @property
    def _where(self) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))

    def _error(self, sentence: str, short: str, *, fault: Fault = "final", fatal: bool = False) -> CallError:
        text = shorten(self._mask(f"{self.name}: {sentence}"), _LONGEST + 200)
        return CallError(text, short=short, fault=fault, fatal=fatal)

    def _mask(self, text: str) -> str:
        secrets = {*self.secrets, *(os.environ.get(name, "") for name in _SECRETS)}
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def _status(self, status: int, body: object) -> CallError:
        # Masked before it is cut: half a key would no longer be recognised.
        said = shorten(self._mask(provider_message(body)), _LONGEST)
        meant = meaning(status, body)
        if meant.short:
            what, short = f"{meant.words} ({status})", meant.short
        else:
            what, short = self._status_words(status)
            short = f"{short} ({status})"
        return self._error(f"{self._where}{what}: {said}", short, fault=meant.fault, fatal=meant.fatal)

    def _status_words(self, status: int) -> tuple[str, str]:
        if status == 401:
            return f" refused {self.credentials} (401)", "key refused"
        if status == 403:
            return f" refused access with {self.credentials} (403)", "access refused"
        if status == 404:
            return f"{self.path} or the model '{self.model}' was not found (404)", "not found"
        if status == 429:
            return " says that there were too many requests (429)", "rate limited"
        reason = _reason(status)
        return f" answered {status} ({reason})", reason.lower()

    def _connection(self, chain: list[BaseException], timeout: float) -> CallError:
        for found in (self._unreachable, self._interrupted):
            for err in chain:
                error = found(err, timeout)
                if error is not None:
                    return error
        # An SDK's own error that carries a request only wraps what happened.
        what = chain[1] if hasattr(chain[0], "request") and len(chain) > 1 else chain[0]
        return self._error(f"the call to {self._where} failed: {type(what).__name__}: {what}", "call failed")

    def _unreachable(self, err: BaseException, timeout: float) -> CallError | None:
        import aiohttp

        if isinstance(err, aiohttp.ClientSSLError):
            return self._insecure(err)
        if isinstance(err, aiohttp.ClientProxyConnectionError):
            return self._away(f"nobody answers at the proxy {err.host}:{err.port}", "proxy does not answer")
        if isinstance(err, aiohttp.ClientHttpProxyError):
            sentence = f"the proxy opens no connection to {self._where} ({err.status} {err.message})"
            return self._away(sentence, "proxy refuses")
        if isinstance(err, socket.gaierror):
            host = urlsplit(self.url).hostname
            sentence = f"no address is known for {host} ({err.strerror}): is base_url right?"
            return self._away(sentence, "host not found")
        if isinstance(err, aiohttp.ConnectionTimeoutError):
            seconds = f"{connect_timeout(timeout):g} s"
            return self._away(f"no connection to {self._where} within {seconds}", "no connection")
        if isinstance(err, aiohttp.ClientConnectorError):
            return self._no_connection(err.os_error)
        return None

    def _insecure(self, err: BaseException) -> CallError:
        inner = getattr(err, "certificate_error", None) or getattr(err, "os_error", err)
        reason = getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or str(inner)
        hint = "does the server speak https, with a certificate that is trusted here (SSL_CERT_FILE)?"
        sentence = f"no secure connection to {self._where} ({reason.replace('_', ' ').lower()}): {hint}"
        return self._away(sentence, "TLS failed")

    def _no_connection(self, err: OSError) -> CallError | None:
        # aiohttp joins the errors of several addresses into one without a number.
        if err.errno in _NOBODY or "Connect call failed" in str(err):
            reason = os.strerror(err.errno or errno.ECONNREFUSED).lower()
            return self._away(f"nobody answers at {self._where} ({reason}): is the server running?", reason)
        if isinstance(err, socket.gaierror):
            return None
        return self._away(f"no connection to {self._where}: {err}", "no connection")

    def _away(self, sentence: str, short: str) -> CallError:
        return self._error(sentence, short, fault="unreachable")

    def _interrupted(self, err: BaseException, timeout: float) -> CallError | None:
        import aiohttp

        if isinstance(err, TimeoutError):
            return self._lost(f"no whole reply from {self._where} within {timeout:g} s", "timed out")
        if isinstance(err, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            return self._lost(f"{self._where} dropped the connection before the reply was whole", "dropped")
        if isinstance(err, aiohttp.ClientResponseError):
            said = err.message.partition("\n")[0].rstrip(":")
            return self._lost(f"{self._where} answered with what is not HTTP: {said}", "not HTTP")
        # The SDKs are on httpx2, older releases on httpx.
        if type(err).__name__ == "DecodingError":
            return self._lost(f"{self._where} sent a body that cannot be decompressed", "broken body")
        return None

    def _lost(self, sentence: str, short: str) -> CallError:
        return self._error(sentence, short, fault="lost")


def connect_timeout(timeout: float) -> float:
    """Return how long a connection may take of a call's time, both in seconds.

    Half of it at most, so that a server that is not there can be told from one that does not answer.
    """
    return min(timeout / 2, CONNECT_TIMEOUT)


def wrong_url(url: str) -> str | None:
    """Return what is wrong with a base_url, as the rest of a sentence, or None."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return f"'{url}' is not a URL"
    if "@" in parts.netloc:
        return "holds a user name or password: put the key into a variable and name it in api_key_env"
    return None if usable else f"'{url}' does not look like http://host:port/path"


def provider_message(body: object) -> str:
    """Return the sentence in an error's body, whatever shape the provider gives it."""
    if isinstance(body, dict):
        error = body.get("error", body)
        inner = error if isinstance(error, dict) else {"message": error}
        said = inner.get("message") or inner.get("detail") or body.get("message") or body.get("detail")
        return said if isinstance(said, str) and said else json.dumps(body, ensure_ascii=False)
    if isinstance(body, str) and body.strip():
        return describe(body)
    return "no message" if not body else json.dumps(body, default=str)


def _reason(status: int) -> str:
    from http import HTTPStatus

    if status == 529:
        return "Overloaded"
    return HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else "Unknown Status"


def describe(text: str) -> str:
    """Return a body that is not JSON in words: an HTML page by its title, other text by its beginning."""
    if text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        return f"an HTML page '{title[1]}'" if title else "an HTML page"
    return text


def shorten(text: str, longest: int) -> str:
    """Return the text on one line, cut at `longest` characters."""
    folded = " ".join(text.split())
    return folded if len(folded) <= longest else folded[: longest - 3] + "..."


def _chain(err: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = err
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
