"""The documentation says what is there: generated parts are fresh, commands and links lead somewhere, policies hold."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data

from sandbox import scene
from sandbox.demo import SHOWN
from sandbox.iam import Request, Subject, evaluate, parse_policy
from sharr.loader import load_all
from tools import make_docs
from tools.make_docs import COLUMNS, ROOT, ranges

PAGES = make_docs.pages()
PATHS = [path.relative_to(ROOT).as_posix() for path in PAGES]
README = (ROOT / "README.md").read_text("utf-8")
every_page = pytest.mark.parametrize("path", PAGES, ids=PATHS)
MEMBER, OWN = "222222222222", "arn:aws:iam::222222222222:role"


def without_code(text: str) -> str:
    """Return a page without its blocks of code and its HTML comments."""
    return re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)


def shell_of(text: str) -> str:
    """Return the commands that a page shows, with continued lines put together."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    return re.sub(r"\\\n\s*", " ", "\n".join(blocks))


def code_spans(text: str) -> Iterator[str]:
    """Yield what stands between single backticks in a page's prose."""
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_code(text))


@every_page
def test_generated_parts_are_fresh(path: Path) -> None:
    assert path.read_text("utf-8") == make_docs.rendered(path), "run `make docs`"


def test_a_page_that_asks_for_an_unknown_part_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: horoscope -->\n<!-- end of generated -->")

    with pytest.raises(make_docs.NoSuchPart, match="horoscope"):
        make_docs.rendered(page)


@every_page
def test_every_make_target_that_is_shown_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    lines = [line for block in (shell_of(text), "\n".join(code_spans(text))) for line in block.splitlines()]
    shown = {
        word
        for line in lines
        for command in re.findall(r"^(?:\$ )?make ((?:[a-z]+ ?)+)", line)
        for word in command.split()
    }

    assert shown <= targets


def test_every_module_that_the_makefile_runs_exists() -> None:
    named = re.findall(r"python -m ([a-z_.]+)", (ROOT / "Makefile").read_text("utf-8"))
    modules = [name for name in named if name not in ("venv", "pip")]

    assert "sandbox" in modules
    for name in modules:
        found = importlib.util.find_spec(name)
        assert found, name
        is_package = found.submodule_search_locations is not None
        assert not is_package or importlib.util.find_spec(f"{name}.__main__"), f"{name} has no __main__"


@every_page
def test_every_module_that_is_run_and_every_file_that_is_named_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    modules = re.findall(r"python -m ([a-z_.]+)", text)
    tops = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} - {"build", "cdk.out"}
    files = [s for s in code_spans(text) if re.fullmatch(r"[a-z_]+/[A-Za-z0-9_./-]+", s) and s.split("/")[0] in tops]

    assert [m for m in modules if importlib.util.find_spec(m) is None] == []
    assert [f for f in files if not (ROOT / f).exists()] == []


@every_page
def test_every_link_within_the_repository_leads_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text("utf-8"))):
        if target.startswith(("https://", "http://")):
            continue
        name, _, fragment = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if not page.exists() or (fragment and fragment not in anchors_of(page)):
            broken.append(target)

    assert broken == []


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text("utf-8")), flags=re.MULTILINE)
    return {make_docs.anchor(heading) for heading in headings}


def test_the_readme_s_parts_come_in_the_order_in_which_a_reader_needs_them() -> None:
    headings = re.findall(r"^## (.*)$", without_code(README), flags=re.MULTILINE)
    wanted = ["Try it", "What it repairs", "Deploy", "Configure"]
    wanted += ["Add a remediation", "How it works", "Limits", "Security"]

    assert [h for h in headings if h in wanted] == wanted


def template(stack: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((scene.assembly() / f"{stack}.template.json").read_text("utf-8"))
    return loaded


def test_deploy_commands_name_stacks_templates_and_parameters_that_exist() -> None:
    text = README + (ROOT / "docs" / "deploy.md").read_text("utf-8")
    deployed = set()
    for command in shell_of(text).splitlines():
        stack = re.search(r"(?:--stack-name|deploy --app cdk\.out) (sharr-[a-z-]+)", command)
        if not stack:
            assert "aws cloudformation deploy" not in command, command
            continue
        deployed.add(stack[1])
        parameters = template(stack[1])["Parameters"]
        overrides = command.partition("--parameter-overrides ")[2]
        named = re.findall(r"ParameterKey=(\w+)|--parameters (\w+)=", command)
        named += [("", name) for name in re.findall(r"(?:^| )([A-Za-z]+)=", overrides)]
        assert {one or other for one, other in named} - {"ParameterKey"} <= parameters.keys(), command
        assert named, command
        for file in re.findall(r"(?:published|[0-9a-f]{8})/(\S+)\.template\.json", command):
            assert file == stack[1]
    inline = re.findall(r"`--parameters ([^`]+)`", README)
    assert {p for text in inline for p in re.findall(r"(\w+)=", text)} <= template("sharr-admin")["Parameters"].keys()
    assert deployed == {"sharr-admin", "sharr-rollout", "sharr-member", "sharr-member-roles"}


def test_member_roles_can_be_deployed_by_any_tool_to_accounts_that_were_never_bootstrapped() -> None:
    text = (scene.assembly() / "sharr-member-roles.template.json").read_text("utf-8")

    assert len(text.encode()) <= 1_000_000, "a template in a bucket"
    assert "cdk-hnb659fds-assets" not in text
    assert {r["Type"] for r in json.loads(text)["Resources"].values()} == {"AWS::IAM::Role"}


def test_every_remediation_can_run_in_either_place_as_the_readme_says() -> None:
    assert [r.id for r in load_all() if set(r.places) != {"lambda", "runbook"}] == []


def test_the_demo_s_output_is_of_these_remediations_and_fits() -> None:
    found = re.search(r"<!-- demo -->\n(```console\n\$ make demo\n.*)<!-- end of demo -->", README, re.DOTALL)
    assert found, "run `python -m tools.make_docs --demo`"
    output = found[1]

    assert f"\n{len(SHOWN)} findings" in output
    assert max(len(line) for line in output.splitlines()) <= COLUMNS


def test_a_folded_row_is_cut_at_its_first_line_and_marked() -> None:
    lines = [
        "┏━━━┳━━━━━━━━┳━━━┓",
        "│ a │ sg-012 │ x │",
        "│   │ 3456   │   │",
        "│ b │ vpc-1  │ y │",
    ]

    assert make_docs.one_line_per_row(lines).splitlines() == [lines[0], "│ a │ sg-01… │ x │", lines[3]]


# ------------------------------------------------------------------------------------------------------------ policies
def policy_of(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "policies" / name).read_text("utf-8"))
    return loaded


def actions_of(document: dict[str, Any]) -> set[str]:
    listed = [s["Action"] for s in document["Statement"]]
    return {action for one in listed for action in ([one] if isinstance(one, str) else one)}


@pytest.mark.parametrize("name", ["press-the-button.json", "protect-sharr-scp.json"])
def test_actions_of_the_policies_are_real(name: str) -> None:
    for action in actions_of(policy_of(name)):
        service, operation = action.split(":")
        assert get_action_data(service, operation), action


def test_the_right_to_press_a_button_is_a_read_action_for_iam_and_is_in_the_policy() -> None:
    (data,) = get_action_data("securityhub", "SendFindingEvents")["securityhub"]

    assert data["access_level"] == "Read"
    assert "securityhub:SendFindingEvents" in actions_of(policy_of("press-the-button.json"))


EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
FULL = parse_policy({"Version": "2012-10-17", "Statement": [EVERYTHING]}, "full access")
# The policy stands beside FullAWSAccess: together they are what one level of the organization allows.
LEVEL = parse_policy(
    {"Version": "2012-10-17", "Statement": [EVERYTHING, *policy_of("protect-sharr-scp.json")["Statement"]]}, "scp"
)
REPAIR = f"{OWN}/sharr/sharr-kms-rotate-key"
CDK, FLOW = f"{OWN}/cdk-hnb659fds-cfn-exec-role-{MEMBER}-us-east-1", f"{OWN}/sharr/sharr-ec2-log-vpc-traffic"
DOCUMENT = f"arn:aws:ssm:us-east-1:{MEMBER}:document"
FUNCTION = f"arn:aws:lambda:us-east-1:{MEMBER}:function"


@pytest.mark.parametrize(
    ("who", "action", "resource", "allowed"),
    [
        (f"{OWN}/Developer", "iam:UpdateAssumeRolePolicy", REPAIR, False),
        (f"{OWN}/Developer", "iam:PutRolePolicy", REPAIR, False),
        (f"{OWN}/Developer", "iam:DeleteRole", REPAIR, False),
        (f"{OWN}/Developer", "iam:DeleteRole", f"{OWN}/theirs", True),
        (f"{OWN}/Developer", "iam:GetRole", REPAIR, True),
        (REPAIR, "iam:PutRolePolicy", REPAIR, False),
        (CDK, "iam:CreateRole", REPAIR, True),
        (f"{OWN}/stacksets-exec-0123456789abcdef", "iam:UpdateAssumeRolePolicy", REPAIR, True),
        (f"{OWN}/AWSCloudFormationStackSetExecutionRole", "iam:DeleteRole", REPAIR, True),
        (f"{OWN}/SharrAdministrator", "iam:DeleteRole", REPAIR, True),
        (f"{OWN}/Developer", "iam:PassRole", REPAIR, False),
        (f"{OWN}/Developer", "iam:PassRole", f"{OWN}/theirs", True),
        (f"{OWN}/sharr/sharr-starter", "iam:PassRole", REPAIR, True),
        (FLOW, "iam:PassRole", f"{OWN}/sharr/sharr-flow-log-delivery", True),
        (CDK, "iam:PassRole", f"{OWN}/sharr/sharr-repair", True),
        (f"{OWN}/Developer", "lambda:UpdateFunctionCode", f"{FUNCTION}:sharr-admin-OutcomeFunction-x", False),
        (f"{OWN}/Developer", "lambda:UpdateFunctionCode", f"{FUNCTION}:orders", True),
        (CDK, "lambda:UpdateFunctionCode", f"{FUNCTION}:sharr-admin-OutcomeFunction-x", True),
        (f"{OWN}/Developer", "ssm:UpdateDocument", f"{DOCUMENT}/SHARR-kms-rotate-key", False),
        (f"{OWN}/Developer", "ssm:UpdateDocument", f"{DOCUMENT}/Theirs", True),
        (f"{OWN}/sharr/sharr-starter", "ssm:StartAutomationExecution", f"{DOCUMENT}/SHARR-kms-rotate-key", True),
    ],
)  # fmt: skip
def test_the_scp_protects_roles_and_code_of_ours_only(who: str, action: str, resource: str, allowed: bool) -> None:
    assert decided(who, action, resource) is allowed


def decided(who: str, action: str, resource: str) -> bool:
    subject = Subject(MEMBER, f"{who.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/session", who)
    request = Request(subject, action, resource, {"aws:PrincipalArn": who}, MEMBER)
    return evaluate(request, identity=[FULL], scps=[LEVEL]).allowed


def test_the_scp_denies_nothing_that_a_repair_or_an_undo_needs() -> None:
    denied = actions_of(policy_of("protect-sharr-scp.json"))
    needs: dict[str, set[str]] = {}
    for remediation in load_all():
        for permission in (*remediation.read, *remediation.write, *remediation.undo):
            needs.setdefault(permission.action, set()).add(remediation.role_name)

    theirs = {"AttachRolePolicy", "CreateRole", "DeleteRole", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy"}
    theirs |= {"TagRole", "UntagRole", "PassRole"}
    assert denied & needs.keys() <= {"ssm:ModifyDocumentPermission", *(f"iam:{one}" for one in theirs)}
    # Nobody repairs roles of ours; those of others, and the one for AWS Support, are not below /sharr/.
    for action in denied & needs.keys() - {"iam:PassRole"}:
        for role in needs[action]:
            resource = f"{OWN}/sharr-support-access" if action.startswith("iam:") else f"{DOCUMENT}/Theirs"
            assert decided(f"{OWN}/sharr/{role}", action, resource)
    passes = {
        r.role_name: resource.split("{account}:")[1]
        for r in load_all()
        for permission in r.write
        for resource in permission.on
        if permission.action == "iam:PassRole" and "role/sharr/" in resource
    }
    assert len(passes) >= 4
    for role, passed in passes.items():
        assert decided(f"{OWN}/sharr/{role}", "iam:PassRole", f"{OWN}/{passed.removeprefix('role/')}")


def test_the_scp_fits_into_a_service_control_policy_and_names_no_partition() -> None:
    text = json.dumps(policy_of("protect-sharr-scp.json"), separators=(",", ":"))

    assert len(text) <= 5120
    assert "arn:aws" not in text


@pytest.mark.parametrize(
    ("controls", "shown"),
    [
        (["S3.5"], "S3.5"),
        (["S3.1", "S3.2"], "S3.1 S3.2"),
        (["S3.1", "S3.2", "S3.3", "S3.8", "CloudTrail.6"], "S3.1-3 S3.8 CloudTrail.6"),
        (["AutoScaling.3", "Autoscaling.5"], "AutoScaling.3 Autoscaling.5"),
        ([f"X.{n}" for n in range(21)], "21 controls"),
    ],
)
def test_controls_in_a_row_are_one_range(controls: list[str], shown: str) -> None:
    assert ranges(controls) == shown


def test_every_question_of_what_happens_when_has_a_proof_that_is_there() -> None:
    part = README.split("\n## What happens when\n")[1].split("\n## ")[0]
    form = r"^\*\*([0-9]+)\. [^*]+\?\*\*\n([^*]+)\n\*Proof:\* \[(test_\w+)\]\(([\w/.]+)\)"
    questions = re.findall(form, part, re.MULTILINE)
    assert [int(number) for number, *_ in questions] == list(range(1, 13))
    for _, answer, name, file in questions:
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), name
        assert 1 <= answer.count("\n") + 1 <= 3
    jobs = set(re.findall(r"`make (\w+)`", part))
    assert jobs == {"faults", "mutate", "flood", "hostile"}
    assert all(f"\n{job}: " in (ROOT / "Makefile").read_text("utf-8") for job in jobs)
