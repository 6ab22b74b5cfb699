"""The organization that the sandbox emulates: which accounts, Regions and names there are."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Organization:
    """
    An organization with a management account, a delegated Security Hub administrator and members.

    Every account id has twelve digits; *home* is the finding aggregation Region, one of *regions*.
    """

    partition: str = "aws"
    id: str = "o-sandbox0001"
    management: str = "100000000001"
    admin: str = "111111111111"
    members: tuple[str, ...] = ("222222222222", "333333333333", "444444444444")
    regions: tuple[str, ...] = ("us-east-1", "eu-west-1")
    names: dict[str, str] = field(
        default_factory=lambda: {
            "100000000001": "management",
            "111111111111": "security",
            "222222222222": "payments",
            "333333333333": "web-shop",
            "444444444444": "data-lake",
        }
    )

    @property
    def home(self) -> str:
        """The Region where Security Hub aggregates findings and the admin stack lives."""
        return self.regions[0]

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account of the organization, the management account first."""
        return (self.management, self.admin, *self.members)
