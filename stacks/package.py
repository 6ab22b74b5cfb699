"""
Builds the one zip that all functions run from: our code, the compiled catalogue, and the locked libraries of this venv.

No network, no Docker, no compiler: every library is pure Python, so that the same bytes run on arm64. Equal sources
and libraries give an equal file; its name has the hash of its content, so a second synth finds it and builds nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sharr.catalogue import Catalogue
from sharr.remediation import Remediation
from sharr.standards import Standards

ROOT = Path(__file__).resolve().parent.parent
BUILD_ONLY = {"loader.py", "compose.py"}
"""Modules of sharr/ that read YAML or make templates: no function imports them."""
CATALOGUE = "sharr/data/catalogue.json"

LIBRARIES = {
    "aws_lambda_powertools": "aws-lambda-powertools",
    "boto3": "boto3",
    "botocore": "botocore",
    "dateutil": "python-dateutil",
    "jmespath": "jmespath",
    "s3transfer": "s3transfer",
    "six": "six",
    "typing_extensions": "typing-extensions",
    "urllib3": "urllib3",
}
"""Module and distribution. boto3 is ours too: Lambda's own changes without notice, and scripts are tested on this."""

LEFT_OUT = (
    "aws_lambda_powertools/event_handler/",  # web APIs, with a browser's JavaScript
    "aws_lambda_powertools/utilities/parser/",  # needs pydantic
    "boto3/data/",  # boto3.resource(), which nothing uses
    "boto3/examples/",
)
ALWAYS = {"sts"}
ZIP_LIMIT = 50 * 1024 * 1024
"""Bytes of a zip. Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
OLDEST = (1980, 1, 1, 0, 0, 0)


class CannotPackage(Exception):
    """A library is not there, or not pure Python, or all together is too large for AWS Lambda."""


@dataclass(frozen=True, slots=True)
class Package:
    """The zip: *version* is what log lines and the catalogue call it, *built* whether this call made it."""

    path: Path
    version: str
    built: bool


def build(
    remediations: Iterable[Remediation], standards: Standards, *, root: Path = ROOT, into: Path | None = None
) -> Package:
    """Return the zip under *into* (`build/`), made anew where sources or libraries changed. Raises CannotPackage."""
    into = into or root / "build"
    sources = dict(own_sources(root))
    digest = hashlib.sha256()
    for name, content in sorted(sources.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    version = f"{_project_version(root)}+{digest.hexdigest()[:12]}"
    sources[CATALOGUE] = Catalogue.of(remediations, standards, version).to_json().encode()
    key = hashlib.sha256(digest.digest() + sources[CATALOGUE] + _libraries_key().encode()).hexdigest()

    into.mkdir(parents=True, exist_ok=True)
    note = into / f"functions-{key[:16]}.key"
    if note.is_file() and (known := into / note.read_text()).is_file():
        return Package(known, version, built=False)
    files = {**sources, **dict(library_files(services_of(sources)))}
    content = _zip(files)
    if len(content) > ZIP_LIMIT:
        raise CannotPackage(f"the zip has {len(content)} bytes, AWS Lambda takes {ZIP_LIMIT}")
    path = into / f"functions-{hashlib.sha256(content).hexdigest()[:16]}.zip"
    _write(path, content)
    _write(note, path.name.encode())
    return Package(path, version, built=True)


def own_sources(root: Path = ROOT) -> Iterator[tuple[str, bytes]]:
    """Yield name in the zip and content of what is ours: library, handlers, the remediations' scripts."""
    patterns = ("sharr/**/*.py", "sharr/data/*.json", "lambdas/**/*.py", "ssm_documents/**/script.py")
    for path in sorted(p for pattern in patterns for p in root.glob(pattern)):
        name = path.relative_to(root).as_posix()
        if path.name in BUILD_ONLY or path.name.startswith("test_") or name == CATALOGUE:
            continue
        yield name, path.read_bytes()


def services_of(sources: dict[str, bytes]) -> set[str]:
    """
    Return the services whose models the zip needs: every text in our code that is the name of one.

    Some are named that never get a client (`config` is a key, too): a model too many costs kilobytes, one too few
    fails in the middle of a repair.
    """
    there = {p.name for p in (_location("botocore") / "data").iterdir() if p.is_dir()}
    named = {
        node.value
        for name, content in sources.items()
        if name.endswith(".py")
        for node in ast.walk(ast.parse(content))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return (named | ALWAYS) & there


def library_files(services: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name in the zip and content of the libraries; of botocore's models those of *services* only."""
    for module in LIBRARIES:
        location = _location(module)
        parent = location.parent
        for path in sorted(location.rglob("*")) if location.is_dir() else [location]:
            name = path.relative_to(parent).as_posix()
            if not path.is_file() or "__pycache__" in name or name.startswith(LEFT_OUT) or not _wanted(name, services):
                continue
            if path.suffix in (".so", ".pyd", ".dylib"):
                raise CannotPackage(f"{name} is compiled for this machine: the zip holds pure Python only")
            yield name, path.read_bytes()


def _wanted(name: str, services: set[str]) -> bool:
    parts = name.split("/")
    if parts[:2] != ["botocore", "data"] or len(parts) == 3:
        return True
    return parts[2] in services and not parts[-1].startswith("examples-")


def _location(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise CannotPackage(f"{module} is not installed: run `uv sync`, or `pip install -e .`")
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _libraries_key() -> str:
    versions = {module: importlib.metadata.version(name) for module, name in LIBRARIES.items()}
    return json.dumps([versions, LEFT_OUT, Path(__file__).read_text()], sort_keys=True)


def _project_version(root: Path) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def _zip(files: dict[str, bytes]) -> bytes:
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in sorted(files.items()):
                entry = zipfile.ZipInfo(name, OLDEST)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # the same bytes on every machine
                packed = name.endswith(".gz")
                archive.writestr(entry, content, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED, 6)
        stream.seek(0)
        return stream.read()


def _write(path: Path, content: bytes) -> None:
    """Write as a whole or not at all: two synths may run at once."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
