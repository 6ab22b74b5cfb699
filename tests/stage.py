"""A deployed organization for end-to-end tests, with one KMS key at a time as the broken resource."""

from __future__ import annotations

from typing import Any

from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.attempts import Attempt, Attempts
from sharr.finding import CustomAction, custom_action_arn


class Stage:
    """
    A deployed organization, with one KMS key at a time as the broken resource.

    Limits are wide, where *parameters* of the admin stack do not say otherwise.
    """

    def __init__(self, world: Sandbox, **parameters: str) -> None:
        parameters = {"RepairsPerHour": "10000", "FirstRepairsOneByOne": "0", **parameters}
        self.world = world
        self.organization = world.organization
        self.outputs = scene.deploy(world, parameters=parameters).admin
        admin, home = self.organization.admin, self.organization.home
        self.hub = world.identity.client("securityhub", admin, home)
        self.attempts = Attempts(world.identity.client("dynamodb", admin, home), self.outputs["TableName"])
        self.place = Place(world, region=self.organization.regions[1])

    def key(self, place: Place | None = None) -> str:
        """Make a key without rotation."""
        return str((place or self.place).client("kms").create_key()["KeyMetadata"]["Arn"])

    def rotates(self, key: str) -> bool:
        return bool(self.place.client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])

    def finding(
        self, resource_id: str, *, standard: str = "SC", control: str = "KMS.4", **changes: Any
    ) -> dict[str, Any]:
        """Return a failed finding of the resource."""
        made = samples.finding(
            standard,
            control,
            account=changes.pop("account", self.place.account),
            region=changes.pop("region", self.place.region),
            resource_id=resource_id,
            resource_type=changes.pop("type", "AwsKmsKey"),
            now=self.world.clock.now(),
        )
        return {**made, **changes}

    def public_database(self, name: str) -> dict[str, Any]:
        """Make a DB instance with a public address, and return the finding of it: a repair that needs minutes."""
        self.place.client("rds").create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.micro",
            Engine="mysql",
            MasterUsername="admin",
            MasterUserPassword="not-a-secret-1",
            AllocatedStorage=20,
            PubliclyAccessible=True,
        )
        self.world.advance(600)
        return self.finding(self.place.arn("rds", f"db:{name}"), control="RDS.2", type="AwsRdsDbInstance")

    def publish(self, finding: dict[str, Any]) -> dict[str, Any]:
        """Let Security Hub have the finding, and all that follows happen."""
        securityhub.publish(self.world, finding)
        self.world.settle()
        return finding

    def regress(self, resource_id: str, **more: Any) -> dict[str, Any]:
        """The check passes, then fails again: Security Hub sets the workflow status back to NEW."""
        passed = self.finding(resource_id, **more)
        passed["Compliance"]["Status"] = "PASSED"
        self.publish(passed)
        self.world.advance(60)
        return self.publish(self.finding(resource_id, **more))

    def press(self, action: CustomAction, *findings: dict[str, Any]) -> None:
        """Press a button on findings."""
        arn = custom_action_arn(action, account=self.organization.admin, region=self.organization.home)
        securityhub.press(self.world, arn, [f["Id"] for f in findings])
        self.world.settle()

    def now(self, finding: dict[str, Any]) -> dict[str, Any]:
        """Return the finding as Security Hub has it."""
        (found,) = self.hub.get_findings(Filters={"Id": [{"Value": finding["Id"], "Comparison": "EQUALS"}]})["Findings"]
        return dict(found)

    def attempt(self, finding: dict[str, Any]) -> Attempt:
        """Return the finding's current attempt."""
        known = self.attempts.known(finding["Id"], "-").finding
        attempt = self.attempts.get(known["attempt"])
        assert attempt
        return attempt

    def writes_in(self, account: str) -> list[str]:
        """Every write that our roles made in a member account."""
        reads = ("Get", "Describe", "List", "Head", "AssumeRole")
        return [
            c.operation
            for c in self.world.identity.calls
            if c.principal.kind == "role" and c.account == account and not c.operation.startswith(reads)
        ]

    def dead(self) -> list[dict[str, Any]]:
        return [message for messages in self.world.dead_letters().values() for message in messages]
