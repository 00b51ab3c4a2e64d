"""Fetching a text file from a data set repository of the Hugging Face hub, or from the mirror that HF_ENDPOINT names."""

import hashlib
import logging
import os
import socket
import sys
import urllib.parse
import urllib.request
from pathlib import Path

from ..errors import MissingFileError, UsageError

DEFAULT_ENDPOINT = "https://huggingface.co"


def hub_file(repository, filename, cache_dir=None, size=None, sha256=None, instead=None):
    """Path of `filename` of the data set `repository`, downloaded at the first use and then found in the hub's cache.

    repository: "owner/name"; filename: path inside it; cache_dir: the hub's cache (default: HF_HOME's); size: what to tell
    the user of its size ("2.2 GB"); sha256: expected hash of the content, checked after a download; instead: what to do
    without a network, for the error message. Raises FileNotFoundError, in one sentence, when it cannot be had, and ValueError
    when the content is not what was expected. No credentials are sent.
    """
    import huggingface_hub
    from huggingface_hub import utils

    where = {
        "repo_id": repository,
        "filename": filename,
        "repo_type": "dataset",
        "cache_dir": cache_dir,
        "token": False,
    }
    try:
        return Path(huggingface_hub.hf_hub_download(**where, local_files_only=True))
    except (OSError, ValueError):
        pass  # not in the cache yet

    endpoint = os.environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/") or DEFAULT_ENDPOINT
    address = f"{endpoint}/datasets/{repository}"
    print(f"downloading {filename}{f' ({size})' if size else ''} from {address}", file=sys.stderr, flush=True)
    quiet = not sys.stderr.isatty() and not utils.are_progress_bars_disabled()
    if quiet:
        utils.disable_progress_bars()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)  # its warnings (retries, hints to log in) would bury our one line
    try:
        _check_reachable(endpoint)
        path = Path(huggingface_hub.hf_hub_download(**where, endpoint=endpoint))
    # The client's errors are OSError, ValueError or its HTTP library's own classes, which differ between its versions.
    except Exception as error:
        if isinstance(error, OSError) and error.errno == 28:
            raise
        remedy = f"; {instead}" if instead else ""
        raise MissingFileError(
            f"could not download {filename} from {address} ({_reason(error)}): check the network, or name a mirror in "
            f"HF_ENDPOINT{remedy}"
        ) from error
    finally:
        logger.setLevel(level)
        if quiet:
            utils.enable_progress_bars()
    if sha256:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            os.unlink(path)
            raise UsageError(
                f"{filename} from {address} is not the file that was expected (SHA-256 {found[:12]}..., expected "
                f"{sha256[:12]}...); it was removed: try again, or name another mirror in HF_ENDPOINT"
            )
    return path


def _check_reachable(endpoint):
    """Raise OSError at once where no connection can be made; the client would try again for half a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise OSError("HF_HUB_OFFLINE is set")
    address = urllib.parse.urlsplit(endpoint)
    if not address.hostname:
        raise OSError("not an address that begins with https:// or http://")
    if urllib.request.getproxies() and not urllib.request.proxy_bypass(address.hostname):
        return  # only the proxy can tell
    port = address.port or {"http": 80}.get(address.scheme, 443)
    socket.create_connection((address.hostname, port), timeout=10).close()


def _reason(error):
    """The innermost cause of a failed download in a few words."""
    seen = set()
    while id(error) not in seen and (error.__cause__ or error.__context__):
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    response = getattr(error, "response", None)
    if response is not None and getattr(response, "status_code", None):
        return f"status {response.status_code}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first_line = (str(error).strip().splitlines() or [""])[0]
    return first_line[:160] or type(error).__name__
