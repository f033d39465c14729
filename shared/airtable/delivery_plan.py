"""What an attachment cell says about a film that is to be in it: pure.

The filename is the idempotency key: Airtable has no other, and ours is unique per job.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from shared.airtable.protocol import Attachment


@dataclass(frozen=True, slots=True)
class FilmFile:
    """The file to deliver: its name (unique per job) and its exact size."""

    filename: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Complete:
    """The film is there. `surplus`: ids of other copies or earlier films of the job, to be taken out."""

    attachment: Attachment
    surplus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetching:
    """Airtable was given a link and does not have the bytes yet, as far as the cell tells.

    `size_known`: it tells the right size already, but its URL is not one of Airtable's known hosts.
    `url_known`: the URL is one of Airtable's already, but there is no size. A fetch that failed can look so for ever.
    """

    attachment: Attachment
    size_known: bool = False
    url_known: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """Airtable tried to fetch a link, and kept an attachment without content."""

    attachment: Attachment


@dataclass(frozen=True, slots=True)
class OtherSize:
    """There is a file of this name but of another size: an earlier film of the job, or not what we serve."""

    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Absent:
    """No file of this name."""


Verdict = Complete | Fetching | Broken | OtherSize | Absent


def judge(cell: Sequence[Attachment], film: FilmFile, hosts: Iterable[str] | None = None) -> Verdict:
    """Return what the cell says about the film; never `Broken`, which takes time to tell.

    Args:
        cell: the attachments as read.
        film: the file that is to be among them.
        hosts: if given, a file is complete only when its URL is on one of these hosts (see `is_on`).
    """
    ours = [item for item in cell if item.filename == film.filename]
    right = [item for item in ours if item.size_bytes == film.size_bytes]
    complete = [item for item in right if hosts is None or is_on(item.url, hosts)]
    if complete:
        winner = complete[0]
        return Complete(winner, tuple(item.id for item in ours if item is not winner and item.id is not None))
    if right:
        return Fetching(right[-1], size_known=True)
    pending = [item for item in ours if item.size_bytes is None]
    if pending:
        return Fetching(pending[-1], url_known=hosts is not None and is_on(pending[-1].url, hosts))
    return OtherSize(ours[-1]) if ours else Absent()


def others_of(cell: Sequence[Attachment], film: FilmFile) -> tuple[str, ...] | None:
    """Return the ids of all attachments that are not this job's, in their order: they are to stay.

    None while one of them has no id yet (Airtable is fetching it for somebody else): writing the cell now would
    lose it.
    """
    others = [item.id for item in cell if item.filename != film.filename]
    kept = tuple(identity for identity in others if identity is not None)
    return kept if len(kept) == len(others) else None


def is_on(url: str | None, hosts: Iterable[str]) -> bool:
    """Whether `url` is on one of `hosts`: a domain (its subdomains too), or exactly `host:port`."""
    if url is None:
        return False
    try:
        parts = urlsplit(url)
        host, netloc = parts.hostname or "", parts.netloc
    except ValueError:
        return False
    return any(netloc == wanted or host == wanted or host.endswith(f".{wanted}") for wanted in hosts)


def is_private(url: str) -> bool:
    """Whether the internet certainly cannot reach this link: a name or address of this machine or its network."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host


def origin_of(url: str) -> str:
    """Return scheme, host and port of a link: what may be shown of it (its path carries a signature)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
