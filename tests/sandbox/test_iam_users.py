"""IAM users in the sandbox, held against AWS's documentation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sandbox.additions import iam, iam_users
from tests.sandbox.fakes import a_world

ACCOUNT = "222222222222"


def test_a_password_that_is_set_anew_is_younger_than_its_user() -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_LoginProfile.html"""
    with a_world() as world:
        client = world.identity.client("iam", ACCOUNT, "us-east-1")
        client.create_user(UserName="ann")
        iam.set_user_created(ACCOUNT, "ann", datetime(2020, 1, 1, tzinfo=UTC))
        client.create_login_profile(UserName="ann", Password="Not-a-secret-1")

        made = client.get_login_profile(UserName="ann")["LoginProfile"]
        assert world.clock.now() - made["CreateDate"] < timedelta(minutes=5)

        old = datetime(2021, 6, 1, tzinfo=UTC)
        iam_users.set_password_created(ACCOUNT, "ann", old)
        assert client.get_login_profile(UserName="ann")["LoginProfile"]["CreateDate"] == old

        client.delete_login_profile(UserName="ann")
        client.create_login_profile(UserName="ann", Password="Not-a-secret-2")
        assert client.get_login_profile(UserName="ann")["LoginProfile"]["CreateDate"] > old


def test_a_unique_id_says_that_it_is_a_users() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
    with a_world() as world:
        client = world.identity.client("iam", ACCOUNT, "us-east-1")
        made = client.create_user(UserName="ann")["User"]["UserId"]

        assert re.fullmatch(r"AIDA[A-Z0-9]{17}", made)
        assert client.get_user(UserName="ann")["User"]["UserId"] == made
        assert [user["UserId"] for user in client.list_users()["Users"]] == [made]
