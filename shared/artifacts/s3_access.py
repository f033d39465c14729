"""Where an S3 store is and who we are there."""

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class S3Access:
    """How a bucket is reached. What is None is found as AWS's tools do (role of the machine or the pod).

    Attributes:
        endpoint_url: of a store that is not AWS; http:// is allowed there.
        bucket_in_host: whether that store wants buckets named in the host; else they are named in the path.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    bucket_in_host: bool = False
