"""A CDK cloud assembly on disk: its templates and the files that they refer to by object key."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any


class AssetNotFound(LookupError):
    """A template names a file or a stack that the cloud assembly does not have."""


class Assembly:
    """
    What `app.synth()` wrote into one folder.

    Source: https://docs.aws.amazon.com/cdk/v2/guide/deploy.html (cloud assembly; manifest.json, *.assets.json)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources: dict[str, dict[str, str]] = {}
        self._zipped: dict[str, bytes] = {}
        for manifest in sorted(folder.glob("*.assets.json")):
            content = json.loads(manifest.read_text())
            if content.get("dockerImages"):
                raise AssetNotFound(f"{manifest}: container images are not known to the sandbox")
            for asset in content.get("files", {}).values():
                for destination in asset["destinations"].values():
                    self._sources[destination["objectKey"]] = asset["source"]

    def template(self, stack: str) -> tuple[str, str]:
        """
        Return the stack's name and its template's text; *stack* is the artifact's id or the stack's name.

        Raises AssetNotFound.
        """
        manifest = self._folder / "manifest.json"
        if not manifest.is_file():
            raise AssetNotFound(f"{self._folder} is no cloud assembly: it has no manifest.json")
        stacks: dict[str, tuple[str, str]] = {}
        for artifact, content in json.loads(manifest.read_text())["artifacts"].items():
            if content["type"] == "aws:cloudformation:stack":
                properties: dict[str, Any] = content["properties"]
                name = properties.get("stackName", artifact)
                stacks[artifact] = stacks[name] = (name, properties["templateFile"])
        if stack not in stacks:
            raise AssetNotFound(f"{self._folder}: no stack {stack!r}; it has {', '.join(sorted(stacks)) or 'none'}")
        name, file = stacks[stack]
        return name, (self._folder / file).read_text()

    def read(self, object_key: str) -> bytes:
        """Return what `cdk deploy` would upload under *object_key*: a folder as a zip. Raises AssetNotFound."""
        source = self._sources.get(object_key)
        if source is None:
            raise AssetNotFound(f"{self._folder}: no asset has the object key {object_key!r}")
        if "path" not in source:
            raise AssetNotFound(f"{self._folder}: asset {object_key!r} is made by a command, which is not supported")
        path = self._folder / source["path"]
        if source.get("packaging", "file") == "file":
            return path.read_bytes()
        if object_key not in self._zipped:
            self._zipped[object_key] = zip_of(path)
        return self._zipped[object_key]


def zip_of(folder: Path) -> bytes:
    """Return the folder's files as a zip; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                # ZipInfo without a time: a zip with the times of the files would differ at every checkout.
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()
