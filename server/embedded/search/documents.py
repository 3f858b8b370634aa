"""The documents of the local search: a configured folder, or the documentation that this machine has anyway.

The latter is the project's own, Python's documentation of its language and library, and the readmes of installed packages. That is
enough for "python tutorials" to find something useful on an offline laptop.
"""

from __future__ import annotations

import errno
import importlib.metadata
import io
import os
import pydoc
import pydoc_data.topics
import re
import stat
import sys
import sysconfig
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded.search.text import from_html, from_markdown, heading
from server.embedded.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON_DOCS = f"https://docs.python.org/{VERSION}/"
PACKAGE_PAGE = "https://pypi.org/project/"
PROJECT = Path(__file__).resolve().parents[3]
SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst", ".html", ".htm"})
SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "venv", "build", "dist", "site-packages"})
MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_LEVELS = 64  # folders in each other that are looked into

_DOCSTRING = re.compile(r"\A(?:\s|#[^\n]*\n)*+[rRuU]?(\"\"\"|''')(.*?)\1", re.DOTALL)
_HOME_LABELS = ("homepage", "documentation", "home", "docs", "repository", "source", "source code")


@dataclass(frozen=True, slots=True)
class Page:
    """A document as indexed."""

    title: str
    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """An existing document. It is read only if its `stamp` (time or version) differs from the indexed one."""

    key: str
    stamp: str
    read: Callable[[], Page]


@dataclass(slots=True)
class LeftOut:
    """Counts the documents and folders in which nobody would find what is looked for, and would not know why."""

    count: int = 0

    def is_secret(self, name: str) -> bool:
        """True for names that secrets usually have."""
        return self._counted(is_secret_name(name))

    def is_long(self, size_bytes: int) -> bool:
        """True for documents that are too long to be indexed."""
        return self._counted(size_bytes > MAX_DOCUMENT_BYTES)

    def _counted(self, left_out: bool) -> bool:
        self.count += left_out
        return left_out


def folder(root: Path, left_out: LeftOut | None = None) -> Iterator[Document]:
    """Text, Markdown and HTML files below a folder, without hidden files and symbolic links, and what is counted as left out."""
    left_out = left_out or LeftOut()
    rest = [(str(root), 0)]  # before Python 3.12, os.walk calls itself for every level, and ends at some hundred
    while rest:
        here, level = rest.pop()
        folders = []
        for entry in _entries(here):
            if entry.is_dir(follow_symlinks=False):
                if level < MAX_LEVELS and entry.name not in SKIPPED_FOLDERS and not left_out.is_secret(entry.name):
                    folders.append((entry.path, level + 1))
                continue
            kept = Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_symlink()
            if kept and not left_out.is_secret(entry.name):
                yield from _file(Path(entry.path), left_out)
        rest += reversed(folders)


def _entries(here: str) -> list[os.DirEntry[str]]:
    """What is in a folder, without hidden entries; nothing if it cannot be read, or is gone."""
    try:
        with os.scandir(here) as entries:
            return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError:
        return []


def _file(path: Path, left_out: LeftOut) -> Iterator[Document]:
    try:
        about = path.stat()
    except OSError:  # deleted since it was listed
        return
    if stat.S_ISREG(about.st_mode) and not left_out.is_long(about.st_size):
        key = str(path).encode("utf-8", "backslashreplace").decode()  # SQLite takes no bytes that are no text
        yield Document(key, f"{about.st_mtime_ns} {about.st_size}", partial(_read_file, path))


def _read_file(path: Path) -> Page:
    """Read a file. Raises OSError."""
    text = _text(path)
    named = path.stem.replace("-", " ").replace("_", " ")
    if path.suffix.lower() in {".html", ".htm"}:
        title, plain = from_html(text)
        return Page(title or named, path.resolve().as_uri(), plain)
    return Page(heading(text) or named, path.resolve().as_uri(), from_markdown(text))


def _text(path: Path) -> str:
    """The text of what is still a file, and no longer than it may be. Opening a pipe would wait for a writer. Raises OSError."""
    held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(held, encoding="utf-8", errors="replace") as file:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(errno.EINVAL, "no file", str(path))
        return file.read(MAX_DOCUMENT_BYTES)


def machine() -> Iterator[Document]:
    """All documentation that this machine has anyway."""
    yield from project()
    yield from python_language()
    yield from python_library()
    yield from installed_packages()


def project() -> Iterator[Document]:
    """This project's own documents, if it runs from its sources."""
    if (PROJECT / "pyproject.toml").is_file():
        for path in sorted(PROJECT.glob("*.md")):
            yield from _file(path, LeftOut())
        for package in ("docs", "deploy", "streaming"):
            yield from folder(PROJECT / package)


def python_language() -> Iterator[Document]:
    """The introduction of `help()`, and the language reference that `help()` shows."""
    yield Document("python:tutorial", sys.version, _tutorial)
    for name in pydoc_data.topics.topics:
        yield Document(f"python:topic:{name}", sys.version, partial(_topic, name))


def _tutorial() -> Page:
    words = io.StringIO()
    pydoc.Helper(output=words).intro()
    return Page("The Python Tutorial", f"{PYTHON_DOCS}tutorial/", words.getvalue())


def _topic(name: str) -> Page:
    text = pydoc_data.topics.topics[name]
    first = text.strip().partition("\n")[0]
    return Page(f"Python language reference: {first[:80]}", f"{PYTHON_DOCS}reference/#{name}", from_markdown(text))


def python_library() -> Iterator[Document]:
    """The docstrings of the standard library's modules, without importing them."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        for path in (root / f"{name}.py", root / name / "__init__.py"):
            if not name.startswith("_") and path.is_file():
                yield Document(f"python:module:{name}", sys.version, partial(_module, name, path))


def _module(name: str, path: Path) -> Page:
    found = _DOCSTRING.match(path.read_text(encoding="utf-8", errors="replace"))
    text = found[2].strip() if found else ""
    first = text.partition("\n")[0].strip()
    title = f"Python library: {name}" + (f": {first}" if first and name not in first else "")
    return Page(title, f"{PYTHON_DOCS}library/{name}.html", text)


def installed_packages() -> Iterator[Document]:
    """Summary and readme of all installed packages."""
    for package in importlib.metadata.distributions():
        name = package.metadata["Name"]
        if name:
            yield Document(f"package:{name}", package.version, partial(_package, package))


def _package(package: importlib.metadata.Distribution) -> Page:
    about = package.metadata
    name, summary = about["Name"], about["Summary"] or ""
    text = from_markdown(str(about.json.get("description", "")))
    title = f"{name}: {summary}" if summary else name
    return Page(
        title, _home(package) or f"{PACKAGE_PAGE}{name}/", f"{summary.rstrip(chr(46))}. {text}" if summary else text
    )


def _home(package: importlib.metadata.Distribution) -> str:
    """The package's home page."""
    urls = dict(entry.split(", ", 1) for entry in package.metadata.get_all("Project-URL") or [] if ", " in entry)
    named = {label.lower(): url for label, url in urls.items()}
    found = [package.metadata["Home-page"], *(named.get(label) for label in _HOME_LABELS)]
    return next((url for url in found if url and url.startswith(("http://", "https://"))), "")
