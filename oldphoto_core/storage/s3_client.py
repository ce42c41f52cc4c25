"""How S3 is spoken to: the client, its patience, and what is made of its errors."""

from __future__ import annotations

import functools
import os
import random
import re
import threading
import time
from typing import Any

from oldphoto_core.proxies import bypass_loopback
from oldphoto_core.storage.keys import printable

CONNECT_SECONDS, STALL_SECONDS = 5.0, 15.0
"""How long a connection may take, and how long a store may say nothing, before a request is made again."""
TRIES = 3
"""Of a body that brings nothing, of a write that did not arrive as it was sent, and of credentials that have expired.
Requests themselves are made five times by botocore, and 25 times where a store asks for patience, with longer waits."""
PAUSE_SECONDS = 0.2
"""Before the first of these; twice as long before each further one, give or take half."""
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestTimeTooSkewed", "TokenRefreshRequired"}
"""What is said of credentials that somebody may have renewed where they were read from."""
GARBLED = {"BadDigest", "InvalidDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"}
"""What is said of a body that came up other than it was sent."""

_choosing = threading.Lock()


def current_client(instead_of: Any = None) -> Any:
    """The one of this process (sockets do not survive a fork) and of these settings; a new one instead of an old one.

    A new one reads credentials anew, from wherever they come.
    """
    bypass_loopback()
    settings = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(("AWS_", "FSSPEC_"))))
    with _choosing:
        client = _client(os.getpid(), settings, (CONNECT_SECONDS, STALL_SECONDS))
        if client is instead_of:
            _client.cache_clear()
            client = _client(os.getpid(), settings, (CONNECT_SECONDS, STALL_SECONDS))
    return client


@functools.lru_cache(maxsize=4)
def _client(process: int, settings: tuple[tuple[str, str], ...], patience: tuple[float, float]) -> Any:
    del process, settings
    import s3fs

    # checksums that are S3's newest invention break older stores; Content-MD5 is understood by all of them
    checksums = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    connections = {"max_pool_connections": 32, "connect_timeout": patience[0], "read_timeout": patience[1]}
    config = {**checksums, **connections}
    return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True, config_kwargs=config)


def breaks() -> tuple[type[Exception], ...]:
    """What comes out of a body that breaks off, of s3fs, aiohttp and the operating system."""
    import aiohttp
    from s3fs.core import S3_RETRYABLE_ERRORS

    return (*S3_RETRYABLE_ERRORS, aiohttp.ClientError, OSError)


def pause(number: int) -> None:
    """Before try `number`, counted from 0, which needs none."""
    if number:
        time.sleep(PAUSE_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries, keeps no secret


def response_of(error: Exception) -> dict[str, Any]:
    """What botocore made of the store's reply; empty where there was none."""
    response = getattr(error.__cause__ or error, "response", None)
    return response if isinstance(response, dict) else {}


def code_of(error: Exception) -> str:
    """The store's word for what went wrong, or empty."""
    return str(response_of(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """HTTP status of the store's reply; 0 where there was none."""
    return int(response_of(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def clean(error: Exception) -> str:
    """One line without what stands before an @ in a URL, which may be a password."""
    return re.sub(r"//[^/@\s]+@", "//", printable(" ".join(str(error).split()))) or type(error).__name__
