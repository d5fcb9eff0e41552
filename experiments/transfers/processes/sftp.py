"""SFTP, a server and clients of one library: with keys made for the run and kept in memory alone.

Both use AES-GCM, the fastest cipher on processors that have it, no compression, and what the
library sends at once by default; a file that was put is on the disk before it counts.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from fedledger.errors import RunError

__all__ = ["USER", "connected", "make_key", "public", "read_file", "serve", "write_file"]

USER = "client"
_HOST = "127.0.0.1"
_CIPHERS = ("aes128-gcm@openssh.com",)
_KIND = "ssh-ed25519"
_ATTEMPT_SECONDS = 60.0


def make_key() -> asyncssh.SSHKey:
    """Return a new private key."""
    return asyncssh.generate_private_key(_KIND)


def public(key: asyncssh.SSHKey) -> str:
    """Return a key's public half as text."""
    return key.export_public_key().decode().strip()


async def serve(
    folder: str, host_key: asyncssh.SSHKey, client: str, port: int = 0
) -> asyncssh.SSHAcceptor:
    """Serve a folder to whoever has a client's key, until what is returned is closed.

    Args:
        folder: the files; nothing above it can be reached.
        host_key: the server's key.
        client: the client's public key as text.
        port: where to listen; 0: a free one.

    Raises:
        RunError: the port is taken.
    """
    try:
        return await asyncssh.listen(
            _HOST,
            port,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(client),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=folder.encode()),
            encryption_algs=_CIPHERS,
            compression_algs=None,
            login_timeout=_ATTEMPT_SECONDS,
            config=None,
        )
    except OSError as error:
        raise RunError(f"no SFTP server at {_HOST}:{port}: {error.strerror or error}") from error


@asynccontextmanager
async def connected(
    port: int, host_key: str, key: asyncssh.SSHKey
) -> AsyncIterator[asyncssh.SFTPClient]:
    """Log in and give an SFTP session, until the context ends.

    Args:
        port: where the server is, or a link to it.
        host_key: the public key that the server has to have, as text.
        key: the client's.

    Raises:
        RunError: nobody answers, it has another key, or does not let this client in.
    """
    where = f"SFTP server at {_HOST}:{port}"
    try:
        connection = await asyncssh.connect(
            _HOST,
            port,
            username=USER,
            client_keys=[key],
            known_hosts=([asyncssh.import_public_key(host_key)], [], []),
            encryption_algs=_CIPHERS,
            compression_algs=None,
            connect_timeout=_ATTEMPT_SECONDS,
            login_timeout=_ATTEMPT_SECONDS,
            agent_path=None,
            config=None,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise RunError(f"{where}: its key is not the one that was made for it") from error
    except asyncssh.PermissionDenied as error:
        raise RunError(f"{where}: it does not know this client's key") from error
    except (asyncssh.Error, OSError) as error:
        raise RunError(f"{where}: {error}") from error
    async with connection, connection.start_sftp_client() as session:
        yield session


async def read_file(session: asyncssh.SFTPClient, name: str) -> bytes:
    """Return a file's bytes."""
    async with session.open(name, "rb") as file:
        return await file.read()


async def write_file(session: asyncssh.SFTPClient, name: str, data: bytes) -> None:
    """Put a file, durably."""
    async with session.open(name, "wb") as file:
        await file.write(data)
        await file.fsync()
