"""SSM.4: a public document gets private, whatever its name; shares with accounts stay, and the version comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ssm/make_document_private"
Json = dict[str, Any]


def document(b: Bench, name: str, *shared_with: str, version: str = "$DEFAULT") -> str:
    """Make a document, share it, and return its ARN."""
    ssm = b.client("ssm")
    steps = [{"action": "aws:runShellScript", "name": "look", "inputs": {"runCommand": ["uptime"]}}]
    content = json.dumps({"schemaVersion": "2.2", "description": "SSM.4", "mainSteps": steps})
    ssm.create_document(Content=content, Name=name, DocumentType="Command", DocumentFormat="JSON")
    if shared_with:
        ssm.modify_document_permission(
            Name=name, PermissionType="Share", AccountIdsToAdd=list(shared_with), SharedDocumentVersion=version
        )
    return b.arn("ssm", f"document/{name}")


def public(b: Bench) -> str:
    return document(b, "public-for-SSM.4", "all")


def public_in_every_version(b: Bench) -> str:
    return document(b, "all-versions-for-SSM.4", "all", version="$ALL")


def shares(b: Bench, resource_id: str) -> list[Json]:
    name = resource_id.split("/")[1]
    found: list[Json] = b.client("ssm").describe_document_permission(Name=name, PermissionType="Share")[
        "AccountSharingInfoList"
    ]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    return "all" not in [one["AccountId"] for one in shares(b, resource_id)]


CASES = [
    Case("SSM.4", "a public document with a dot in its name", public, passes),
    Case("SSM.4", "a document public in every version", public_in_every_version, passes, region="eu-west-1"),
]


@pytest.mark.parametrize(
    ("case", "public", "back"),
    [("every version", "$ALL", ["$ALL"]), ("the default version", "$DEFAULT", ["$DEFAULT"]), ("private", None, [])],
)
def test_plan(case: str, public: str | None, back: list[str]) -> None:
    state = {"config": {"public": public}, "facts": {}, "busy": None}
    calls = code_of(remediation_of(ID)).plan(state, {"resource": {"document": "d"}})

    assert [one["undo"][0]["parameters"]["SharedDocumentVersion"] for one in calls] == back, case
    assert all(one["parameters"]["AccountIdsToRemove"] == ["all"] for one in calls)


@pytest.mark.parametrize(
    ("name", "is_target"),
    [("with.dots_and-dashes.v2", True), ("x" * 128, True), ("x" * 129, False), ("a/b", False), ("a*", False)],
)
def test_every_name_that_systems_manager_takes_is_a_target(name: str, is_target: bool) -> None:
    """ASR refused a dot."""
    pattern = remediation_of(ID).resources[0].compiled("aws", "us-east-1", "1" * 12)

    assert bool(pattern.fullmatch(f"arn:aws:ssm:us-east-1:{'1' * 12}:document/{name}")) == is_target


def test_a_document_shared_with_accounts_is_compliant_and_keeps_them() -> None:
    with bench(ID) as b:
        friends = [f"{number:012}" for number in range(1, 21)]
        resource_id = document(b, "shared", *friends)
        b.client("ssm").modify_document_permission(
            Name="shared", PermissionType="Share", AccountIdsToAdd=["9" * 12]
        )  # the second page
        with b.watched() as calls:
            result = b.remediate("SSM.4", resource_id)

        assert result["outcome"] == "COMPLIANT"
        assert [c.operation for c in calls if c.service == "ssm"] == ["DescribeDocumentPermission"] * 2
        name = {"Name": "shared", "PermissionType": "Share", "MaxResults": 200}
        assert len(b.client("ssm").describe_document_permission(**name)["AccountIds"]) == 21


def test_everybody_on_a_later_page_is_seen() -> None:
    """ASR read one page."""

    class Pages:
        def describe_document_permission(self, **asked: str) -> Json:
            if "NextToken" not in asked:
                return {"AccountIds": ["1" * 12], "NextToken": "more"}
            return {"AccountIds": ["All"], "AccountSharingInfoList": [{"AccountId": "All"}]}

    class Aws:
        def client(self, _service: str) -> Pages:
            return Pages()

    state = code_of(remediation_of(ID)).inspect(Aws(), {"resource": {"document": "d"}})

    assert state["config"] == {"public": "$DEFAULT"}


def test_a_document_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("SSM.4", b.arn("ssm", "document/nowhere"))["outcome"] == "COMPLIANT"
