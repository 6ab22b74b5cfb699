"""S3.1: the account's block of public access is complete, settings that are on stay on, and it comes back as it was."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.scripts import code_of
from sharr.targets import lease_key
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/block_account_public_access"
FLAGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def account(b: Bench, on: tuple[str, ...] | None = None) -> str:
    if on is not None:
        flags = {flag: flag in on for flag in FLAGS}
        b.client("s3control").put_public_access_block(AccountId=b.account, PublicAccessBlockConfiguration=flags)
    return f"AWS::::Account:{b.account}"


def block_of(b: Bench) -> set[str] | None:
    """The settings that are on; None where the account has no block."""
    try:
        found = b.client("s3control").get_public_access_block(AccountId=b.account)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchPublicAccessBlockConfiguration":
            raise
        return None
    return {flag for flag in FLAGS if found[flag]}


def all_on(b: Bench, _resource_id: str) -> bool:
    return block_of(b) == set(FLAGS)


CASES = [
    Case("S3.1", "no block", account, all_on),
    Case("S3.1", "all settings off", lambda b: account(b, ()), all_on),
    Case("S3.1", "one setting off", lambda b: account(b, FLAGS[1:]), all_on),
    Case("S3.1", "a finding of another Region", account, all_on, region="eu-west-1"),
]


@pytest.mark.parametrize("before", [None, (), FLAGS[:1], FLAGS[2:]])
def test_the_former_block_comes_back_or_none(before: tuple[str, ...] | None) -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.1", account(b, before))

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert block_of(b) == set(FLAGS)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert block_of(b) == (None if before is None else set(before))


def test_a_block_that_somebody_changed_since_is_left_by_an_undo() -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.1", account(b, FLAGS[:2]))
        attempt.finish()
        account(b, FLAGS[1:])

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert block_of(b) == set(FLAGS[1:])


def test_findings_of_all_regions_share_one_lease() -> None:
    keys = set()
    for region in ("us-east-1", "eu-west-1"):
        with bench(ID, region) as b:
            keys.add(lease_key(b.remediation, b.target("S3.1", account(b))))

    assert len(keys) == 1


def slow_to_show(b: Bench, seconds: float) -> None:
    """Let reads say until then that there is no block, as while a change makes its way."""
    until: list[Any] = []

    def watch(one: Call) -> None:
        if one.operation == "PutPublicAccessBlock":
            until.append(b.world.clock.now().timestamp() + seconds)
        elif one.operation == "GetPublicAccessBlock" and until and b.world.clock.now().timestamp() < until[0]:
            raise ClientError({"Error": {"Code": "NoSuchPublicAccessBlockConfiguration"}}, one.operation)

    cast("IdentityCenter", b.world.identity).before.append(watch)


def test_a_change_that_shows_late_is_pending_and_then_remediated() -> None:
    with bench(ID) as b:
        resource_id = account(b)
        slow_to_show(b, 20)
        attempt = b.attempt("S3.1", resource_id)

        assert attempt.look()["outcome"] == "PENDING"
        b.world.advance(30)
        assert attempt.look()["outcome"] == "REMEDIATED"


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_a_policy_of_the_organization_is_named_where_the_account_may_not_change_it(code: str) -> None:
    with bench(ID) as b:
        resource_id = account(b)

        def refuse(one: Call) -> None:
            if one.operation == "PutPublicAccessBlock":
                raise ClientError({"Error": {"Code": code, "Message": "Access Denied"}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(refuse)

        result = b.remediate("S3.1", resource_id)

        assert (result["outcome"], block_of(b)) == ("FAILED", None)
        assert "S3 policy of the organization" in result["to_do"]


def test_a_denied_read_is_not_an_absent_block() -> None:
    with bench(ID) as b:
        resource_id = account(b, FLAGS)

        def refuse(one: Call) -> None:
            if one.operation == "GetPublicAccessBlock":
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(refuse)
        with b.watched() as calls:
            result = b.remediate("S3.1", resource_id)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])


@pytest.mark.parametrize(
    ("on", "inverses"),
    [
        (None, ["delete_public_access_block"]),
        ([], ["put_public_access_block"]),
        (["BlockPublicAcls"], ["put_public_access_block"]),
        (list(FLAGS), []),
    ],
)
def test_plan(on: list[str] | None, inverses: list[str]) -> None:
    state = {"config": {"block": on}, "facts": {}, "busy": None}

    calls = code_of(remediation_of(ID)).plan(state, {"account": "111122223333"})

    assert [inverse["operation"] for one in calls for inverse in one["undo"]] == inverses
