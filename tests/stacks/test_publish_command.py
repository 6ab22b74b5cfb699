"""`make publish` as a person runs it: a process of its own, against the sandbox's endpoint."""

from __future__ import annotations

import os
import subprocess
import sys

from sandbox.world import Sandbox
from stacks.publish import ROOT

ADMIN, HOME = "111111111111", "us-east-1"


def test_the_whole_command_works_against_the_sandbox_s_endpoint() -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with Sandbox() as world, world.serve() as url:
        environment = {
            **kept,
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_REGION": HOME,
        }
        arguments = ["--bucket", "from-outside", "--organization", world.organization.id, "--create"]
        done = subprocess.run(
            [sys.executable, "-m", "stacks.publish", *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        s3 = world.identity.client("s3", ADMIN, HOME)
        there = s3.list_objects_v2(Bucket="from-outside")["KeyCount"] if done.returncode == 0 else 0

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{there} objects written; bucket policy changed.")
    assert there > 40
    for name in ("sharr-admin", "sharr-rollout"):
        assert (ROOT / "build" / "published" / f"{name}.template.json").is_file()
        assert f"--stack-name {name}" in done.stdout
