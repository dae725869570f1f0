"""Secrets are never parameters or context: records of runs are kept for years, copied and published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from .errors import ParameterError

_NAMES = re.compile(
    r"(^|_)(password|passwd|passphrase|pwd|secrets?|credentials?|authorization|bearer|cookie"
    r"|(api|access|private|secret|signing|encryption|ssh|client)_?key|auth_?(key|token))(_|$)"
)
_TOKEN = re.compile(r"(^|_)(access|auth|api|refresh|id|session)?_?token(_|$)")
_REFERENCE = re.compile(r"_(file|path|env|name|url|id)$")
_VALUES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|^\s*(bearer|basic)\s+(?=\S*\d)[\w+/=.~-]{16,}\s*$"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"  # a JSON web token
    r"|\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@"  # a URL with a password in it
    r"|\b(AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(gh[pousr]_|github_pat_|glpat-|xox[abprs]-)[\w-]{16,}",
    re.IGNORECASE,
)


def looks_secret(name: str, value: Any) -> bool:
    """Say whether a name with its value looks like a secret: a password, token or key.

    What only names the place of a secret (``token_file``, ``password_env``) is none, nor is an empty value, nor a
    number called token (``max_tokens``).

    Examples
    --------
    >>> looks_secret("api_key", "abc"), looks_secret("api_key_file", "~/.key"), looks_secret("sample", "Ni")
    (True, False, False)
    """
    if isinstance(value, str) and _VALUES.search(value):
        return True
    if value is None or isinstance(value, bool) or (isinstance(value, str) and not value):
        return False
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    if _REFERENCE.search(words):
        return False
    return bool(_NAMES.search(words)) or (isinstance(value, str) and bool(_TOKEN.search(words)))


def refuse_secrets(kind: str, values: Mapping[str, Any]) -> None:
    """Refuse values that look like secrets, at any depth. The message names the key and never shows the value.

    Parameters
    ----------
    kind : str
        What the values are, for the message: ``"parameter"``, ``"context"``.
    values : mapping
        JSON data.

    Raises
    ------
    ParameterError
        If one of them looks like a secret.
    """
    for path, name, value in _walk("", "", values):
        if looks_secret(name, value):
            raise ParameterError(
                f"{kind} '{path}' looks like a secret, and what is given to a run is recorded, copied and published with it; "
                "keep secrets in a file or an environment variable that the algorithm reads itself"
            )


def _walk(path: str, name: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield ``(path, nearest name, value)`` of every value; an item of a list goes by the name of the list."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            yield from _walk(f"{path}.{key}" if path else str(key), str(key), item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _walk(path, name, item)
    else:
        yield path, name, value
