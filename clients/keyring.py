"""What a trainer keeps of threshold keys: HPKE keys, sealed shares and a product, by its keystore.

Private keys are drawn, and derived from nothing: once a key's file is removed, what was sealed to
it opens for nobody any more, its owner included. A share stays sealed in its envelope at rest.

    PUBLIC.key      X25519 private key, 32 bytes; named by the public key
    DIGEST.keys     JSON of one line, then the threshold keys' bytes, then the envelope
    product         digest of a list, SHA-256 of the product, the product
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedledger.effects import Disk, Entropy
from fedledger.errors import AccountError, CryptoError
from fedledger.formats import canonical_json, parse_json

from ..ledger_plugins.beside import FolderBeside

if TYPE_CHECKING:  # the extra `paillier`
    from ..crypto.threshold import KeyShare, ThresholdKeys

__all__ = ["Keyring"]

_BYTES = 32
_KEY, _DEALT, _PRODUCT = ".key", ".keys", "product"
_DIGITS = "0123456789abcdef"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Dealt:
    """What one file of a dealing says; `openers`: public keys whose private keys opened it."""

    place: str
    number: int
    openers: Sequence[str]
    keys: bytes
    envelope: bytes

    def encode(self) -> bytes:
        body = self.keys + self.envelope
        said = {
            "envelope": len(self.envelope),
            "number": self.number,
            "openers": self.openers,
            "place": self.place,
            "sha256": sha256(body).hexdigest(),
        }
        return canonical_json(said) + b"\n" + body

    @classmethod
    def decode(cls, data: bytes) -> "_Dealt":
        head, _, body = data.partition(b"\n")
        said: Any = parse_json(head)
        if said["sha256"] != sha256(body).hexdigest():
            raise ValueError("its hash is another one")
        at = len(body) - int(said["envelope"])
        openers = tuple(bytes.fromhex(one).hex() for one in said["openers"])
        return cls(str(said["place"]), int(said["number"]), openers, body[:at], body[at:])


class Keyring(FolderBeside):
    """The threshold keys of one account: a folder beside its keystore."""

    suffix = ".trainer"

    def __init__(self, folder: Path, disk: Disk, *, durable: bool = True) -> None:
        super().__init__(folder, disk, durable=durable)
        self._decoded: dict[bytes, ThresholdKeys] = {}
        self._shares: dict[tuple[bytes, bytes], KeyShare] = {}

    def __repr__(self) -> str:
        return f"Keyring({str(self.folder)!r})"

    def new_key(self, entropy: Entropy) -> bytes:
        """Draw a key to which shares can be sealed, and return its public half, 32 bytes.

        Older keys stay until `forget`: an envelope to one that was published may still come.

        Raises:
            AccountError: it cannot be written.
        """
        private = entropy.draw(_BYTES)
        public = _public(private)
        self._save(self._key(public.hex()), private)
        return public

    def private_key(self, public: bytes) -> bytes:
        """Return the private key, 32 bytes, to a public one.

        Raises:
            AccountError: it is not here, or damaged; names its file.
        """
        path = self._key(public.hex())
        found = self._load(path)
        if found is None:
            raise AccountError(f"{path} is missing: the private key of {public.hex()} is not here")
        if len(found) != _BYTES or _public(found) != public:
            raise AccountError(f"{path} is damaged: it is not the private key of {public.hex()}")
        return found

    def keep(self, keys: bytes, number: int, envelope: bytes, place: str) -> None:
        """Keep what a trainer needs of a dealing, in place of what was kept of these keys.

        Args:
            keys: `ThresholdKeys.encode()`.
            number: the trainer's, 1 to l.
            envelope: its sealed share.
            place: what the keys are for: they serve one task, and are kept for no other.

        Raises:
            CryptoError: these are no keys, or have no trainer of that number.
            AccountError: they are kept for another place, it cannot be written, or what was kept
                cannot be read.
            ConfigError: the extra `paillier` is not installed.
        """
        from ..crypto.threshold import ThresholdKeys  # noqa: PLC0415 - an extra

        ThresholdKeys.decode(keys).check_trainer(number)
        digest = sha256(keys).digest()
        try:
            before = self._dealt(digest)
        except AccountError as error:  # damaged: what is kept now takes its place
            _log.warning("%s", error)
            before = None
        if before is not None and before.place != place:
            raise AccountError(
                f"the keys {digest.hex()} are kept for {before.place}, and serve no other task: "
                f"{place} needs keys of its own"
            )
        openers = () if before is None else before.openers
        now = _Dealt(place, number, openers, keys, envelope)
        if now != before:
            self._drop(digest)
            self._save(self._dealing(digest), now.encode())

    def kept(self, digest: bytes, place: str) -> tuple["ThresholdKeys", int]:
        """Return the keys of a digest, checked, and this trainer's number among their trainers.

        Raises:
            AccountError: nothing is kept of them for this place, or it is damaged; names its file.
            ConfigError: the extra `paillier` is not installed.
        """
        found = self._need(digest)
        if found.place != place:
            raise AccountError(f"the keys {digest.hex()} are kept for {found.place}, not {place}")
        return self._keys(digest, found), found.number

    def share(self, digest: bytes, context: bytes) -> "KeyShare":
        """Return this trainer's share of the keys of a digest, checked against v_i.

        Args:
            digest: SHA-256 of the keys' bytes.
            context: chain and contract, as the dealer sealed for.

        Raises:
            CryptoError: no private key here opens the envelope for these keys and this context, or
                the dealer's share does not fit.
            AccountError: nothing is kept of these keys, or it is damaged; names its file.
            ConfigError: the extra `paillier` is not installed.
        """
        found = self._need(digest)
        place = (digest, context)
        if place not in self._shares:
            keys = self._keys(digest, found)
            share = self._try(
                keys, found.number, found.envelope, context, lambda one: self._opened(found, one)
            )
            if share is None:
                raise self._refusal(keys, f"trainer {found.number}")
            self._shares[place] = share
        return self._shares[place]

    def find_share(
        self, keys: "ThresholdKeys", envelopes: Mapping[int, bytes], context: bytes
    ) -> "KeyShare":
        """Return the share in the first of several envelopes that opens; nothing is kept.

        Args:
            keys: the keys.
            envelopes: a trainer's number, 1 to l, to what may be its envelope.
            context: as of `share`.

        Raises:
            CryptoError: as of `share`.
            ConfigError: the extra `paillier` is not installed.
        """
        for number, envelope in envelopes.items():
            share = self._try(keys, number, envelope, context, lambda _: None)
            if share is not None:
                return share
        raise self._refusal(keys, "any trainer")

    def keep_product(self, digest: bytes, data: bytes) -> None:
        """Keep the product of a list's ciphertexts, in place of the one before.

        Args:
            digest: the list's, 32 bytes.
            data: the product.

        Raises:
            AccountError: it cannot be written.
        """
        hashed = sha256(data).digest()
        self._save(self.folder / _PRODUCT, digest + hashed + data)

    def product(self, digest: bytes) -> bytes | None:
        """Return the product that is kept of a list, or None; damage is logged, and is none.

        Raises:
            AccountError: it cannot be read.
        """
        path = self.folder / _PRODUCT
        found = self._load(path)
        if found is None or found[:_BYTES] != digest:
            return None
        hashed, data = found[_BYTES : 2 * _BYTES], found[2 * _BYTES :]
        if sha256(data).digest() != hashed:
            _log.warning("%s is damaged, so the product is computed anew", path)
            return None
        return data

    def forget(self, digest: bytes) -> None:
        """Remove what is kept of keys, the product, and the private keys that opened the share.

        A private key that opened another share which is still kept stays until that one is
        forgotten, and so does one that opened nothing yet. A second time nothing happens.

        Raises:
            AccountError: something cannot be removed, or read; or what was kept was damaged, so
                that nobody knows which private key opened the share: that one stays.
        """
        self._drop(digest)
        if not self._disk.exists(self.folder):
            return
        openers: Sequence[str] = ()
        damaged: AccountError | None = None
        try:
            found = self._dealt(digest)
            openers = () if found is None else found.openers
        except AccountError as error:
            damaged = error
        for public in openers:
            if public not in self._used(digest):
                self._remove(self._key(public))
        self._remove(self.folder / _PRODUCT)
        self._flush()  # the file that names the private keys goes last
        self._remove(self._dealing(digest))
        self._flush()
        if damaged is not None:
            raise AccountError(
                f"{damaged}; it is removed, but which private key opened its share is not known: "
                f"remove from {self.folder} those that nothing is sealed to any more"
            ) from damaged

    def forget_place(self, place: str) -> list[bytes]:
        """Forget all keys that are kept for a place; return their digests.

        Raises:
            AccountError: something cannot be removed, or read.
        """
        digests = [bytes.fromhex(name) for name in self._named(_DEALT)]
        gone = [one for one in digests if self._need(one).place == place]
        for one in gone:
            self.forget(one)
        return gone

    def public_keys(self) -> list[bytes]:
        """Return the public halves of the private keys that are here, sorted.

        Raises:
            AccountError: the folder cannot be read.
        """
        return [bytes.fromhex(one) for one in self._named(_KEY)]

    def _key(self, public: str) -> Path:
        return self.folder / f"{public}{_KEY}"

    def _dealing(self, digest: bytes) -> Path:
        return self.folder / f"{digest.hex()}{_DEALT}"

    def _named(self, suffix: str) -> list[str]:
        """Return what the files of a kind are named by: 32 bytes, as hexadecimal digits."""
        try:
            names = self._disk.names(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be read: {error.strerror}") from error
        stems = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
        return [one for one in stems if len(one) == 2 * _BYTES and set(one) <= set(_DIGITS)]

    def _used(self, apart: bytes) -> set[str]:
        """Return the public keys by which other shares that are kept were opened."""
        used: set[str] = set()
        for name in self._named(_DEALT):
            if name != apart.hex():
                try:
                    other = self._dealt(bytes.fromhex(name))
                except AccountError as error:
                    _log.warning("%s", error)
                    continue
                used.update(() if other is None else other.openers)
        return used

    def _try(
        self,
        keys: "ThresholdKeys",
        number: int,
        envelope: bytes,
        context: bytes,
        opened: Callable[[str], None],
    ) -> "KeyShare | None":
        """Open an envelope by the private key that fits, if one does.

        `opened` is told its public half, also where the share does not fit, which raises.
        """
        from ..crypto.threshold import open_share  # noqa: PLC0415 - an extra

        for public in self._named(_KEY):
            try:
                private = self.private_key(bytes.fromhex(public))
            except AccountError as error:
                _log.warning("%s", error)
                continue
            try:
                share = open_share(envelope, private, keys, number, context)
            except CryptoError as error:
                if error.what == "envelope":
                    continue
                opened(public)
                raise
            opened(public)
            return share
        return None

    def _refusal(self, keys: "ThresholdKeys", whose: str) -> CryptoError:
        return CryptoError(
            "envelope",
            f"none of the {len(self._named(_KEY))} private keys in {self.folder} opens it as the "
            f"share of {whose} of the keys {keys.digest.hex()} on this chain",
        )

    def _opened(self, found: _Dealt, public: str) -> None:
        """Note which private key goes when these keys are forgotten."""
        if public not in found.openers:
            noted = replace(found, openers=(*found.openers, public))
            self._save(self._dealing(sha256(found.keys).digest()), noted.encode())

    def _dealt(self, digest: bytes) -> _Dealt | None:
        path = self._dealing(digest)
        data = self._load(path)
        if data is None:
            return None
        try:
            found = _Dealt.decode(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise AccountError(f"{path} is damaged: {error!r}") from error
        if sha256(found.keys).digest() != digest:
            raise AccountError(f"{path} is damaged: its keys have another digest")
        return found

    def _need(self, digest: bytes) -> _Dealt:
        found = self._dealt(digest)
        if found is None:
            self._drop(digest)  # another process of the account forgot it
            path = self._dealing(digest)
            raise AccountError(f"{path} is missing: no share of the keys {digest.hex()} is kept")
        return found

    def _drop(self, digest: bytes) -> None:
        self._decoded.pop(digest, None)
        self._shares = {at: one for at, one in self._shares.items() if at[0] != digest}

    def _keys(self, digest: bytes, found: _Dealt) -> "ThresholdKeys":
        from ..crypto.threshold import ThresholdKeys  # noqa: PLC0415 - an extra

        if digest not in self._decoded:
            self._decoded[digest] = ThresholdKeys.decode(found.keys)
        return self._decoded[digest]

    def _load(self, path: Path) -> bytes | None:
        """Return a file's bytes, or None; AccountError: it cannot be read."""
        try:
            return self._disk.read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AccountError(f"{path} cannot be read: {error.strerror or error}") from error

    def _save(self, path: Path, data: bytes) -> None:
        """Write a file; AccountError: it cannot be written."""
        try:
            self._write(path, data)
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be written: {error.strerror}") from error

    def _flush(self) -> None:
        """Return when the names in the folder are on the disk."""
        if not self._durable:
            return
        try:
            self._disk.sync_folder(self.folder)
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be written: {error.strerror}") from error


def _public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
