"""Accounts: what is remembered and for how long, and that nothing is made up where AWS cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

from sharr.organization import MEMBER_FOR, PARAMETERS_FOR, Accounts, Members

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADMIN, MEMBER, OTHER = "111111111111", "222222222222", "333333333333"
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetMembers")
SLOW = ConnectTimeoutError(endpoint_url="https://securityhub")
NAMES = {"automatic": "/sharr/automatic", "excluded": "/sharr/excluded", "choices": "/sharr/choices"}


class World:
    """Security Hub and Systems Manager that remember how often they were asked."""

    def __init__(self, status: str = "Enabled", error: Exception | None = None, lists: Any = None) -> None:
        self.status = status
        self.error = error
        self.lists = {"automatic": "accounts", "excluded": "accounts", "choices": "parameters,"} | (lists or {})
        self.asked: list[Any] = []

    def get_members(self, AccountIds: list[str]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        self.asked.append(AccountIds)
        if self.error:
            raise self.error
        members = [{"AccountId": a, "MemberStatus": self.status} for a in AccountIds if a == MEMBER]
        return {"Members": members, "UnprocessedAccounts": []}

    def get_parameters(self, Names: list[str]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        self.asked.append(Names)
        if self.error:
            raise self.error
        found = [{"Name": NAMES[k], "Value": v} for k, v in self.lists.items() if v]
        return {"Parameters": found, "InvalidParameters": [n for k, n in NAMES.items() if not self.lists[k]]}

    def accounts(self, organization: str = "o-example1234", shared: Members | None = None) -> Accounts:
        return Accounts(lambda: self, lambda: self, ADMIN, organization, NAMES, shared)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Members]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="table",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Members(client, "table")


# --- members


def test_the_admin_account_is_its_own_and_nobody_is_asked() -> None:
    world = World()

    assert world.accounts().is_member(ADMIN, NOW) is True
    assert world.accounts("").is_member(ADMIN, NOW) is True
    assert world.asked == []


def test_without_an_organization_no_other_account_is_a_member() -> None:
    world = World()

    assert world.accounts("").is_member(MEMBER, NOW) is False
    assert world.asked == []


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("Enabled", True),
        ("ENABLED", True),
        ("Associated", True),
        ("Created", True),
        ("Removed", False),
        ("Resigned", False),
        ("Deleted", False),
        ("Invited", False),
        ("AccountSuspended", False),
        ("", False),
    ],
)
def test_only_an_associated_account_is_a_member(status: str, wanted: bool) -> None:
    assert World(status).accounts().is_member(MEMBER, NOW) is wanted


def test_an_account_that_security_hub_does_not_name_is_no_member() -> None:
    assert World().accounts().is_member(OTHER, NOW) is False


def test_a_member_is_remembered_for_fifteen_minutes() -> None:
    world = World()
    accounts = world.accounts()
    for age in (timedelta(0), timedelta(minutes=1), MEMBER_FOR - timedelta(seconds=1)):
        assert accounts.is_member(MEMBER, NOW + age)
    assert len(world.asked) == 1

    world.status = "Removed"

    assert accounts.is_member(MEMBER, NOW + MEMBER_FOR) is False


def test_what_one_environment_found_no_other_asks_again_for_fifteen_minutes_from_then(shared: Members) -> None:
    """Each asked for itself: throttled, a hundred environments refused half of the findings of a hundred accounts."""
    world = World()
    assert world.accounts(shared=shared).is_member(MEMBER, NOW)
    world.status = "Removed"
    late = NOW + MEMBER_FOR - timedelta(seconds=1)

    another = world.accounts(shared=shared)

    assert another.is_member(MEMBER, late) is True
    assert len(world.asked) == 1
    # Not fifteen minutes from when this one heard of it.
    assert another.is_member(MEMBER, NOW + MEMBER_FOR) is False


def test_a_no_is_not_shared_either(shared: Members) -> None:
    world = World("Removed")

    assert world.accounts(shared=shared).is_member(MEMBER, NOW) is False
    assert shared.seen(MEMBER) is None


def test_a_table_that_cannot_be_read_makes_nobody_a_member(shared: Members) -> None:
    shared._table = "gone"

    with pytest.raises(ClientError):
        World().accounts(shared=shared).is_member(MEMBER, NOW)


def test_a_no_is_never_remembered() -> None:
    world = World("Removed")
    accounts = world.accounts()
    assert [accounts.is_member(MEMBER, NOW) for _ in range(2)] == [False, False]
    assert len(world.asked) == 2

    world.status = "Enabled"

    assert accounts.is_member(MEMBER, NOW) is True


def test_one_member_says_nothing_of_another() -> None:
    accounts = World().accounts()

    assert (accounts.is_member(MEMBER, NOW), accounts.is_member(OTHER, NOW)) == (True, False)


def test_where_security_hub_cannot_be_asked_nothing_is_known_and_nothing_is_remembered() -> None:
    world = World(error=DENIED)
    accounts = world.accounts()
    assert accounts.is_member(MEMBER, NOW) is None

    world.error = None

    assert accounts.is_member(MEMBER, NOW) is True


def test_what_security_hub_or_ssm_cannot_answer_just_now_is_no_reason_to_skip_a_finding() -> None:
    """It raises, so the message comes back. Found by `make faults`: the finding was left to its next check."""
    world = World(error=SLOW)
    accounts = world.accounts()

    for ask in (lambda: accounts.is_member(MEMBER, NOW), lambda: accounts.choices(NOW)):
        with pytest.raises(ConnectTimeoutError):
            ask()

    world.error = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetMembers")
    with pytest.raises(ClientError):
        accounts.is_member(MEMBER, NOW)


def test_a_member_that_was_known_is_not_known_any_more_when_it_is_time_to_ask() -> None:
    world = World()
    accounts = world.accounts()
    accounts.is_member(MEMBER, NOW)

    world.error = DENIED

    assert accounts.is_member(MEMBER, NOW + MEMBER_FOR) is None


# --- lists


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("accounts", set()),
        ("accounts,", set()),
        (f"accounts,{MEMBER}", {MEMBER}),
        (f"accounts, {MEMBER} ,{OTHER},", {MEMBER, OTHER}),
    ],
)
def test_a_list_is_what_comes_after_its_first_word(value: str, wanted: set[str]) -> None:
    accounts = World(lists={"excluded": value}).accounts()

    assert accounts.listed("excluded", NOW) == frozenset(wanted)
    assert accounts.listed("automatic", NOW) == frozenset()


def test_choices_are_all_that_comes_after_the_first_comma() -> None:
    accounts = World(lists={"choices": "parameters,S3.9:a=1,2; S3.9:b=3"}).accounts()

    assert accounts.choices(NOW) == "S3.9:a=1,2; S3.9:b=3"
    assert World().accounts().choices(NOW) == ""


def test_both_lists_are_read_in_one_call_and_remembered_for_five_minutes() -> None:
    world = World(lists={"excluded": f"accounts,{MEMBER}"})
    accounts = world.accounts()
    accounts.listed("excluded", NOW)
    world.lists["excluded"] = f"accounts,{OTHER}"

    assert accounts.listed("automatic", NOW + PARAMETERS_FOR) == frozenset()
    assert accounts.listed("excluded", NOW + PARAMETERS_FOR) == frozenset({MEMBER})
    assert world.asked == [sorted(NAMES.values())]

    assert accounts.listed("excluded", NOW + PARAMETERS_FOR + timedelta(seconds=1)) == frozenset({OTHER})


def test_lists_that_cannot_be_read_are_not_known_even_where_they_were() -> None:
    world = World(lists={"excluded": f"accounts,{MEMBER}"})
    accounts = world.accounts()
    accounts.listed("excluded", NOW)
    world.error = DENIED
    later = NOW + PARAMETERS_FOR + timedelta(seconds=1)

    assert accounts.listed("excluded", later) is None

    world.error = None
    assert accounts.listed("excluded", later) == frozenset({MEMBER})


@pytest.mark.parametrize("missing", NAMES)
def test_where_one_parameter_is_missing_none_of_them_is_known(missing: str) -> None:
    accounts = World(lists={missing: ""}).accounts()

    assert [accounts.listed("automatic", NOW), accounts.listed("excluded", NOW), accounts.choices(NOW)] == [None] * 3
