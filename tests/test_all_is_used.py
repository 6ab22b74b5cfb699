"""Nothing is deployed for nothing: every rule, role and queue policy of the templates is used by some finding."""

from __future__ import annotations

from typing import cast

from sandbox import samples
from sandbox.additions import securityhub
from sandbox.demo import Demo
from sandbox.identity import IdentityCenter
from sandbox.world import Sandbox
from sharr.finding import PREVIEW, custom_action_arn


def test_every_rule_role_and_queue_policy_of_the_templates_is_used() -> None:
    with Sandbox() as world:
        identity = cast("IdentityCenter", world.identity)
        organization = world.organization
        admin, home = organization.admin, organization.home
        demo = Demo(world)
        demo.deploy(every_playbook=True)
        demo.break_things()
        demo.publish()
        one_of_each = []
        for standard in samples.standards():
            control = next(
                c for c in sorted(samples.controls()) if standard.serves(c) and samples.own_ids(standard.name, c)
            )
            served = [r for r in demo.remediations for c in r.controls if standard.serves(c)]
            if served:
                control = next(c for c in served[0].controls if standard.serves(c))
            finding = samples.finding(
                standard.name,
                control,
                account=organization.members[0],
                region=home,
                resource_id="arn:aws:kms:us-east-1:222222222222:key/00000000-0000-4000-8000-000000000000",
                resource_type="AwsKmsKey",
                shape="consolidated" if standard.shape == "consolidated" else "standard",
                now=world.clock.now(),
            )
            one_of_each.append(finding["Id"])
            securityhub.publish(world, finding)
        world.run()
        securityhub.press(world, custom_action_arn(PREVIEW, account=admin, region=home), one_of_each)
        world.run()
        world.advance(120)

        assert world.not_known() == []
        # The same rule or role stands in every member account: one of them having worked proves the template.
        schedules = [h for h in world.deliveries if h.kind == "schedule"]
        worked = {h.source for h in world.deliveries if h.kind == "rule to target"}
        worked |= {h.source for h in schedules} | {h.destination for h in schedules}
        used_rules = {str(arn).split("/")[-1] for arn in worked}
        places = [(admin, home, "default"), (admin, home, "sharr")]
        places += [(m, r, "default") for m in organization.members for r in organization.regions]
        for account, region, bus in places:
            for rule in world.identity.client("events", account, region).list_rules(EventBusName=bus)["Rules"]:
                assert rule["State"] == "DISABLED" or rule["Name"] in used_rules, rule["Name"]

        used_roles = {arn.split("/")[-1] for arn in identity.usage.roles}
        for account in (admin, *organization.members):
            for role in world.identity.client("iam", account, home).list_roles(PathPrefix="/sharr/")["Roles"]:
                assert role["RoleName"] in used_roles, role["RoleName"]

        consulted = set(identity.usage.resource_policies)
        sqs = world.identity.client("sqs", admin, home)
        for url in sqs.list_queues().get("QueueUrls", []):
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "Policy"])["Attributes"]
            if "Policy" in attributes and "Dead" not in url:
                assert attributes["QueueArn"] in consulted, url
