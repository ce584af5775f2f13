"""Reasons why a request came to nothing, and whether asking again may help."""

from __future__ import annotations

import re

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    NotSupported,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.spidermiddlewares.httperror import HttpError

from colorize_core.header import Rejected
from crawler.addresses import PrivateAddress
from crawler.manners import BUSY, Busy

FINAL = {401: "forbidden", 403: "forbidden", 404: "not_found", 410: "not_found", 451: "forbidden"}


class Failed(Exception):
    """What could not be had this time. ``error_class`` is one word."""

    def __init__(self, error_class: str, message: str):
        super().__init__(message)
        self.error_class = error_class


def answered(status: int) -> Rejected | Failed:
    """An answer other than 200."""
    message = f"the server answered {status}"
    if error_class := FINAL.get(status):
        return Rejected(error_class, message)
    return Failed("busy" if status in BUSY else "http", message)


def explained(error: BaseException) -> Rejected | Failed:
    """What a download raised: Rejected for what will not change, Failed for what may."""
    said = str(error) or type(error).__name__
    match error:
        case PrivateAddress():
            return Rejected("private_address", said)
        case Busy():
            return Failed("busy", said)
        case HttpError():
            return answered(error.response.status)
        case IgnoreRequest() if "robots.txt" in said:
            return Rejected("robots", "the site's robots.txt asks not to fetch it")
        case DownloadCancelledError():  # for its size, although Scrapy does not always say so
            return Rejected("too_large", "it has more bytes than MAX_BYTES allows")
        case IgnoreRequest() if "MAXSIZE" in said:  # once decompressed
            return Rejected("too_large", "it has more bytes than MAX_BYTES allows")
        case UnsupportedURLSchemeError() | NotSupported() | ValueError():
            return Rejected("bad_address", said)
        case ResponseDataLossError():
            return Failed("cut_off", "the connection ended too early")
        case DownloadTimeoutError():
            return Failed("timed_out", said)
        case CannotResolveHostError():
            return Failed("unknown_host", said)
        case DownloadConnectionRefusedError():
            return Failed("refused", "the server takes no connections")
        case DownloadFailedError() if "certificate verify failed" in said:
            return Failed("certificate", "the server's certificate is not valid")
    inner = re.search(r"Failure [\w.]+: ([^>]+)", said)  # what twisted wraps
    return Failed("network", inner[1] if inner else said)
