"""The way of one finding in deployments of other kinds: where repairs run, and accounts that lack a stack."""

from __future__ import annotations

import pytest

from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.attempts import Attempts
from sharr.finding import UNDO
from tests.stage import Stage


@pytest.mark.parametrize("mode", ["runbook", "lambda"])
def test_every_remediation_runs_where_the_stack_says(mode: str) -> None:
    with Sandbox() as world:
        stage = Stage(world, SCAutomaticControls="*", ExecutionMode=mode)
        finding = stage.publish(stage.finding(key := stage.key()))
        assert stage.rotates(key)
        assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
        attempt = stage.attempt(finding)
        assert attempt.place == mode
        assert bool(attempt.execution) == (mode == "runbook")

        stage.press(UNDO, finding)

        assert not stage.rotates(key)


def test_what_the_user_chose_reaches_the_resource() -> None:
    with Sandbox() as world:
        stage = Stage(world, SCAutomaticControls="*", RemediationParameters="KMS.4:rotationPeriodDays=180")

        stage.publish(stage.finding(key := stage.key()))

        status = stage.place.client("kms").get_key_rotation_status(KeyId=key)
        assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 180)


def test_a_choice_that_cannot_be_taken_stops_the_control_and_says_why() -> None:
    """The stack refuses it when it is deployed; who writes into the SSM parameter by hand meets the function."""
    with Sandbox() as world:
        stage = Stage(world, SCAutomaticControls="*")
        scene.choose(world, "KMS.4:rotationDays=180")

        finding = stage.publish(stage.finding(key := stage.key()))

        assert not stage.rotates(key)
        assert stage.writes_in(stage.place.account) == []
        attempt = stage.attempt(finding)
        assert (attempt.outcome, attempt.guard) == ("SKIPPED", "bad-parameter")
        assert "KMS.4 has no parameter rotationDays" in attempt.why
        assert "RemediationParameters" in attempt.to_do


@pytest.mark.parametrize("later", ["SNS.3:values=Team=a", "SNS.3:nothing=1"], ids=["other values", "a wrong entry"])
def test_an_undo_goes_by_what_was_chosen_for_the_repair_whatever_is_chosen_since(later: str) -> None:
    with Sandbox() as world:
        chosen = {"RemediationParameters": "SNS.3:values=Owner=platform", "LoadTaggingAdminStack": "yes"}
        stage = Stage(world, TaggingAutomaticControls="SNS.3", **chosen)
        sns = stage.place.client("sns")
        topic = sns.create_topic(Name="untagged")["TopicArn"]
        finding = stage.publish(stage.finding(topic, standard="Tagging", control="SNS.3", type="AwsSnsTopic"))
        assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "Owner", "Value": "platform"}]
        scene.choose(world, later)
        world.advance(600)

        stage.press(UNDO, finding)

        assert stage.attempt(finding).outcome == "UNDONE"
        assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == []


def test_an_account_without_roles_is_told_and_repaired_once_they_are_there() -> None:
    with Sandbox() as world:
        organization = world.organization
        outputs = scene.deploy(world, parameters={"SCAutomaticControls": "KMS.4"}, roles_in=()).admin
        place = Place(world)
        key = place.client("kms").create_key()["KeyMetadata"]["Arn"]
        finding = samples.finding(
            "SC", "KMS.4", account=place.account, region=place.region, resource_id=key,
            resource_type="AwsKmsKey", shape="consolidated", now=world.clock.now(),
        )  # fmt: skip
        securityhub.publish(world, finding)
        world.settle()
        attempts = Attempts(
            world.identity.client("dynamodb", organization.admin, organization.home), outputs["TableName"]
        )
        attempt = attempts.get(attempts.known(finding["Id"], "-").finding["attempt"])
        assert attempt
        assert (attempt.outcome, attempt.guard) == ("SKIPPED", "no-role")
        assert "member-roles" in attempt.to_do

        assert not attempt.quiet
        world.advance(3600)
        again = {**finding, "LastObservedAt": world.clock.now().isoformat(), "UpdatedAt": world.clock.now().isoformat()}
        securityhub.publish(world, again)
        world.settle()
        second = attempts.get(attempts.known(finding["Id"], "-").finding["attempt"])
        assert second
        assert second.id != attempt.id
        assert second.quiet, "the same reason is told once"

        roles = {"SecHubAdminAccount": organization.admin, "OrganizationId": organization.id}
        world.deploy(scene.assembly(), "sharr-member-roles", place.account, organization.home, roles)
        world.advance(3600)
        later = {**finding, "LastObservedAt": world.clock.now().isoformat(), "UpdatedAt": world.clock.now().isoformat()}
        securityhub.publish(world, later)
        world.settle()

        assert place.client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
