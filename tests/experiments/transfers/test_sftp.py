"""SFTP: a real server and real clients, with the keys of the run and no others."""

import asyncio
import os
import socket

import asyncssh
import pytest

from fedledger.errors import RunError
from fedledger.experiments.transfers.processes import sftp


def with_server(folder, then):
    """Serve a folder for as long as `then(port, host key, client's key)` takes."""

    async def run():
        host, client = sftp.make_key(), sftp.make_key()
        listening = await sftp.serve(str(folder), host, sftp.public(client))
        try:
            await then(listening.get_port(), sftp.public(host), client)
        finally:
            listening.close()
            await listening.wait_closed()

    asyncio.run(run())


def test_what_is_put_is_what_is_got(tmp_path):
    """A file goes there and back, byte for byte, and lies in the folder."""
    data = os.urandom(300_000)

    async def then(port, host_key, key):
        async with sftp.connected(port, host_key, key) as session:
            await sftp.write_file(session, "one", data)
            assert await sftp.read_file(session, "one") == data

    with_server(tmp_path, then)
    assert (tmp_path / "one").read_bytes() == data


def test_nothing_above_the_folder_can_be_reached(tmp_path):
    """The folder is all there is for a client."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "served").mkdir()

    async def then(port, host_key, key):
        async with sftp.connected(port, host_key, key) as session:
            for name in ("../secret", str(tmp_path / "secret")):
                with pytest.raises(asyncssh.SFTPNoSuchFile):
                    await sftp.read_file(session, name)

    with_server(tmp_path / "served", then)


def test_a_server_with_another_key_is_refused(tmp_path):
    """Who listens at the port must have the key that was made for the run."""

    async def then(port, _, key):
        other = sftp.public(sftp.make_key())
        with pytest.raises(RunError, match="its key is not the one that was made for it"):
            async with sftp.connected(port, other, key):
                pytest.fail("it logged in")

    with_server(tmp_path, then)


def test_a_client_with_another_key_is_refused(tmp_path):
    """Nobody logs in with a key that was not made for the run, nor with those of the machine."""

    async def then(port, host_key, _):
        with pytest.raises(RunError, match="it does not know this client's key"):
            async with sftp.connected(port, host_key, sftp.make_key()):
                pytest.fail("it logged in")

    with_server(tmp_path, then)


def test_a_port_that_is_taken_and_one_where_nobody_is_are_said(tmp_path):
    """Both name the port."""

    async def run():
        key = sftp.make_key()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(RunError, match=f"no SFTP server at 127.0.0.1:{port}: .*in use"):
                await sftp.serve(str(tmp_path), key, sftp.public(key), port)
        with pytest.raises(RunError, match=f"SFTP server at 127.0.0.1:{port}: "):
            async with sftp.connected(port, sftp.public(key), key):
                pytest.fail("it logged in")

    asyncio.run(run())
