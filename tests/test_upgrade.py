"""
From one release to the next: what was begun, repaired and held before the update goes on after it.

There is no older release to deploy, so the earlier one is this one with another version, code of its functions and
documents; what it left in the table is what every release leaves there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import scene
from sandbox.organization import Organization
from sandbox.world import Sandbox
from sharr.finding import UNDO
from tests.stage import Stage


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An assembly whose admin stack has another description and code key, and whose runbooks have another code."""
    folder = tmp_path_factory.mktemp("earlier") / "cdk.out"
    shutil.copytree(scene.assembly(), folder)
    for path in folder.glob("*.template.json"):
        template = json.loads(path.read_text())
        template["Description"] = template["Description"].replace("SHARR ", "SHARR 0.0.9 before ")
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::SSM::Document":
                for step in resource["Properties"]["Content"]["mainSteps"]:
                    step["inputs"]["Script"] = older(step["inputs"]["Script"])
            if resource["Type"] == "AWS::Lambda::Function":
                resource["Properties"]["Description"] = "SHARR, as it was"
        path.write_text(json.dumps(template))
    return folder


def older(script: str) -> str:
    """Return a script of the release before the records told their code: REMEDIATION has none, and nothing reads it."""
    lines = [line for line in script.splitlines() if not line.startswith(" 'code': ")]
    text = "\n".join(lines).replace("'code': REMEDIATION['code'], ", "")
    assert "REMEDIATION['code']" not in text
    return text + "\n"


@pytest.fixture
def stage(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(scene, "assembly", lambda: earlier)
    with Sandbox(Organization(members=("222222222222",))) as world:
        made = Stage(world, SCAutomaticControls="KMS.4,EC2.6,RDS.2")
        monkeypatch.undo()
        yield made


def update_all(stage: Stage, *, members: bool = True) -> None:
    """Update the stacks to this release, the roles and runbooks before the admin stack, as docs/deploy.md has it."""
    world, organization, files = stage.world, stage.organization, scene.assembly()
    for account in (organization.admin, *organization.members) if members else ():
        world.update(files, "sharr-member-roles", account, organization.home)
        for region in organization.regions:
            world.update(files, "sharr-member", account, region)
    world.update(files, "sharr-admin", organization.admin, organization.home)
    world.run()


def test_what_was_repaired_held_and_begun_before_the_update_goes_on_after_it(stage: Stage) -> None:
    key, held = stage.key(), stage.key()
    repaired = stage.publish(stage.finding(key))
    undone = stage.publish(stage.finding(held))
    stage.press(UNDO, undone)
    slow = stage.public_database("slow")
    stage.publish(slow)
    before = {f["Id"]: stage.attempt(f) for f in (repaired, undone, slow)}
    assert [before[f["Id"]].outcome for f in (repaired, undone, slow)] == ["REMEDIATED", "UNDONE", "PENDING"]
    table = stage.outputs["TableName"]

    update_all(stage)

    client = stage.world.identity.client("cloudformation", stage.organization.admin, stage.organization.home)
    (stack,) = client.describe_stacks(StackName="sharr-admin")["Stacks"]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
    assert "before" not in stack["Description"]
    assert outputs["TableName"] == table
    for finding in (repaired, undone):
        assert stage.attempt(finding) == before[finding["Id"]], "the update touches no record"
    # What was pending ends.
    stage.world.advance(3600)
    assert stage.attempt(slow).outcome == "REMEDIATED"
    # What was held is held.
    stage.regress(held)
    assert not stage.rotates(held)
    assert stage.attempt(undone).guard == "hold"
    # What was repaired is undone by its own record.
    assert stage.rotates(key)
    stage.press(UNDO, repaired)
    assert stage.attempt(repaired).outcome == "UNDONE"
    assert not stage.rotates(key)
    assert stage.dead() == []


def test_runbooks_of_the_release_before_still_repair_and_a_failure_names_them(stage: Stage) -> None:
    """The admin stack is updated first, and the members are late: told, not broken."""
    update_all(stage, members=False)
    ec2 = stage.place.client("ec2")

    def finding(name: str) -> dict[str, Any]:
        vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        return stage.finding(stage.place.arn("ec2", f"vpc/{vpc}"), control="EC2.6", type="AwsEc2Vpc")

    repaired = stage.publish(finding("repaired"))
    stage.world.advance(1200)
    assert stage.attempt(repaired).outcome == "REMEDIATED"
    assert stage.attempt(repaired).execution

    # The member's role loses a right, as where its release did not have it yet.
    iam = stage.place.client("iam")
    name = "sharr-ec2-log-vpc-traffic"
    policy = iam.get_role_policy(RoleName=name, PolicyName="rights")["PolicyDocument"]
    kept = [s for s in policy["Statement"] if "ec2:CreateFlowLogs" not in s["Action"]]
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=json.dumps({**policy, "Statement": kept}))
    failed = stage.publish(finding("failed"))
    stage.world.advance(1200)

    attempt = stage.attempt(failed)
    assert attempt.outcome == "FAILED"
    assert "is there of another release (code of an earlier release, here " in attempt.why
    where = f"account {stage.place.account}"
    assert f"update the stack member-roles of {where} to the release of the admin stack" in attempt.to_do
    assert f"update the stack member or member-flat in {where}, Region {stage.place.region}" in attempt.to_do
    assert stage.dead() == []
