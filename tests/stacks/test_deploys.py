"""The templates on the emulated organization: they can be created, they work together, and they can be deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import samples
from sandbox.additions import securityhub
from sandbox.cloudformation import DeployError
from sandbox.world import Sandbox
from tests.stacks.assembly import Assembly

ELSEWHERE = "eu-west-1"


@pytest.fixture
def world() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def deploy_member(world: Sandbox, assembly: Assembly, account: str, regions: tuple[str, ...]) -> None:
    organization = world.organization
    admin = {"SecHubAdminAccount": organization.admin}
    world.deploy(
        assembly.folder,
        "sharr-member-roles",
        account,
        organization.home,
        {**admin, "OrganizationId": organization.id},
    )
    for region in regions:
        world.deploy(assembly.folder, "sharr-member", account, region, {**admin, "HomeRegion": organization.home})


@pytest.mark.parametrize("mode", ["lambda", "runbook"])
def test_a_finding_is_repaired_in_a_member_and_in_the_admin_account_which_is_one_too(
    world: Sandbox, assembly: Assembly, mode: str
) -> None:
    organization = world.organization
    admin, home, member = organization.admin, organization.home, organization.members[0]
    given = {"OrganizationId": organization.id, "SCAutomaticControls": "KMS.4", "ExecutionMode": mode}
    world.deploy(assembly.folder, "sharr-admin", admin, home, given)
    places = ((member, ELSEWHERE), (admin, home))
    for account, region in places:
        deploy_member(world, assembly, account, (region,))
    keys = {}
    for account, region in places:
        keys[account, region] = world.identity.client("kms", account, region).create_key()["KeyMetadata"]["Arn"]
        found = samples.finding(
            "SC",
            "KMS.4",
            account=account,
            region=region,
            resource_id=keys[account, region],
            resource_type="AwsKmsKey",
            now=world.clock.now(),
        )
        securityhub.publish(world, found)

    world.settle()
    world.advance(120)

    for (account, region), key in keys.items():
        kms = world.identity.client("kms", account, region)
        assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True
    findings = world.identity.client("securityhub", admin, home).get_findings()["Findings"]
    assert [f["Workflow"]["Status"] for f in findings] == ["RESOLVED", "RESOLVED"]
    assert world.troubles == []
    assert not any(world.dead_letters().values())
    assert world.not_known() == []


def test_a_control_that_is_not_switched_on_is_left_alone(world: Sandbox, assembly: Assembly) -> None:
    organization = world.organization
    admin, home = organization.admin, organization.home
    world.deploy(assembly.folder, "sharr-admin", admin, home, {"SCAutomaticControls": "S3.5"})
    deploy_member(world, assembly, admin, ())
    kms = world.identity.client("kms", admin, home)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    found = samples.finding("SC", "KMS.4", account=admin, region=home, resource_id=key, resource_type="AwsKmsKey")
    securityhub.publish(world, found)

    world.settle()

    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    assert not [hop for hop in world.deliveries if hop.kind == "queue to function"]


def test_a_control_that_nobody_repairs_is_refused_with_a_reason_and_all_is_rolled_back(
    world: Sandbox, assembly: Assembly
) -> None:
    admin, home = world.organization.admin, world.organization.home

    with pytest.raises(DeployError, match=r"SCAutomaticControls: 'KMS\.99'"):
        world.deploy(assembly.folder, "sharr-admin", admin, home, {"SCAutomaticControls": "KMS.99"})

    assert world.identity.client("sqs", admin, home).list_queues().get("QueueUrls", []) == []


def test_the_table_stays_and_is_adopted_by_the_next_deployment(world: Sandbox, assembly: Assembly) -> None:
    admin, home = world.organization.admin, world.organization.home
    first = world.deploy(assembly.folder, "sharr-admin", admin, home)
    table = first.outputs["TableName"]
    world.delete("sharr-admin", admin, home)

    second = world.deploy(assembly.folder, "sharr-admin", admin, home, {"ExistingTable": table})

    assert second.outputs["TableName"] == table
    assert world.identity.client("dynamodb", admin, home).list_tables()["TableNames"] == [table]


def test_a_playbook_can_be_loaded_and_unloaded_by_an_update(world: Sandbox, assembly: Assembly) -> None:
    admin, home = world.organization.admin, world.organization.home
    world.deploy(assembly.folder, "sharr-admin", admin, home)
    rules = world.identity.client("events", admin, home)

    def count() -> int:
        return len([r for r in rules.list_rules()["Rules"] if "Playbook" in r["Name"]])

    before = count()
    world.update(assembly.folder, "sharr-admin", admin, home, {"LoadCIS300AdminStack": "yes"})
    assert count() == before + 3
    world.update(assembly.folder, "sharr-admin", admin, home, {"LoadCIS300AdminStack": "no"})
    assert count() == before
