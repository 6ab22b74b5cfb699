"""Sets a scene: synthesizes the templates (once per state of the sources) and deploys them to the organization."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.world import Sandbox

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("app.py", "uv.lock", "sharr", "lambdas", "stacks", "playbooks", "ssm_documents")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the stacks gave: outputs of the admin stack."""

    assembly: Path
    admin: Mapping[str, str]


def assembly() -> Path:
    """Return a folder with the synthesized templates of the sources as they are; made once, whoever asks first."""
    folder = ROOT / "build" / f"cdk.out-{_fingerprint()}"
    folder.parent.mkdir(exist_ok=True)
    with (ROOT / "build" / ".synthesis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "manifest.json").is_file():
            environment = {**os.environ, "CDK_OUTDIR": str(folder), "CDK_VALIDATION": "false"}
            made = subprocess.run(
                [sys.executable, str(ROOT / "app.py")], env=environment, capture_output=True, text=True, check=False
            )
            if made.returncode:
                raise RuntimeError(f"app.py failed:\n{made.stderr[-4000:]}")
    return folder


def deploy(
    world: Sandbox,
    *,
    parameters: Mapping[str, str] | None = None,
    runbooks: bool = True,
    roles_in: tuple[str, ...] | None = None,
) -> Deployment:
    """
    Deploy admin to the admin account's home Region, member-roles to every account, member to every account and Region.

    *parameters* are the admin stack's, on top of the organization's id; *roles_in* leaves accounts without roles.
    """
    organization, files = world.organization, assembly()
    admin = {"OrganizationId": organization.id, **(parameters or {})}
    outputs = world.deploy(files, "sharr-admin", organization.admin, organization.home, admin).outputs
    accounts = (organization.admin, *organization.members) if roles_in is None else roles_in
    for account in accounts:
        roles = {"SecHubAdminAccount": organization.admin, "OrganizationId": organization.id}
        world.deploy(files, "sharr-member-roles", account, organization.home, roles)
        if runbooks:
            member = {"SecHubAdminAccount": organization.admin, "HomeRegion": organization.home}
            for region in organization.regions:
                world.deploy(files, "sharr-member", account, region, member)
    return Deployment(files, outputs)


def choose(world: Sandbox, text: str) -> None:
    """Write into the SSM parameter behind the admin stack's RemediationParameters, as an update of the stack would."""
    ssm = world.identity.client("ssm", world.organization.admin, world.organization.home)
    (name,) = [p["Name"] for p in ssm.describe_parameters()["Parameters"] if "RemediationParameters" in p["Name"]]
    ssm.put_parameter(Name=name, Value=f"parameters,{text}", Overwrite=True)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        path = ROOT / source
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("test_"):
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
