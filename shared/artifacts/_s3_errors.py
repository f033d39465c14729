"""What S3's errors mean and what to do about them, in one line; nothing of the answer's text is passed on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from obstore.exceptions import BaseError

from shared.errors import ArtifactsUnavailable

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_ADVICE = {
    "NoSuchBucket": "there is no such bucket: create it, or mend ARTIFACTS_URL",
    "InvalidAccessKeyId": "the access key is unknown there: mend AWS_ACCESS_KEY_ID",
    "InvalidClientTokenId": "the access key is unknown there: mend AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not belong to the access key: mend AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "not permitted: the key needs s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket and "
    "s3:AbortMultipartUpload",
    "ExpiredToken": "the session token has expired: renew AWS_SESSION_TOKEN",
    "InvalidToken": "the session token is not valid: mend AWS_SESSION_TOKEN, or unset it",
    "AuthorizationHeaderMalformed": "the bucket lies in another region: set AWS_REGION",
    "PermanentRedirect": "the bucket lies in another region: set AWS_REGION",
    "IllegalLocationConstraintException": "the bucket lies in another region: set AWS_REGION",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it by NTP",
    "SlowDown": "too many requests: it asks to slow down",
    "ServiceUnavailable": "it is overloaded: wait",
    "QuotaExceeded": "full: free space or raise the quota",
    "XMinioStorageFull": "full: free space or add disks",
    "InvalidBucketName": "no bucket can be called that: mend ARTIFACTS_URL",
}
_BY_STATUS = {
    "301": "PermanentRedirect",
    "401": "AccessDenied",
    "403": "AccessDenied",
    "503": "ServiceUnavailable",
    "507": "QuotaExceeded",
}
_OF_A_MACHINE = ("169.254.169.254", "169.254.170.2")


@dataclass(frozen=True, slots=True)
class Place:
    """The bucket, for messages."""

    bucket: str
    endpoint_url: str | None

    def __str__(self) -> str:
        return f"s3://{self.bucket}" + (f" at {self.endpoint_url}" if self.endpoint_url else "")


@contextmanager
def errors_named(place: Place) -> Iterator[None]:
    """Turn obstore's errors into `ArtifactsUnavailable` that says what to do.

    It reports a missing bucket as a missing file.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise ArtifactsUnavailable(f"artifacts at {place}: {_explained(str(error))}") from None


def is_beyond_the_end(error: BaseError) -> bool:
    """Whether a range was refused because the object ends before it (416)."""
    return _status(str(error)) == "416"


def is_of_the_key(error: FileNotFoundError) -> bool:
    """Whether the answer itself says that just this key is missing.

    Any other 404 may be of a bucket that is not there, or of a proxy in front of the store. HEAD never says.
    """
    code = _CODE.search(str(error))
    return code is not None and code[1] == "NoSuchKey"


def _explained(text: str) -> str:
    status, code = _status(text), _CODE.search(text)
    name = code[1] if code is not None else _BY_STATUS.get(status, "")
    if name in _ADVICE:
        return f"{_ADVICE[name]} ({name})"
    if name or status:
        return f"refused: {name or 'no reason given'} ({status or 'no status'})"
    if any(address in text for address in _OF_A_MACHINE):
        return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
    return "no answer: check AWS_ENDPOINT_URL, AWS_REGION and the network"


def _status(text: str) -> str:
    found = _STATUS.search(text)
    return found[1] if found is not None else ""
