"""URLs as people may see them: a key or password inside one is shown nowhere.

Of any URL the user and password are secret. Of one that goes over HTTP (ethereum+https://…) the
path is too, where providers put their keys, and so is all of the query but the settings of this
library. What is left opens nothing, and says enough to know which ledger or store is meant.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote

__all__ = ["HIDDEN", "is_masked", "mask_text", "mask_url", "secrets_of"]

HIDDEN = "***"
"""What stands in a URL where something secret was."""

_OVER_HTTP = re.compile(r"(?:.*\+)?(?:http|https|ws|wss)", re.IGNORECASE)
_SHOWN = frozenset(("confirmations", "deployment", "max_fee_gwei", "min_tip_gwei"))
_SHOWN |= {"timeout", "wait", "patience", "ca"}
_KEY = re.compile(r"(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{16,}")
_PLAIN = re.compile(r"(?:http|https|ws|wss)", re.IGNORECASE)
_URL = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:/+|[A-Za-z][A-Za-z0-9+.-]*\+(?:https?|wss?):)[^\s'\"<>|,;)}]+",
    re.IGNORECASE,
)
_SHORTEST = 4  # characters of a secret that is looked for in texts


def mask_url(url: str) -> str:
    """Return a URL without what is secret in it; one without secrets stays as it is.

    What is no URL but looks like a mistyped one is cut off at its scheme.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        head, _, tail = url.partition(":")
        mistyped = _OVER_HTTP.fullmatch(head) or "@" in tail
        return f"{head}:{HIDDEN}" if tail.strip("/") and mistyped else url
    rest, hash_, fragment = rest.partition("#")
    rest, mark, query = rest.partition("?")
    place, slash, path = rest.partition("/")
    _, at, host = place.rpartition("@")
    if at:
        place = f"{HIDDEN}@{host}"
    if _OVER_HTTP.fullmatch(scheme):
        path = HIDDEN if path.strip("/") else path
        query = "&".join(_shown(pair) for pair in query.split("&")) if query else query
        fragment = HIDDEN if fragment else fragment
    return f"{scheme}://{place}{slash}{path}{mark}{query}{hash_}{fragment}"


def is_masked(url: str) -> bool:
    """Tell whether `mask_url` took something out of a URL."""
    return HIDDEN in url


def secrets_of(url: str) -> frozenset[str]:
    """Return what is secret in a URL, piece by piece and also decoded, to find it in texts."""
    scheme, _, rest = url.partition(":")
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    place, _, path = rest.lstrip("/").partition("/")
    user, at, _ = place.rpartition("@")
    found = [user, *user.split(":")] if at else []
    if _OVER_HTTP.fullmatch(scheme):
        pairs = (pair.rpartition("=") for pair in query.split("&"))
        foreign = [value for name, _, value in pairs if name not in _SHOWN]
        found += [path.strip("/"), *path.split("/"), fragment, *foreign]
    found += [unquote(one) for one in found]
    return frozenset(one for one in found if len(one) >= _SHORTEST and one != HIDDEN)


def mask_text(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text with the URLs of ledgers and stores in it masked, and without these secrets.

    A web page's URL, https://…, loses user and password, and whatever looks like a key.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _URL.sub(_masked, text) if ":" in text else text


def _masked(found: re.Match[str]) -> str:
    url = found[0]
    scheme, separator, rest = url.partition("://")
    if not separator or not _PLAIN.fullmatch(scheme):
        return mask_url(url)
    place, slash, path = rest.partition("/")
    _, at, host = place.rpartition("@")
    shown = f"{HIDDEN}@{host}" if at else place
    return f"{scheme}://{shown}{slash}{_KEY.sub(HIDDEN, path)}"


def _shown(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return name if name in _SHOWN else HIDDEN
    return f"{name}={value if name in _SHOWN else HIDDEN}"
