"""IAM.3, IAM.8, IAM.22: which keys go inactive, what happens to a password, and what an undo gives back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox.additions.iam import set_key_created, set_key_last_used, set_password_last_used
from sandbox.additions.iam_users import set_password_created
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "iam/deactivate_stale_keys"
USER = "ann"
Keys = tuple[tuple[int, int | None], ...]


def ago(b: Bench, days: float) -> Any:
    return b.world.clock.now() - timedelta(days=days)


def user(
    b: Bench, *keys: tuple[int, int | None], path: str = "/", password: tuple[int, int | None] | None = None
) -> tuple[str, list[str]]:
    """Make a user; each key and the password as (days since made, days since used or None). Return ARN and key ids."""
    iam = b.client("iam")
    arn = iam.create_user(UserName=USER, Path=path)["User"]["Arn"]
    made = []
    for created, used in keys:
        id_ = iam.create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
        set_key_created(b.account, USER, id_, ago(b, created))
        set_key_last_used(b.account, USER, id_, None if used is None else ago(b, used))
        made.append(id_)
    if password:
        created, used = password
        iam.create_login_profile(UserName=USER, Password="Not-a-secret-1")
        set_password_created(b.account, USER, ago(b, created))
        set_password_last_used(b.account, USER, None if used is None else ago(b, used))
    return str(arn), made


def broken(*keys: tuple[int, int | None], **more: Any) -> Callable[[Bench], str]:
    return lambda b: user(b, *keys, **more)[0]


def broken_by_id(b: Bench) -> str:
    user(b, (100, 1))
    return str(b.client("iam").get_user(UserName=USER)["User"]["UserId"])


def statuses(b: Bench) -> dict[str, str]:
    keys = b.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
    return {key["AccessKeyId"]: key["Status"] for key in keys}


def has_password(b: Bench) -> bool:
    iam = b.client("iam")
    try:
        iam.get_login_profile(UserName=USER)
    except iam.exceptions.NoSuchEntityException:
        return False
    return True


def rotated(days: int) -> Callable[[Bench, str], bool]:
    """The Config rule access-keys-rotated."""

    def passes(b: Bench, _resource_id: str) -> bool:
        keys = b.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
        return all(key["Status"] == "Inactive" or key["CreateDate"] >= ago(b, days) for key in keys)

    return passes


def used_within(days: int) -> Callable[[Bench, str], bool]:
    """The Config rule iam-user-unused-credentials-check."""

    def passes(b: Bench, _resource_id: str) -> bool:
        iam = b.client("iam")
        for key in iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]:
            used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
            if key["Status"] == "Active" and used.get("LastUsedDate", key["CreateDate"]) < ago(b, days):
                return False
        if not has_password(b):
            return True
        made = iam.get_login_profile(UserName=USER)["LoginProfile"]["CreateDate"]
        return bool(max(made, iam.get_user(UserName=USER)["User"].get("PasswordLastUsed", made)) >= ago(b, days))

    return passes


DELETES: dict[str, Any] = {
    "settings": {"deleteLoginProfile": "true"},
    "not_restored": {"password": "IAM cannot give a password back"},
}
CASES = [
    Case("IAM.3", "an old key that is in use", broken((100, 1), (10, 1)), rotated(90)),
    Case("IAM.3", "two old keys of a user with a path", broken((100, 1), (400, None), path="/a/b/"), rotated(90)),
    Case("IAM.3", "a user named by its unique id", broken_by_id, rotated(90)),
    Case("IAM.3", "an age of the user's own", broken((40, 1)), rotated(30), parameters={"maxAccessKeyAge": ["30"]}),
    Case("IAM.8", "a key unused for long", broken((300, 100), (300, 1)), used_within(90)),
    Case("IAM.8", "a key never used", broken((100, None)), used_within(90)),
    Case("IAM.22", "a key unused for 50 days", broken((300, 50)), used_within(45)),
]
WITH_PASSWORD = Case(
    "IAM.8", "a password unused for long", broken((300, 100), password=(300, 100)), used_within(90), **DELETES
)
CASES.append(WITH_PASSWORD)


@pytest.mark.parametrize(
    ("control", "keys", "inactive"),
    [
        ("IAM.3", ((91, 0), (89, 0)), [True, False]),
        ("IAM.8", ((91, 89), (300, 91)), [False, True]),
        ("IAM.8", ((91, None), (89, None)), [True, False]),
        ("IAM.22", ((46, None), (300, 44)), [True, False]),
    ],
)
def test_only_the_key_that_violates_goes_inactive(control: str, keys: Keys, inactive: list[bool]) -> None:
    with bench(ID) as b:
        arn, ids = user(b, *keys)

        assert b.remediate(control, arn)["outcome"] == "REMEDIATED"

        assert [statuses(b)[id_] == "Inactive" for id_ in ids] == inactive


def test_a_key_that_is_inactive_already_is_not_touched_and_not_made_active_by_an_undo() -> None:
    with bench(ID) as b:
        arn, (off, on) = user(b, (300, None), (300, None))
        b.client("iam").update_access_key(UserName=USER, AccessKeyId=off, Status="Inactive")
        attempt = b.attempt("IAM.8", arn)
        with b.watched() as calls:
            assert attempt.finish()["outcome"] == "REMEDIATED"
        assert len(b.writes(calls)) == 1

        assert attempt.undo()["outcome"] == "UNDONE"

        assert statuses(b) == {off: "Inactive", on: "Active"}


@pytest.mark.parametrize("control", ["IAM.8", "IAM.22"])
def test_an_unused_password_is_not_deleted_unless_that_is_switched_on_and_the_keys_wait_with_it(control: str) -> None:
    with bench(ID) as b:
        arn, (key,) = user(b, (300, 200), password=(300, 200))
        with b.watched() as calls:
            result = b.remediate(control, arn)

        assert result["outcome"] == "FAILED"
        assert "deleteLoginProfile" in result["to_do"]
        assert not b.writes(calls)
        assert statuses(b) == {key: "Active"}
        assert has_password(b)


def test_old_keys_are_no_reason_to_look_at_the_password() -> None:
    with bench(ID) as b:
        arn, (key,) = user(b, (300, 1), password=(300, 200))

        assert b.remediate("IAM.3", arn, settings={"deleteLoginProfile": "true"})["outcome"] == "REMEDIATED"

        assert statuses(b) == {key: "Inactive"}
        assert has_password(b)


@pytest.mark.parametrize(
    ("created", "used", "kept"),
    [
        (1, 400, True),  # ASR L13: made yesterday, but PasswordLastUsed is of the password before
        (400, 1, True),
        (89, None, True),
        (400, 100, False),
        (91, None, False),
    ],
)
def test_a_password_is_as_unused_as_its_last_use_or_its_own_age(created: int, used: int | None, kept: bool) -> None:
    with bench(ID) as b:
        arn, _ = user(b, (300, 200), password=(created, used))

        assert b.remediate("IAM.8", arn, settings={"deleteLoginProfile": "true"})["outcome"] == "REMEDIATED"

        assert has_password(b) == kept
        assert "Active" not in statuses(b).values()


def test_an_undo_says_that_the_password_is_not_restored() -> None:
    with bench(ID) as b:
        attempt = b.attempt("IAM.8", WITH_PASSWORD.break_it(b), settings=WITH_PASSWORD.settings)
        attempt.finish()

        result = attempt.undo()

        assert result["outcome"] == "UNDONE"
        assert "password" in result["why"]
        assert list(statuses(b).values()) == ["Active"]


def test_a_denied_read_is_not_taken_for_an_absent_password() -> None:
    # ASR swallowed every ClientError and reported success.
    with bench(ID) as b:
        arn, _ = user(b, (300, 1), password=(300, 200))
        deny = {"Effect": "Deny", "Action": "iam:GetLoginProfile", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": deny})
        b.client("iam").put_role_policy(RoleName=b.remediation.role_name, PolicyName="no", PolicyDocument=policy)

        assert b.remediate("IAM.8", arn)["outcome"] == "FAILED"


@pytest.mark.parametrize("id_", ["AIDAABCDEFGHIJKLMNOPQ", None])
def test_a_user_that_is_gone_is_compliant(id_: str | None) -> None:
    with bench(ID) as b:
        assert b.remediate("IAM.3", id_ or b.arn("iam", "user/gone", region=""))["outcome"] == "COMPLIANT"


def test_another_user_who_has_the_name_now_is_left_alone() -> None:
    with bench(ID) as b:
        _, (key,) = user(b, (300, None), path="/new/")

        result = b.remediate("IAM.3", b.arn("iam", f"user/old/{USER}", region=""))

        assert (result["outcome"], statuses(b)) == ("COMPLIANT", {key: "Active"})


@pytest.mark.parametrize("path", ["/", "/a/", "/division_abc/sub*division/$(x)/", "/" + "x" * 510 + "/"])
def test_every_path_of_a_user_is_understood(path: str) -> None:
    with bench(ID) as b:
        arn, (key,) = user(b, (100, 1), path=path)

        assert b.remediate("IAM.3", arn)["outcome"] == "REMEDIATED"
        assert statuses(b) == {key: "Inactive"}


def test_the_session_that_repairs_one_user_cannot_touch_another() -> None:
    with bench(ID) as b:
        arn, _ = user(b, (100, 1), path="/a/")
        with b.watched() as calls:
            b.remediate("IAM.3", arn)

        (write,) = b.writes(calls)
        policy = write.principal.session_policy
        assert policy is not None
        (statement,) = [s for s in policy["Statement"] if "iam:UpdateAccessKey" in s["Action"]]
        assert all(resource.endswith(f"/{USER}") for resource in statement["Resource"])


CREATED, USED = "2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"
LATE = "2026-05-30T00:00:01+00:00"  # 90 days and a second after USED


def plan(now: str, *, used: str | None = USED, **more: Any) -> list[str]:
    state = {
        "config": {"keys": {"AKIAONE": "Active"}, "password": False},
        "facts": {
            "user_name": USER,
            "key_created": {"AKIAONE": CREATED},
            "key_used": {"AKIAONE": used},
            "password_created": None,
            "password_used": None,
        },
        "busy": None,
    }
    target = {
        "control": "IAM.8",
        "resource": {},
        "parameters": {"maxAccessKeyAge": 90, "maxCredentialUsageAge": 90, "deleteLoginProfile": False},
        "now": now,
    } | more
    return [one["operation"] for one in code_of(remediation_of(ID)).plan(state, target)]


@pytest.mark.parametrize(
    ("now", "used", "operations"),
    [
        ("2026-05-30T00:00:00+00:00", USED, []),
        (LATE, USED, ["update_access_key"]),
        ("2026-05-29T20:00:01-04:00", USED, ["update_access_key"]),
        ("2026-04-01T00:00:00+00:00", None, []),
        ("2026-04-01T00:00:01+00:00", None, ["update_access_key"]),
    ],
)
def test_the_limit_is_the_day_itself_in_every_zone(now: str, used: str | None, operations: list[str]) -> None:
    assert plan(now, used=used) == operations


def test_the_password_is_refused_before_the_first_call() -> None:
    remediation = remediation_of(ID)
    state = {
        "config": {"keys": {}, "password": True},
        "facts": {
            "user_name": USER,
            "key_created": {},
            "key_used": {},
            "password_created": CREATED,
            "password_used": None,
        },
        "busy": None,
    }
    target = {
        "control": "IAM.22",
        "parameters": {"maxCredentialUsageAge": 45, "deleteLoginProfile": False},
        "now": LATE,
    }
    with pytest.raises(CannotRepair, match="only delete it"):
        code_of(remediation).plan(state, target)
