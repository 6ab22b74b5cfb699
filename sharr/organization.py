"""What Security Hub and the stack say, asked seldom: members one by one, the stack's parameters every five minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sharr import table
from sharr.errors import may_pass

MEMBER_FOR = timedelta(minutes=15)
PARAMETERS_FOR = timedelta(minutes=5)
# Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Member.html
ASSOCIATED = ("Created", "Enabled", "ENABLED", "Associated")


class Members:
    """
    Accounts that Security Hub named as members, and when: in the table, for all environments of the functions.

    Security Hub takes ten GetMembers a second. A hundred environments that each ask for a hundred accounts would be
    throttled, and refuse half of the findings.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def seen(self, account: str) -> datetime | None:
        """Return when the account was last found to be a member, None where it never was. One call."""
        answer = self._client.get_item(TableName=self._table, Key=table.key(f"member#{account}"))
        return datetime.fromisoformat(answer["Item"]["at"]["S"]) if "Item" in answer else None

    def note(self, account: str, now: datetime) -> None:
        """Note that the account is a member now. One call."""
        expires = str(int((now + timedelta(days=1)).timestamp()))
        item = {**table.key(f"member#{account}"), "at": {"S": now.isoformat()}, "expires_at": {"N": expires}}
        self._client.put_item(TableName=self._table, Item=item)


@dataclass(slots=True)
class Accounts:
    """
    Membership, and the stack's parameters in SSM.

    What may not be read is None: guards refuse then. What cannot be read just now (throttled, 5xx, a time-out) raises:
    the message comes back, and no finding waits for its next check because of one call.
    """

    security_hub: Callable[[], Any]
    ssm: Callable[[], Any]
    admin_account: str
    organization_id: str
    parameters: Mapping[str, str]
    shared: Members | None = None
    _members: dict[str, datetime] = field(default_factory=dict)
    _values: dict[str, str] | None = None
    _values_read: datetime | None = None

    def is_member(self, account: str, now: datetime) -> bool | None:
        """
        Tell whether findings of *account* are this administrator's: its own, or an associated member's.

        Asked per account (GetMembers) and remembered for 15 minutes: an organization of ten thousand accounts would
        need two hundred calls of ListMembers. A "no" is never remembered. In a single account only the own one is.
        Raises what the table raises.
        """
        if account == self.admin_account:
            return True
        if not self.organization_id:
            return False
        known = self._members.get(account)
        if known and now - known < MEMBER_FOR:
            return True
        noted = self.shared.seen(account) if self.shared else None
        if noted and now - noted < MEMBER_FOR:
            self._members[account] = noted
            return True
        try:
            answer = self.security_hub().get_members(AccountIds=[account])
        except (ClientError, BotoCoreError) as error:
            if may_pass(error):
                raise
            return None
        found = any(m.get("AccountId") == account and m.get("MemberStatus") in ASSOCIATED for m in answer["Members"])
        if found:
            self._members[account] = now
            if self.shared:
                self.shared.note(account, now)
        return found

    def listed(self, which: str, now: datetime) -> frozenset[str] | None:
        """Return the accounts of a list (`automatic`, `excluded`); None where the lists cannot be read."""
        value = self._value(which, now)
        return None if value is None else frozenset(part.strip() for part in value.split(",") if part.strip())

    def choices(self, now: datetime) -> str | None:
        """Return what the user chose for remediations' parameters: see choices.py; None where it cannot be read."""
        return self._value("choices", now)

    def _value(self, which: str, now: datetime) -> str | None:
        """A parameter may not be empty, so each begins with a word that says nothing, and a comma."""
        if self._values is None or self._values_read is None or now - self._values_read > PARAMETERS_FOR:
            names = {name: which for which, name in self.parameters.items()}
            try:
                answer = self.ssm().get_parameters(Names=sorted(names))
            except (ClientError, BotoCoreError) as error:
                if may_pass(error):
                    raise
                return None
            values = {names[p["Name"]]: p["Value"].partition(",")[2] for p in answer["Parameters"]}
            if values.keys() != self.parameters.keys():
                return None
            self._values, self._values_read = values, now
        return self._values[which]
