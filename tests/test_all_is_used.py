"""Nothing is deployed for nothing: every rule, role and queue policy of the templates is used by some finding."""

from __future__ import annotations

import json
from typing import Any, cast

from sandbox import samples
from sandbox.additions import securityhub
from sandbox.demo import Demo
from sandbox.identity import IdentityCenter
from sandbox.world import Sandbox
from sharr.finding import PREVIEW, custom_action_arn
from sharr.standards import Standard


def test_every_rule_role_and_queue_policy_of_the_templates_is_used() -> None:
    with Sandbox() as world:
        identity = cast("IdentityCenter", world.identity)
        organization = world.organization
        admin, home = organization.admin, organization.home
        demo = Demo(world, every=True)
        demo.deploy(every_playbook=True, automatic=["*"])
        demo.break_things()
        # For each role something to repair; for each rule of a playbook a finding, about a resource that is not there.
        for broken in demo.broken:
            securityhub.publish(world, broken.finding)
        pressed = []
        for standard in samples.standards():
            found = [finding_of_nothing(world, standard.name, control) for control in to_be_found(world, standard)]
            for finding in found:
                securityhub.publish(world, finding)
            resolved = finding_of_nothing(world, standard.name, to_be_found(world, standard)[0], key="1")
            note = {"Text": "ours", "UpdatedBy": "SHARR", "UpdatedAt": resolved["UpdatedAt"]}
            securityhub.publish(world, {**resolved, "Workflow": {"Status": "RESOLVED"}, "Note": note})
            pressed.append(found[0]["Id"])
        others = {**finding_of_nothing(world, "SC", "KMS.4"), "Id": "another-product-s", "GeneratorId": "guardduty"}
        others["ProductArn"] = others["ProductArn"].replace("/aws/securityhub", "/aws/guardduty")
        securityhub.publish(world, others)
        pressed.append(others["Id"])
        world.settle()
        securityhub.press(world, custom_action_arn(PREVIEW, account=admin, region=home), pressed)
        world.settle()
        # The roles that AWS's own services assume: a flow log delivers after minutes only.
        demo.wait_for([b for b in demo.broken if b.remediation.id == "ec2/log_vpc_traffic"])
        let_api_gateway_log(demo)

        assert world.not_known() == []
        # The same rule or role stands in every member account: one of them having worked proves the template.
        schedules = [h for h in world.deliveries if h.kind == "schedule"]
        worked = {h.source for h in world.deliveries if h.kind == "rule to target"}
        worked |= {h.source for h in schedules} | {h.destination for h in schedules}
        used_rules = {str(arn).split("/")[-1] for arn in worked}
        places = [(admin, home, "default"), (admin, home, "sharr")]
        places += [(m, r, "default") for m in organization.members for r in organization.regions]
        rules = [rule for account, region, bus in places for rule in rules_of(world, account, region, bus)]
        unused = [rule for rule in rules if rule["Name"] not in used_rules]
        assert [rule["Name"] for rule in unused if rule["State"] == "ENABLED"] == []
        serve_nothing = [s.name for s in samples.standards() if not any(map(s.serves, controls_of(demo)))]
        assert [standard_of(rule) for rule in unused] == serve_nothing

        used_roles = {arn.split("/")[-1] for arn in identity.usage.roles}
        roles = {name for account in (admin, *organization.members) for name in roles_of(world, account)}
        assert {remediation.role_name for remediation in demo.remediations} <= roles
        assert roles - used_roles == set()

        consulted = set(identity.usage.resource_policies)
        sqs = world.identity.client("sqs", admin, home)
        for url in sqs.list_queues().get("QueueUrls", []):
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "Policy"])["Attributes"]
            # Some only refuse what comes without TLS; a dead letter is no use that is meant.
            if "Allow" in attributes.get("Policy", "") and "Dead" not in url:
                assert attributes["QueueArn"] in consulted, url


def to_be_found(world: Sandbox, standard: Standard) -> list[str]:
    """Return a control for each rule by which a playbook repairs by itself, else one that has none."""
    tagging = samples.standards()["Tagging"]
    found = []
    for rule in rules_of(world, world.organization.admin, world.organization.home):
        if standard_of(rule) == standard.name and rule["State"] == "ENABLED":
            wanted = json.loads(rule["EventPattern"])["detail"]["findings"]
            listed = wanted.get("Compliance", {}).get("SecurityControlId")
            if listed:  # what two playbooks have comes as a finding of Tagging
                found.append(next(c for c in listed if standard.associated_except is None or not tagging.serves(c)))
    return found or [next(c for c in samples.controls() if standard.serves(c) and samples.own_ids(standard.name, c))]


def standard_of(rule: dict[str, Any]) -> str:
    """Return the name of the standard by which the description of a playbook's rule begins."""
    return str(rule["Description"]).partition(":")[0]


def let_api_gateway_log(demo: Demo) -> None:
    """Have API Gateway assume the role that a stage's account gives it for its logs, which moto's does not."""
    place = next(b.place for b in demo.broken if b.remediation.id == "apigateway/log_execution")
    role = place.client("apigateway").get_account()["cloudwatchRoleArn"]
    context = {"aws:SourceAccount": place.account}
    demo.world.identity.service_assumes_role("apigateway.amazonaws.com", role, "apigateway", context)


def controls_of(demo: Demo) -> list[str]:
    return [control for remediation in demo.remediations for control in remediation.controls]


def finding_of_nothing(world: Sandbox, standard: str, control: str, key: str = "0") -> dict[str, Any]:
    """Return a failed finding about a resource that is not there."""
    account, home = world.organization.members[0], world.organization.home
    return samples.finding(
        standard,
        control,
        account=account,
        region=home,
        resource_id=f"arn:aws:kms:{home}:{account}:key/00000000-0000-4000-8000-00000000000{key}",
        resource_type="AwsKmsKey",
        now=world.clock.now(),
    )


def roles_of(world: Sandbox, account: str) -> list[str]:
    pages = world.identity.client("iam", account, world.organization.home).get_paginator("list_roles")
    return [role["RoleName"] for page in pages.paginate(PathPrefix="/sharr/") for role in page["Roles"]]


def rules_of(world: Sandbox, account: str, region: str, bus: str = "default") -> list[dict[str, Any]]:
    events = world.identity.client("events", account, region)
    return [rule for page in events.get_paginator("list_rules").paginate(EventBusName=bus) for rule in page["Rules"]]
