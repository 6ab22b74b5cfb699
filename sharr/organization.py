"""What Security Hub and the stack say about accounts, asked seldom: members one by one, lists every five minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

MEMBER_FOR = timedelta(minutes=15)
LISTS_FOR = timedelta(minutes=5)
# Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Member.html
ASSOCIATED = ("Created", "Enabled", "ENABLED", "Associated")


@dataclass(slots=True)
class Accounts:
    """Membership and the stack's lists of accounts. What cannot be read is None: guards refuse then."""

    security_hub: Callable[[], Any]
    ssm: Callable[[], Any]
    admin_account: str
    organization_id: str
    parameters: Mapping[str, str]
    _members: dict[str, datetime] = field(default_factory=dict)
    _lists: dict[str, frozenset[str]] | None = None
    _lists_read: datetime | None = None

    def is_member(self, account: str, now: datetime) -> bool | None:
        """
        Tell whether findings of *account* are this administrator's: its own, or an associated member's.

        Asked per account (GetMembers) and remembered for 15 minutes: an organization of ten thousand accounts would
        need two hundred calls of ListMembers. A "no" is never remembered. In a single account only the own one is.
        """
        if account == self.admin_account:
            return True
        if not self.organization_id:
            return False
        known = self._members.get(account)
        if known and now - known < MEMBER_FOR:
            return True
        try:
            answer = self.security_hub().get_members(AccountIds=[account])
        except (ClientError, BotoCoreError):
            return None
        found = any(m.get("AccountId") == account and m.get("MemberStatus") in ASSOCIATED for m in answer["Members"])
        if found:
            self._members[account] = now
        return found

    def listed(self, which: str, now: datetime) -> frozenset[str] | None:
        """Return the accounts of a list (`automatic`, `excluded`); None where the lists cannot be read."""
        if self._lists is None or self._lists_read is None or now - self._lists_read > LISTS_FOR:
            names = {name: which for which, name in self.parameters.items()}
            try:
                answer = self.ssm().get_parameters(Names=sorted(names))
            except (ClientError, BotoCoreError):
                return None
            lists = {names[p["Name"]]: _accounts(p["Value"]) for p in answer["Parameters"]}
            if lists.keys() != self.parameters.keys():
                return None
            self._lists, self._lists_read = lists, now
        return self._lists[which]


def _accounts(value: str) -> frozenset[str]:
    """The parameter holds `accounts,111122223333,...`: a parameter may not be empty."""
    return frozenset(part.strip() for part in value.split(",")[1:] if part.strip())
