"""`fedledger edge init`: what it makes, and that it makes nothing twice."""

import configparser
import re
import ssl
import stat
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from fedledger.cli.edge.making import Plan, make_edge
from fedledger.effects import Effects
from fedledger.effects.real.disk import SystemDisk
from fedledger.errors import AccountError, ConfigError
from fedledger.ledger_plugins.accounts import load_account, read_password

PLAN = Plan(2, ("hall.example.org", "192.0.2.7"), 8431)
PROGRAMS = Path(sys.executable).parent
TEMPLATES = Path(__file__).parents[3] / "fedledger" / "cli" / "edge" / "templates"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Passwords cost little here."""
    monkeypatch.setattr("fedledger.ledger_plugins.accounts._ROUNDS", 2)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_what_is_made_is_for_its_owner_alone_and_no_two_keys_are_one(tmp_path):
    """Mode 0600 in folders of 0700; P-384; a key, an account and a password for each machine."""
    hall = tmp_path / "hall"
    made = make_edge(hall, PLAN)
    for path in (hall, *hall.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    keys = [path.read_bytes() for path in sorted(hall.glob("devices/*/node.key"))]
    numbers = {load_ssh_private_key(key, None).private_numbers().private_value for key in keys}
    assert len(numbers) == 2
    assert all(isinstance(load_ssh_private_key(key, None).curve, SECP384R1) for key in keys)
    places = {
        "aggregator": "server",
        "device-1": "devices/device-1",
        "device-2": "devices/device-2",
    }
    passwords = set()
    for name, place in places.items():
        password = read_password(hall / place / "password")
        passwords.add(password)
        account = load_account(name, password, hall / place / "home")
        assert made.accounts[name] == account.address
    assert len(passwords) == 3
    assert len(set(made.accounts.values())) == 3
    assert made.accounts["device-1"] in (hall / "server/run.toml").read_text()


def test_nothing_secret_of_one_machine_is_in_another_folder(tmp_path):
    """A device's folder holds no key or password of the server, of the authority or of others."""
    hall = tmp_path / "hall"
    make_edge(hall, PLAN)
    found = contents(hall)
    secret = re.compile(r"(\.key|password|keystore/.*\.json)$")
    secrets = {name: data for name, data in found.items() if secret.search(name)}
    assert len(secrets) == 2 + 2 + 2 * 3
    for name, data in secrets.items():
        assert [other for other, there in found.items() if data.strip() in there] == [name]


def test_the_certificate_is_one_for_tests(tmp_path):
    """It names all hosts, ends after 30 days, says TEST, and comes from the authority made here."""
    hall = tmp_path / "hall"
    make_edge(hall, PLAN)
    found = x509.load_pem_x509_certificate((hall / "server/tls/server.crt").read_bytes())
    root = x509.load_pem_x509_certificate((hall / "authority/ca.crt").read_bytes())
    found.verify_directly_issued_by(root)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} >= {"hall.example.org", "192.0.2.7", "127.0.0.1"}
    assert "TEST" in root.subject.rfc4514_string()
    ends = found.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29) < ends < timedelta(days=30)
    ssl.create_default_context(cafile=str(hall / "devices/device-1/ca.crt"))


def test_flower_finds_the_authority_wherever_the_folder_is(tmp_path):
    """env.sh sets the one absolute path, and nothing else in that file; done again, nothing."""
    hall, carried = tmp_path / "hall", tmp_path / "Müller's & 2nd"
    make_edge(hall, PLAN)
    (hall / "server").rename(carried)
    config = carried / "flwr" / "config.toml"
    other = '\n[superlink.other]\nroot-certificates = "/etc/ssl/other.crt"\n'
    config.write_text(config.read_text() + other)
    before = tomllib.loads(config.read_text())
    for _ in range(2):
        subprocess.run(["sh", "-e", "-c", ". ./env.sh"], cwd=carried, check=True)
        found = tomllib.loads(config.read_text())
        assert found["superlink"]["edge"].pop("root-certificates") == str(carried / "tls/ca.crt")
        assert config.stat().st_mode & 0o777 == 0o600
        written = config.stat().st_mtime_ns, config.stat().st_ino
    assert written == (config.stat().st_mtime_ns, config.stat().st_ino)
    del before["superlink"]["edge"]["root-certificates"]
    assert found == before


def test_a_second_run_touches_nothing(tmp_path):
    """Also where a file was changed meanwhile: it is its owner's."""
    hall = tmp_path / "hall"
    make_edge(hall, PLAN)
    (hall / "server/run.toml").write_text("clients = ''\n")
    before = contents(hall)
    again = make_edge(hall, PLAN)
    assert again.made == 0
    assert again.remarks
    assert "device-1 is not in server/run.toml" in again.remarks[0]
    assert contents(hall) == before


@pytest.mark.parametrize("after", [0, 2, 9, 20, 35])
def test_a_run_that_was_cut_off_goes_on(tmp_path, monkeypatch, after):
    """After a kill behind any file the next run makes the rest, and no key anew."""
    hall, left = tmp_path / "hall", after
    create = SystemDisk.create

    def dying(self, path, data, *, private=False):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        create(self, path, data, private=private)

    monkeypatch.setattr(SystemDisk, "create", dying)
    with pytest.raises(KeyboardInterrupt):
        make_edge(hall, PLAN)
    monkeypatch.setattr(SystemDisk, "create", create)
    before = contents(hall)
    assert len(before) >= after
    make_edge(hall, PLAN)
    whole = contents(hall)
    changed = [name for name, data in before.items() if whole[name] != data]
    assert changed in ([], ["accounts.json"])
    make_edge(tmp_path / "other", PLAN)
    assert set(whole) == set(contents(tmp_path / "other"))


def test_folders_that_were_carried_away_are_not_made_again(tmp_path):
    """With more devices only those are made; the others' keys are elsewhere, and theirs alone."""
    hall = tmp_path / "hall"
    first = make_edge(hall, PLAN)
    for name in ("server", "devices/device-1"):
        (hall / name).rename(tmp_path / name.replace("/", "-"))
    more = make_edge(hall, Plan(3, PLAN.hosts, PLAN.port))
    assert not (hall / "server").exists()
    assert not (hall / "devices/device-1").exists()
    assert more.accounts["device-1"] == first.accounts["device-1"]
    assert (hall / "devices/device-3/node.key").exists()
    same = (hall / "devices/device-3/ca.crt").read_bytes()
    assert same == (tmp_path / "server/tls/ca.crt").read_bytes()


def test_what_lost_its_other_half_is_not_papered_over(tmp_path):
    """A keystore without its password, a certificate without its key, a key that was exchanged."""
    hall = tmp_path / "hall"
    make_edge(hall, PLAN)
    for name, error, sentence in (
        ("devices/device-1/password", ConfigError, "cannot be opened without it: put it back"),
        ("server/tls/server.key", ConfigError, "put it back, or remove server.crt"),
        ("devices/device-1/node.key", ConfigError, "is not the public half of"),
    ):
        data = (hall / name).read_bytes()
        (hall / name).unlink()
        with pytest.raises(error, match=re.escape(sentence)):
            make_edge(hall, PLAN)
        (hall / name).unlink(missing_ok=True)
        (hall / name).touch(0o600)
        (hall / name).write_bytes(data)
    (hall / "authority/ca.key").unlink()
    make_edge(hall, PLAN)
    (hall / "server/tls/server.crt").unlink()
    with pytest.raises(ConfigError, match=r"ca\.key is missing, and no certificate"):
        make_edge(hall, PLAN)
    (hall / "devices/device-1/home/keystore/device-1.json").write_text("{}")
    with pytest.raises((AccountError, ConfigError)):
        make_edge(hall, PLAN)


def test_other_options_and_a_second_run_beside_it_are_refused(tmp_path):
    """One folder is one federation."""
    hall = tmp_path / "hall"
    make_edge(hall, PLAN)
    with pytest.raises(ConfigError, match="was made with port 8431, not 8432"):
        make_edge(hall, Plan(2, PLAN.hosts, 8432))
    with (
        Effects.real().disk.lock(hall / ".lock"),
        pytest.raises(ConfigError, match="another `edge init` is at work"),
    ):
        make_edge(hall, PLAN)
    hall.chmod(0o770)
    with pytest.raises(ConfigError, match="others can write to it"):
        make_edge(hall, PLAN)
    hall.chmod(0o700)
    (hall / "edge.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"edge\.json is damaged"):
        make_edge(hall, PLAN)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hosts": ("a b",)}, "is no host's name"),
        ({"hosts": ("",)}, "is no host's name"),
        ({"hosts": ('x"; rm -rf /',)}, "is no host's name"),
        ({"hosts": ("hall:8000",)}, "is no host's name"),
        ({"ledger": "local+http://h:1"}, "go together"),
        ({"direct": True}, "need a --ledger and a --store"),
        ({"ledger": "local:///x.db", "store": "file:///s"}, "has one writer, the server"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(options, sentence):
    """Also what would be more than a name in a script."""
    plan = {"devices": 1, "hosts": ("127.0.0.1",), "port": 8000}
    with pytest.raises(ConfigError, match=sentence):
        Plan(**plan | options)


def test_urls_with_keys_are_in_env_alone(tmp_path):
    """A shell reads them back as they were given; the plan's file and its repr hide them."""
    ledger = "ethereum+https://rpc.example.org/v3/abc'$(touch x)?confirmations=2"
    plan = Plan(1, ("127.0.0.1",), 8000, ledger, "file:///s", direct=True)
    hall = tmp_path / "hall"
    make_edge(hall, plan)
    assert "abc" not in repr(plan)
    named = [name for name, data in contents(hall).items() if b"rpc.example.org/v3" in data]
    assert sorted(named) == ["devices/device-1/env.sh", "server/env.sh"]
    script = '. ./env.sh; printf %s "$FEDLEDGER_LEDGER"'
    said = subprocess.run(
        ["sh", "-c", script], cwd=hall / "server", capture_output=True, text=True, check=True
    )
    assert said.stdout == ledger
    assert not (hall / "server/x").exists()


# Templates ------------------------------------------------------------------------------------


def options_of(program):
    """Return the options that a program of Flower's has."""
    said = subprocess.run(
        [PROGRAMS / program, "--help"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"--[a-z][a-z-]+", said.stdout))


def test_every_option_in_the_scripts_is_one_of_flower(tmp_path):
    """They are started by the page's test; compose and systemd start the same scripts."""
    for name in ("superlink", "supernode"):
        text = (TEMPLATES / f"start-{name}.sh").read_text()
        asked = set(re.findall(r"--[a-z][a-z-]+", text))
        assert asked
        assert asked <= options_of(f"flower-{name}")
    make_edge(tmp_path / "hall", PLAN)
    for unit in ("server/superlink.service", "devices/device-2/supernode.service"):
        parsed = configparser.ConfigParser(strict=True, interpolation=None)
        parsed.read(tmp_path / "hall" / unit)
        assert parsed["Service"]["execstart"] == "/bin/sh /etc/fedledger/start.sh"
        assert parsed["Service"]["workingdirectory"] == "/etc/fedledger"
        assert set(parsed.sections()) == {"Unit", "Service", "Install"}


def test_compose_has_every_machine_and_its_folder_alone(tmp_path):
    """Its images are Flower's of the version that is installed; its devices mount their folder."""
    make_edge(tmp_path / "hall", PLAN)
    found = yaml.safe_load((tmp_path / "hall" / "compose.yaml").read_text())["services"]
    assert set(found) == {"superlink", "device-1", "device-2"}
    flower = subprocess.run(
        [PROGRAMS / "flower-supernode", "--version"], capture_output=True, text=True, check=True
    )
    for name, service in found.items():
        image, _, version = service["build"]["args"]["BASE"].partition(":")
        assert image == ("flwr/superlink" if name == "superlink" else "flwr/supernode")
        assert version in flower.stdout + flower.stderr
        folder = "./server" if name == "superlink" else f"./devices/{name}"
        assert service["volumes"] == [f"{folder}:/edge"]
        assert (tmp_path / "hall" / folder / "start.sh").exists()
    docker = (tmp_path / "hall" / "Dockerfile").read_text().splitlines()
    words = {line.split()[0] for line in docker if line and not line.startswith("#")}
    assert words == {"ARG", "FROM", "COPY", "RUN", "WORKDIR", "ENTRYPOINT"}
    assert "@" not in "".join(docker)
