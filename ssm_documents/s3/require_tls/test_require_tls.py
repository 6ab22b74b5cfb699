"""S3.5: a bucket's policy denies requests without TLS; what stood in it stays, in its order, and comes back alone."""

from __future__ import annotations

import copy
import json
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.runtime.contract import CannotRepair
from sharr.runtime.driver import resolve
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/require_tls"
NAME = "ledger"
ARN = "arn:aws:s3:::ledger"
VERSION = "2012-10-17"
READER = {"AWS": "arn:aws:iam::444455556666:role/reader"}
Json = dict[str, Any]


def allow(sid: str | None = "Read", **more: Any) -> Json:
    body: Json = {"Effect": "Allow", "Principal": READER, "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
    return ({"Sid": sid} if sid else {}) | body | more


def deny(**more: Any) -> Json:
    return {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [ARN, f"{ARN}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    } | more


def without(statement: Json, key: str) -> Json:
    return {k: v for k, v in statement.items() if k != key}


def policy(*statements: Json, **more: Any) -> Json:
    return {"Version": VERSION, "Statement": list(statements)} | more


def bucket(b: Bench, document: Json | None = None, region: str = "us-east-1") -> str:
    s3, place = b.client("s3", region), {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=NAME, **({} if region == "us-east-1" else place))
    if document is not None:
        s3.put_bucket_policy(Bucket=NAME, Policy=json.dumps(document))
    return b.arn("s3", NAME, region="", account="")


def policy_of(b: Bench) -> Json | None:
    try:
        found: Json = json.loads(b.client("s3").get_bucket_policy(Bucket=NAME)["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        return None
    return found


def requires_tls(b: Bench, resource_id: str) -> bool:
    """What AWS's own article asks for: a Deny of everything to everybody where aws:SecureTransport is false."""
    wanted = without(deny(Resource=[resource_id, f"{resource_id}/*"]), "Sid")
    found = (policy_of(b) or {}).get("Statement", [])
    return any(without(s, "Sid") == wanted for s in (found if isinstance(found, list) else [found]))


LEGAL = {
    "one statement": policy(allow()),
    "a statement that is no list": {"Version": VERSION, "Statement": allow()},
    "no Sid": policy(allow(None), allow(None, Action="s3:ListBucket", Resource=ARN)),
    "the same Sid twice": policy(allow(), allow(Action="s3:ListBucket", Resource=ARN)),
    "our Sid, taken": policy(allow("RequireTls"), allow("RequireTls2")),
    "NotPrincipal": policy(
        {"Effect": "Deny", "NotPrincipal": READER, "Action": "s3:DeleteBucket", "Resource": ARN}, allow()
    ),
    "NotAction": policy(without(allow(NotAction="s3:DeleteObject"), "Action")),
    "NotResource": policy(without(allow(NotResource=f"{ARN}/secret/*"), "Resource")),
    "an older version and an Id": {"Version": "2008-10-17", "Id": "Policy1", "Statement": [allow()]},
    "no version": {"Statement": [allow()]},
    "principals in lists": policy(
        allow(
            Principal={"AWS": ["444455556666", "arn:aws:iam::777788889999:root"], "Service": "logging.s3.amazonaws.com"}
        )
    ),
    "actions in lists": policy(allow(Action=["s3:GetObject", "s3:ListBucket"], Resource=[ARN, f"{ARN}/*"])),
    "letters of the world": policy(allow(Resource=f"{ARN}/bücher/日本/*")),
}

CASES = [
    Case("S3.5", "no policy", bucket, requires_tls),
    Case("S3.5", "a bucket of another Region", lambda b: bucket(b, policy(allow()), "eu-central-1"), requires_tls),
    Case(
        "S3.5", "a statement that is no list", lambda b: bucket(b, LEGAL["a statement that is no list"]), requires_tls
    ),
    Case("S3.5", "statements without Sid", lambda b: bucket(b, LEGAL["no Sid"]), requires_tls),
    Case("S3.5", "an older version", lambda b: bucket(b, LEGAL["an older version and an Id"]), requires_tls),
]


def target(partition: str = "aws", name: str = NAME) -> Json:
    return {"partition": partition, "account": "111122223333", "resource": {"bucket": name}}


def plan(document: Any, partition: str = "aws") -> list[Json]:
    state = {"config": {"policy": document and [document]}, "facts": {"region": "eu-west-1"}, "busy": None}
    calls: list[Json] = code_of(remediation_of(ID)).plan(state, target(partition))
    return calls


def text_put(one: Json) -> str:
    return str(resolve(one["parameters"], {}, {})["Policy"])


def repaired(document: Json | None, partition: str = "aws") -> Json:
    (one,) = plan(document, partition)
    found: Json = json.loads(text_put(one))
    return found


@pytest.mark.parametrize(
    ("how", "statements"),
    [
        ("as we write it", [deny()]),
        ("without a Sid", [without(deny(), "Sid")]),
        ("principal as AWS", [deny(Principal={"AWS": "*"})]),
        ("principal in a list", [deny(Principal={"AWS": ["444455556666", "*"]})]),
        ("every action", [deny(Action="*")]),
        ("actions in a list", [deny(Action=["s3:GetObject", "S3:*"])]),
        ("every resource", [deny(Resource="*")]),
        ("one pattern for both", [deny(Resource=f"{ARN}*")]),
        ("every bucket", [deny(Resource=["arn:aws:s3:::*"])]),
        ("the key in other case", [deny(Condition={"Bool": {"AWS:securetransport": "false"}})]),
        ("a boolean", [deny(Condition={"Bool": {"aws:SecureTransport": False}})]),
        ("a list", [deny(Condition={"Bool": {"aws:SecureTransport": ["false"]}})]),
        ("a list of a boolean", [deny(Condition={"Bool": {"aws:SecureTransport": [False]}})]),
        ("over two statements", [deny(Resource=ARN), allow(), deny(Resource=f"{ARN}/*")]),
    ],
)
def test_a_statement_that_means_the_same_counts(how: str, statements: list[Json]) -> None:
    assert plan(policy(*statements)) == [], how


def test_a_single_statement_that_is_no_list_counts() -> None:
    assert plan({"Version": VERSION, "Statement": deny()}) == []


@pytest.mark.parametrize(
    ("how", "statement"),
    [
        ("an Allow", deny(Effect="Allow")),
        ("one principal", deny(Principal=READER)),
        ("a service", deny(Principal={"Service": "*"})),
        ("all but one principal", without(deny(NotPrincipal=READER), "Principal")),
        ("some actions", deny(Action=["s3:Get*", "s3:PutObject"])),
        ("all but one action", without(deny(NotAction="s3:GetObject"), "Action")),
        ("the objects alone", deny(Resource=f"{ARN}/*")),
        ("the bucket alone", deny(Resource=ARN)),
        ("a prefix", deny(Resource=[ARN, f"{ARN}/private/*"])),
        ("names of one letter", deny(Resource=[ARN, f"{ARN}/?"])),
        ("names in brackets", deny(Resource=[ARN, f"{ARN}/[*]"])),
        ("a variable", deny(Resource=[ARN, f"{ARN}/${{aws:username}}/*"])),
        ("another bucket", deny(Resource=["arn:aws:s3:::other", "arn:aws:s3:::other/*"])),
        ("all but some objects", without(deny(NotResource=f"{ARN}/open/*"), "Resource")),
        ("TLS itself", deny(Condition={"Bool": {"aws:SecureTransport": "true"}})),
        ("another operator", deny(Condition={"BoolIfExists": {"aws:SecureTransport": "false"}})),
        ("another key", deny(Condition={"Bool": {"aws:ViaAWSService": "false"}})),
        ("a second key", deny(Condition={"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}})),
        (
            "a second operator",
            deny(Condition={"Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
        ),
        ("no condition", without(deny(), "Condition")),
        # A request without TLS has no s3:TlsVersion, so that comparison does not hold for it.
        ("an old TLS version alone", deny(Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}})),
        (
            "an old TLS version, too",
            deny(Condition={"Bool": {"aws:SecureTransport": "false"}, "NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        ),
    ],
)
def test_a_statement_that_denies_less_or_that_the_rule_may_not_know_does_not_count(how: str, statement: Json) -> None:
    assert repaired(policy(statement))["Statement"] == [statement, deny(Sid="RequireTls")], how


@pytest.mark.parametrize("document", LEGAL.values(), ids=LEGAL.keys())
def test_a_policy_of_every_legal_form_is_kept_and_comes_back(document: Json) -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.5", bucket(b, document))
        there = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]

        assert attempt.finish()["outcome"] == "REMEDIATED"
        after = policy_of(b)
        assert after is not None
        assert json.dumps(after["Statement"][:-1]) == json.dumps(there)
        assert without(after, "Statement") == without(document, "Statement")
        assert attempt.undo()["outcome"] == "UNDONE"
        assert json.dumps(policy_of(b)) == json.dumps(document)


def test_a_policy_that_was_not_there_is_deleted_by_an_undo() -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.5", bucket(b))
        attempt.finish()

        assert policy_of(b) == policy(deny(Sid="RequireTls"))
        assert attempt.undo()["outcome"] == "UNDONE"
        assert policy_of(b) is None


def test_a_taken_sid_gets_a_number() -> None:
    assert repaired(LEGAL["our Sid, taken"])["Statement"][-1]["Sid"] == "RequireTls3"


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_the_arns_are_of_the_buckets_partition(partition: str) -> None:
    """ASR #65: in us-gov-west-1 the statement named arn:aws, and S3 refused it."""
    (added,) = repaired(None, partition)["Statement"]

    assert added["Resource"] == [f"arn:{partition}:s3:::{NAME}", f"arn:{partition}:s3:::{NAME}/*"]


def test_a_policy_that_would_be_too_large_is_left_to_a_person() -> None:
    """S3 counts bytes, and a letter outside ASCII is sent as six."""
    fits, small = 0, policy(allow())
    room = 20 * 1024 - len(text_put(plan(small)[0]))
    for pad, size in (("x", 1), ("é", 6)):
        number = room // size
        fits = len(text_put(plan(policy(allow(Resource=f"{ARN}/*{pad * number}")))[0]))
        assert 20 * 1024 - size < fits <= 20 * 1024
        with pytest.raises(CannotRepair, match="S3 takes 20480") as refused:
            plan(policy(allow(Resource=f"{ARN}/*{pad * (number + 1)}")))
        assert "shorten it" in refused.value.to_do


def test_everything_but_the_search_for_it_goes_to_the_buckets_region_and_names_the_owner() -> None:
    with bench(ID, "eu-west-1") as b:
        attempt = b.attempt("S3.5", bucket(b, None, "ap-south-1"))
        with b.watched() as calls:
            assert attempt.finish()["outcome"] == "REMEDIATED"
            assert attempt.undo()["outcome"] == "UNDONE"

        made = [c for c in calls if c.service == "s3"]
        assert {c.region for c in made if c.operation != "HeadBucket"} == {"ap-south-1"}
        assert {c.parameters.get("ExpectedBucketOwner") for c in made} == {b.account}


def test_a_statement_that_somebody_adds_before_the_second_look_is_not_lost() -> None:
    """cloud-custodian #10436: two changes in one run used a cached policy, and the first was lost."""
    with bench(ID) as b:
        arn = bucket(b, policy(allow()))
        attempt = b.attempt("S3.5", arn)
        assert attempt.preview()["outcome"] == "PREVIEWED"
        b.client("s3").put_bucket_policy(Bucket=NAME, Policy=json.dumps(policy(allow(), allow("Later"))))

        assert b.remediate("S3.5", arn)["outcome"] == "REMEDIATED"
        assert policy_of(b) == policy(allow(), allow("Later"), deny(Sid="RequireTls"))


@pytest.mark.parametrize("change", [{"Id": "Mine"}, {"Statement": [allow("Other"), deny()]}])
def test_a_policy_that_somebody_changed_since_is_left_by_an_undo(change: Json) -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.5", bucket(b, policy(allow())))
        attempt.finish()
        changed = (policy_of(b) or {}) | change
        b.client("s3").put_bucket_policy(Bucket=NAME, Policy=json.dumps(changed))

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert policy_of(b) == changed


def refuse(b: Bench, code: str) -> None:
    """S3 refuses the role's next bucket policies with this code."""

    def refused(one: Call) -> None:
        if one.operation == "PutBucketPolicy" and one.principal.role_arn == b.role_arn:
            raise ClientError({"Error": {"Code": code, "Message": "made to fail"}}, one.operation)

    cast("IdentityCenter", b.world.identity).before.append(refused)


def test_a_policy_with_a_deleted_principal_is_explained() -> None:
    """S3 turns the ARN of a deleted role into its unique id and refuses a policy with that; moto takes it."""
    with bench(ID) as b:
        document = policy(allow(Principal={"AWS": "AROAEXAMPLE1234567890"}))
        arn = bucket(b, document)
        refuse(b, "MalformedPolicy")

        result = b.remediate("S3.5", arn)

        assert (result["outcome"], policy_of(b)) == ("FAILED", document)
        assert "AROA" in result["to_do"]


def test_a_denied_write_is_explained() -> None:
    with bench(ID) as b:
        document = policy(
            deny(Action="s3:PutBucketPolicy", Resource=ARN, Condition={"Null": {"aws:SourceVpce": "true"}})
        )
        arn = bucket(b, document)

        result = b.remediate("S3.5", arn)

        assert (result["outcome"], policy_of(b)) == ("FAILED", document)
        assert "denies s3:PutBucketPolicy" in result["to_do"]


def test_an_undo_that_block_public_policy_refuses_is_explained() -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.5", bucket(b, policy(allow(Principal="*"))))
        attempt.finish()
        flags = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        b.client("s3").put_public_access_block(Bucket=NAME, PublicAccessBlockConfiguration=flags)

        result = attempt.undo()

        assert result["outcome"] == "FAILED"
        assert "BlockPublicPolicy" in result["to_do"]
        assert requires_tls(b, ARN)


def test_a_denied_read_is_not_an_absent_policy() -> None:
    with bench(ID) as b:
        document = policy(
            deny(Action="s3:GetBucketPolicy", Resource=ARN, Condition={"Null": {"aws:SourceVpce": "true"}})
        )
        arn = bucket(b, document)
        with b.watched() as calls:
            result = b.remediate("S3.5", arn)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])


def test_a_bucket_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        result = b.remediate("S3.5", b.arn("s3", "long-gone", region="", account=""))

        assert (result["outcome"], result["gone"]) == ("COMPLIANT", True)


def one_or_list(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


PRINCIPALS = st.just("*") | st.fixed_dictionaries(
    {},
    optional={
        "AWS": one_or_list(st.sampled_from(["*", "444455556666", "arn:aws:iam::444455556666:root", "AIDAEXAMPLE"])),
        "Service": one_or_list(st.sampled_from(["logging.s3.amazonaws.com", "cloudtrail.amazonaws.com"])),
    },
)
ACTIONS = one_or_list(st.sampled_from(["*", "s3:*", "s3:GetObject", "s3:Put*"]))
RESOURCES = one_or_list(st.sampled_from(["*", ARN, f"{ARN}/*", f"{ARN}*", f"{ARN}/a?[b]*"]))
CONDITIONS = st.dictionaries(
    st.sampled_from(["Bool", "BoolIfExists", "StringLike"]),
    st.dictionaries(
        st.sampled_from(["aws:SecureTransport", "aws:securetransport", "aws:PrincipalOrgID"]),
        one_or_list(st.sampled_from(["false", "true"])) | st.booleans(),
        max_size=2,
    ),
    max_size=2,
)


@st.composite
def statements(draw: st.DrawFn) -> Json:
    made: Json = {"Effect": draw(st.sampled_from(["Allow", "Deny"]))}
    made[draw(st.sampled_from(["Principal", "NotPrincipal"]))] = draw(PRINCIPALS)
    made[draw(st.sampled_from(["Action", "NotAction"]))] = draw(ACTIONS)
    made[draw(st.sampled_from(["Resource", "NotResource"]))] = draw(RESOURCES)
    made |= draw(st.fixed_dictionaries({}, optional={"Condition": CONDITIONS}))
    return made | draw(
        st.fixed_dictionaries({}, optional={"Sid": st.sampled_from(["", "A", "RequireTls", "RequireTls2"])})
    )


DOCUMENTS = st.fixed_dictionaries(
    {"Statement": statements() | st.lists(statements(), min_size=1, max_size=6)},
    optional={"Version": st.sampled_from([VERSION, "2008-10-17"]), "Id": st.text(max_size=9)},
)


@settings(deadline=None)
@given(DOCUMENTS)
def test_every_statement_survives_and_twice_is_once(document: Json) -> None:
    frozen = copy.deepcopy(document)
    there = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]

    calls = plan(document)

    assert document == frozen
    for one in calls:
        after = json.loads(text_put(one))
        assert json.dumps(after["Statement"][:-1]) == json.dumps(there)
        assert after["Statement"][-1]["Sid"] not in [s.get("Sid") for s in there]
        assert without(after, "Statement") == without(document, "Statement")
        assert plan(after) == []
        assert json.loads(text_put(one["undo"][0])) == document
