"""Which gateway a command talks to, and with which key."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sora_stitcher.client import Client

HASTY_S = 2.0

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="SORA_STITCHER_URL",
        show_envvar=True,
        metavar="URL",
        help="Where the gateway is; else this machine, on PORT or 3000.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="SORA_STITCHER_API_KEY",
        show_envvar=True,
        metavar="KEY",
        help="Its API key; else, for a gateway on this machine, the first of API_KEYS.",
    ),
]


def open_client(url: str | None, api_key: str | None, *, is_hasty: bool = False) -> "Client":
    """Return a client of the gateway that is meant; a hasty one gives up within two seconds. See `target`.

    Raises:
        ConfigurationError: the address, or what the environment says, cannot be used.
    """
    from sora_stitcher._wire import TIMEOUT_S
    from sora_stitcher.client import Client

    return Client(*target(url, api_key), timeout_s=HASTY_S if is_hasty else TIMEOUT_S)


def target(url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Return the address and the key of the gateway that is meant.

    The keys in this machine's `API_KEYS` are handed to a gateway on this machine only, never to another one.

    Raises:
        ConfigurationError: the address, or what the environment says, cannot be used.
    """
    from sora_stitcher._wire import Endpoint

    if url is None or (api_key is None and Endpoint.of(url, None).is_local):
        port, first_key = _here()
        url = url or f"http://127.0.0.1:{port}"
        api_key = api_key or first_key
    return url, api_key


def _here() -> tuple[int, str | None]:
    """Return `PORT` and the secret of the first of `API_KEYS`, as a gateway started here would read them."""
    from pydantic import Field, SecretStr, ValidationError
    from pydantic_settings import BaseSettings, SettingsConfigDict

    from shared.errors import ConfigurationError
    from shared.limits import parse_api_key

    class Here(BaseSettings):
        model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")
        port: int = Field(default=3000, ge=1, le=65535)
        api_keys: SecretStr = SecretStr("")

    try:
        here = Here()
    except ValidationError:
        raise ConfigurationError("PORT is not a port number between 1 and 65535") from None
    keys = (key.strip() for key in here.api_keys.get_secret_value().split(","))
    first = next(filter(None, keys), None)
    return here.port, parse_api_key(first).secret if first is not None else None
