"""One account and Region of the organization, with an administrator's rights: to break resources and look at them."""

from __future__ import annotations

from typing import Any

from sandbox.world import Sandbox
from sharr import arns


class Place:
    """What a remediation's CASES get to break a resource, and to look whether its control passes."""

    def __init__(self, world: Sandbox, account: str | None = None, region: str | None = None) -> None:
        self.world = world
        self.account = account or world.organization.members[0]
        self.region = region or world.organization.home
        self.partition = world.organization.partition

    def client(self, service: str, region: str | None = None, account: str | None = None) -> Any:
        """Return a client with an administrator's rights in the account."""
        return self.world.identity.client(service, account or self.account, region or self.region)

    def arn(self, service: str, resource: str, *, region: str | None = None, account: str | None = None) -> str:
        """Return an ARN in this partition; region and account default to the place's own; "" leaves them out."""
        own_region = self.region if region is None else region
        own_account = self.account if account is None else account
        return arns.arn(self.partition, service, own_region, own_account, resource)
