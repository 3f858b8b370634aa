"""Files with secrets are known by their names, and by those of their copies."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from server.embedded import secret_names
from server.embedded.secret_names import is_secret_name

SECRET = (
    *(
        ".env",
        ".envrc",
        "prod.env",
        ".env.local",
        ".ENV.production",
        ".netrc",
        "_netrc",
        ".pgpass",
        ".npmrc",
        ".pypirc",
    ),
    *(
        "application_default_credentials.json",
        "id_rsa",
        "id_ed25519",
        "id_work",
        "x.pem",
        "x.p12",
        "x.kdbx",
        "server.key",
    ),
    *(
        ".aws",
        ".kube",
        ".docker",
        ".ssh",
        ".gnupg",
        ".git-credentials",
        ".git",
        "users.json",
        "secrets.yaml",
        "jwt_secret",
    ),
    *("client_secret_1.json", "credentials", "credentials.toml", "my-passwords.csv", "service-account.json", "shadow"),
    "ｓｅｃｒｅｔｓ.yaml",  # of full width
    *("creds.json", "aws_creds.txt", "token.json", "auth.json", "mypassword.txt", "passphrase.txt", "passwords.txt"),
    *("terraform.tfstate", ".bash_history", "key4.db", "cookies.sqlite", "Login Data", "kubeconfig", "krb5.keytab"),
)
COPIES = (
    "{}~",
    "{}.bak",
    "{}.old",
    "{}.1",
    "#{}#",
    ".#{}",
    ".{}.swp",
    "{}.swo",
    "{} (copy)",
    "{} (1)",
    "{}.orig.bak",
    "{}.gz",
    "{} ",
    "{} - Copy",
    "{} - Copy (2)",
    "{} copy 2",
    "{} (another copy)",
    "{} (3rd copy)",
    "Copy of {}",
    "Copy (2) of {}",
    "{}.rpmsave",
    "{}.dpkg-old",
    "{}.bak2",
    "{}.2026-11-30",
    "{}-20261130",
    "{}.enc",
    "Copy of {} (1).old.gz",
)
# in front of the ending that says what the file is
OTHER_COPIES = ("{} (1){}", "{} - Copy{}", "{}-old{}", "{}_2{}", "{} copy{}", "{} (copy 3){}.bak", "Copy of {}{}")
OPEN = (
    *(
        "notes (1).txt",
        "Copy of notes.md",
        "credit.md",
        "creditors.txt",
        "compass.txt",
        "users.md",
        "users (1).md",
        "chapter-2.md",
    ),
    *(
        "notes.txt",
        "environment.txt",
        "my.environment.txt",
        "people",
        "id_rsa.pub",
        "monkey",
        "turkey.txt",
        "keyboard.md",
    ),
    *(
        "secretary.txt",
        "env",
        "data.json",
        "docs",
        "aws.md",
        "envelope.txt",
        "main.py",
        "idea.txt",
        ".bashrc",
        "history.md",
    ),
)


@pytest.mark.parametrize("name", SECRET)
def test_what_is_secret_and_its_copies(name: str) -> None:
    copies = [copy.format(name) for copy in COPIES]
    assert [copy for copy in (name, name.upper(), *copies) if not is_secret_name(copy)] == []


@pytest.mark.parametrize("name", [name for name in SECRET if "." in name[1:]])
def test_copies_that_keep_the_ending(name: str) -> None:
    stem, dot, kind = name.rpartition(".")
    assert [copy for copy in OTHER_COPIES if not is_secret_name(copy.format(stem, dot + kind))] == []


@pytest.mark.parametrize("name", OPEN)
def test_what_is_not(name: str) -> None:
    assert not is_secret_name(name)


def test_letters_that_become_many_take_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(secret_names, "_SECRET", SimpleNamespace(fullmatch=seen.append))
    assert not is_secret_name("\ufdfa" * 85)  # each becomes eighteen
    assert max(map(len, seen)) == secret_names.MAX_NAME_CHARS
