"""Requests to one server: certificates and time limits, trying again when it is busy, errors in the toolkit's words."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import httpx2

from forensic import __version__
from forensic.client import problems
from forensic.errors import ForensicError, GalleryError

API = "/api/v1"
DOCUMENT = "/openapi.json"
TIMEOUT = httpx2.Timeout(60, connect=10, read=90)
"""Seconds; an answer may be waited for as long as `WAIT` asks, and a little longer."""
WAIT = 60
"""Seconds that one request asks the server to wait for a job's end."""
PATIENCE = 60
"""Seconds in all that a request is tried again for."""
AGAIN = (429, 503)
UNDER_WAY = 409
LOST = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, httpx2.CloseError)
"""Ends of a connection after which nobody knows what the server did."""
PAGE = 100
"""Rows of a page."""
Thing = TypeVar("Thing")


class File(NamedTuple):
    """A file on its way to the server.

    Attributes:
        name: As the user named it.
        data: Its bytes.
    """

    name: str
    data: bytes


class Sent(NamedTuple):
    """What a request carries; all of it can be sent once more.

    Attributes:
        json: A JSON body.
        data: Fields of a form.
        files: Files of a form, each with its field's name.
        params: What stands in the address.
        prefer: Seconds to wait for the end of a job.
        reads: Whether a POST changes nothing, and so needs no key to be sent again.
        unkept: Whether a POST that changes something has no key all the same, since it holds what the server is to
            keep nothing of, a hash neither.
    """

    json: Any = None
    data: Mapping[str, str] | None = None
    files: Sequence[tuple[str, File]] = ()
    params: Mapping[str, str | int] | None = None
    prefer: int = 0
    reads: bool = False
    unkept: bool = False


class Connection:
    """A connection to one server, for one user; close it, or use it as a context manager.

    A POST that changes something carries an idempotency key, so that it is done once however often it is sent. What is
    changed without one, as by DELETE, is not sent again once its answer is lost: it may be done, and another answer
    would be to what is there since. While the server is busy, and so does nothing, a request is sent again after the
    time that the server asks for, for `PATIENCE` seconds at most. Redirects are not followed: a token and pictures go
    to the address that was given and to no other.

    Args:
        address: As `forensic.client.address.parse` gives it.
        token: Who asks; None for nobody.
        tell: Is told, in a sentence, why something takes longer.
        transport: In place of the network, for tests.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        tell: Callable[[str], None] = lambda sentence: None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.address, self.tell = address, tell
        headers = {"User-Agent": f"forensic/{__version__}", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        local = address.startswith("http://")
        try:
            certificates = httpx2.create_ssl_context()  # heeds SSL_CERT_FILE and SSL_CERT_DIR
        except OSError as error:
            raise GalleryError(
                f"The file or folder of SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}."
            ) from None
        self._client = httpx2.Client(
            base_url=address,
            headers=headers,
            timeout=TIMEOUT,
            verify=certificates,
            follow_redirects=False,
            trust_env=not local,  # what stays on this machine goes through no proxy of the environment
            # The server drops a connection that is idle for some seconds; this end does so before.
            limits=httpx2.Limits(keepalive_expiry=2),
            transport=transport,
        )

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def get(self, path: str, read: Callable[[Any], Thing], **params: str | int) -> Thing:
        """What the server answers to GET, as ``read`` makes it of the JSON.

        Raises:
            ForensicError: As the server says; GalleryError where it cannot be reached or understood.
        """
        return self.ask("GET", path, read, Sent(params=params))

    def post(self, path: str, read: Callable[[Any], Thing], json: Any = None) -> Thing:
        """What the server answers to POST; as `get`."""
        return self.ask("POST", path, read, Sent(json=json))

    def ask(self, method: str, path: str, read: Callable[[Any], Thing], sent: Sent = Sent()) -> Thing:  # noqa: B008
        """What the server answers, as ``read`` makes it of the JSON (None where there is none).

        Raises:
            ForensicError: As the server says; GalleryError where it cannot be reached or understood.
        """
        return self._read(self._send(method, API + path, sent), f"{method} {path}", read)

    def version(self) -> str:
        """The version that the server's document of its API states.

        Raises:
            GalleryError: The server has none, or cannot be reached.
        """
        response = self._send("GET", DOCUMENT, Sent())
        return self._read(response, DOCUMENT, lambda answer: str(answer["info"]["version"]))

    def bytes(self, path: str) -> bytes:
        """A file that the server makes, such as a report.

        Raises:
            ForensicError: As `get` does.
        """
        return self._send("GET", API + path, Sent()).content

    def pages(self, path: str, read: Callable[[Any], Thing], **params: str | int) -> Iterator[Thing]:
        """The items of a list, page by page.

        Raises:
            ForensicError: As `get` does.
        """

        def page(which: Mapping[str, str | int]) -> tuple[list[Thing], str | None]:
            return self.get(path, _page(read), **{**params, **which})

        return _all(page)

    def pages_of(
        self, path: str, read: Callable[[Any], Thing], json: Mapping[str, Any], *, most: int | None = None
    ) -> Iterator[Thing]:
        """The items of a list that is asked for by POST, since what is looked for must not stand in an address.

        Args:
            path: Where.
            read: Makes an item of its JSON.
            json: What is looked for.
            most: How many items; no more are asked for. None for all.

        Raises:
            ForensicError: As `get` does.
        """

        def page(which: Mapping[str, str | int]) -> tuple[list[Thing], str | None]:
            return self.ask("POST", path, _page(read), Sent(json={**json, **which}, reads=True))

        return _all(page, most)

    def _read(self, response: httpx2.Response, asked: str, read: Callable[[Any], Thing]) -> Thing:
        try:
            return read(response.json() if response.content else None)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise GalleryError(
                f"The answer of {self.address} to {asked} was not understood ({type(error).__name__}: {error}). Is it "
                f"a server of another version? This is {__version__}."
            ) from error

    def _send(self, method: str, path: str, sent: Sent) -> httpx2.Response:
        """The answer, if it is a good one, after as many tries as it takes."""
        changes = method != "GET" and not sent.reads
        once = changes and method == "POST" and not sent.unkept
        headers = {"Idempotency-Key": secrets.token_hex(16)} if once else {}
        if sent.prefer:
            headers["Prefer"] = f"wait={sent.prefer}"
        waited, lost = 0.0, False
        while True:
            try:
                response = self._request(method, path, sent, headers)
            except httpx2.RemoteProtocolError as error:  # the server ended an idle connection just now
                if lost or (changes and not once):
                    raise self._unreachable(error, changes=changes) from error
                lost = True
                continue
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise self._unreachable(error, changes=changes) from error
            problem = _problem(response)
            # Only where a request was sent again: it is being done, and its answer will be kept.
            again = once and (lost or waited > 0)
            under_way = response.status_code == UNDER_WAY and again and "conflict" in str(problem)
            if response.status_code not in AGAIN and not under_way:
                return self._checked(response, problem)
            pause = _seconds(response.headers.get("retry-after", ""), default=2 if under_way else 5)
            if waited + pause > PATIENCE:
                return self._checked(response, problem)
            self.tell(f"{self.address} is busy; trying again in {pause:.0f} s.")
            time.sleep(pause)
            waited += pause

    def _request(self, method: str, path: str, sent: Sent, headers: Mapping[str, str]) -> httpx2.Response:
        files = [(field, (file.name, file.data)) for field, file in sent.files]
        return self._client.request(
            method, path, json=sent.json, data=sent.data, files=files or None, params=sent.params, headers=headers
        )

    def _checked(self, response: httpx2.Response, problem: Any) -> httpx2.Response:
        if response.is_success:
            return response
        if response.is_redirect:
            raise GalleryError(
                f"{self.address} sends on to another address, which is not followed: a token goes to the address that "
                "was given and to no other. Give the server's own address."
            )
        raise problems.error_of(self.address, response.status_code, problem)

    def _unreachable(self, error: Exception, *, changes: bool) -> ForensicError:
        said = str(error).rstrip(".") or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return GalleryError(
                f"The certificate of {self.address} cannot be trusted ({said.partition('] ')[2] or said}). If an "
                "authority of your agency signed it, name its certificate in SSL_CERT_FILE; else this may be "
                "another server than you mean."
            )
        if isinstance(error, httpx2.TimeoutException):
            return GalleryError(
                f"{self.address} did not answer in time. What was asked for may be done all the same: look before you "
                "ask again."
            )
        if changes and isinstance(error, LOST):
            return GalleryError(
                f"{self.address} ended the connection without an answer ({said}). What was asked for may be done all "
                "the same: look before you ask again."
            )
        return GalleryError(f"{self.address} cannot be reached ({said}). Is the address right, and the server running?")


def _page(read: Callable[[Any], Thing]) -> Callable[[Any], tuple[list[Thing], str | None]]:
    return lambda answer: ([read(item) for item in answer["items"]], answer["next"])


def _all(
    page: Callable[[Mapping[str, str | int]], tuple[list[Thing], str | None]], most: int | None = None
) -> Iterator[Thing]:
    cursor: dict[str, str] = {}
    left = most
    while left is None or left > 0:
        items, following = page({"limit": PAGE if left is None else min(PAGE, left), **cursor})
        yield from items
        if following is None:
            return
        cursor, left = {"cursor": following}, left and left - len(items)


def _problem(response: httpx2.Response) -> Any:
    """An error's body; None where it is no JSON."""
    if response.is_success:
        return None
    try:
        return response.json()
    except ValueError:
        return None


def _seconds(header: str, default: int) -> float:
    """How long a server asks to wait; a date, which is allowed too, counts as nothing said.

    >>> _seconds("7", 5), _seconds("Fri, 06 Nov 2026 08:49:37 GMT", 5)
    (7.0, 5.0)
    """
    return float(max(1, int(header))) if header.isdigit() else float(default)
