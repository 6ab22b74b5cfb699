"""An organization with a bucket of published templates, and who deploys from it: roles of its accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.endpoint import make_administrator
from sandbox.identity import client_with
from sandbox.local import ADMINISTRATOR_ROLE
from sandbox.ports import Credentials
from sandbox.world import Sandbox
from stacks.publish import Bucket, Place, Published, publish

BUCKET = "templates-of-the-security-team"


class Organization:
    """The sandbox's organization: *published* is what is in the admin account's bucket."""

    def __init__(self, world: Sandbox, assembly: Path, organization_id: str | None = None) -> None:
        self.world = world
        self.admin, self.home = world.organization.admin, world.organization.home
        self._entered: dict[str, Credentials] = {}
        self.place = Place(BUCKET, "sharr", self.home, self.admin)
        s3 = self.as_role(self.admin, "s3")
        Bucket(s3, self.place).create()
        self.published: Published = publish(s3, assembly, self.place, organization_id or world.organization.id)

    def as_role(self, account: str, service: str, region: str | None = None) -> Any:
        """Return a client of an administrator's role in *account*: judged by every policy, as a person is."""
        if account not in self._entered:
            make_administrator(self.world, account)
            sts = self.world.identity.client("sts", self.admin, self.home)
            arn = f"arn:aws:iam::{account}:role/{ADMINISTRATOR_ROLE}"
            answer = sts.assume_role(RoleArn=arn, RoleSessionName="deployer")["Credentials"]
            self._entered[account] = Credentials(
                answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"]
            )
        return client_with(self._entered[account], service, region or self.home)

    def url(self, stack: str) -> str:
        """Return the URL of a top template."""
        return self.place.url(f"{self.published.release.folder}/{stack}.template.json")

    def create(self, stack: str, account: str, region: str | None = None, **parameters: str) -> dict[str, Any]:
        """Create a stack from its published template, as a person would; return it as CloudFormation describes it."""
        client = self.as_role(account, "cloudformation", region)
        client.create_stack(
            StackName=stack,
            TemplateURL=self.url(stack),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=_listed(parameters),
        )
        return dict(client.describe_stacks(StackName=stack)["Stacks"][0])

    def create_admin(self, **parameters: str) -> dict[str, str]:
        """Create the admin stack and return its outputs."""
        given = {"OrganizationId": self.world.organization.id, **parameters}
        stack = self.create("sharr-admin", self.admin, **given)
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def create_rollout(self, units: str, regions: str, account: str | None = None, **more: str) -> dict[str, Any]:
        """Create the rollout stack in the management account, or in *account*."""
        return self.create(
            "sharr-rollout", account or self.world.organization.management, **self.rollout(units, regions), **more
        )

    def rollout(self, units: str, regions: str) -> dict[str, str]:
        """Return the parameters of the rollout stack."""
        return {
            "SecHubAdminAccount": self.admin,
            "HomeRegion": self.home,
            "OrganizationId": self.world.organization.id,
            "OrganizationalUnitIds": units,
            "MemberRegions": regions,
            "TemplatesUrl": self.place.url(self.published.release.folder),
        }

    def trust_stack_sets(self) -> None:
        """What has to be done once in an organization."""
        self.as_role(self.world.organization.management, "cloudformation").activate_organizations_access()

    def unit(self, name: str, *accounts: str) -> str:
        """Make an organizational unit below the root with accounts in it; return its id."""
        organizations = self.organizations
        made = organizations.create_organizational_unit(ParentId=self.root, Name=name)["OrganizationalUnit"]["Id"]
        for account in accounts:
            organizations.move_account(AccountId=account, SourceParentId=self.root, DestinationParentId=made)
        self.world.run()
        return str(made)

    @property
    def organizations(self) -> Any:
        return self.world.identity.client("organizations", self.world.organization.management, self.home)

    @property
    def root(self) -> str:
        return str(self.organizations.list_roots()["Roots"][0]["Id"])

    def stacks(self, account: str, region: str) -> list[str]:
        """Return the names of an account's stacks in a Region, without what StackSets add to them."""
        found = self.world.cloudformation.stacks.values()
        here = [s for s in found if (s.account, s.region) == (account, region) and s.parent is None]
        return sorted(
            s.name.removeprefix("StackSet-")[:-37] if s.name.startswith("StackSet-") else s.name for s in here
        )


def _listed(parameters: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
