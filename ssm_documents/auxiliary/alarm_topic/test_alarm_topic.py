"""The topic of the alarms: made once with its policy, never taken from another, and one address asked once."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import Bench, bench

ID = "cloudwatch/alarm_on_events"
ACCOUNT = "222222222222"
EMAIL = "security@example.com"


def script() -> Any:
    return load_script(DOCUMENTS / "auxiliary" / "alarm_topic" / "script.py")


def target(topic: str | None = None, email: str | None = EMAIL, partition: str = "aws") -> dict[str, Any]:
    parameters = {"alarmTopicArn": topic, "alarmEmail": email}
    return {"partition": partition, "account": ACCOUNT, "region": "us-east-1", "parameters": parameters}


def facts(**more: Any) -> dict[str, Any]:
    arn = f"arn:aws:sns:us-east-1:{ACCOUNT}:sharr-alarms"
    return {"arn": arn, "is": "ours", "heard": False, "asked": [], **more}


@pytest.mark.parametrize(
    ("case", "found", "operations"),
    [
        ("absent", facts(**{"is": "absent"}), ["create_topic", "subscribe"]),
        ("nobody asked", facts(), ["subscribe"]),
        ("asked already", facts(asked=[EMAIL]), []),
        ("another one asked", facts(asked=["old@example.com"]), ["subscribe"]),
        ("heard", facts(heard=True), []),
        ("theirs, heard", facts(heard=True, **{"is": "theirs"}), []),
    ],
)
def test_make(case: str, found: dict[str, Any], operations: list[str]) -> None:
    calls = script().make(found, target())

    assert operations == [one["operation"] for one in calls], case
    assert all(one["kept"] for one in calls)


@pytest.mark.parametrize(
    ("found", "email", "why"),
    [
        (facts(**{"is": "another's"}, heard=True), EMAIL, "is not ours"),
        (
            facts(**{"is": "theirs"}),
            EMAIL,
            "no confirmed subscriber",
        ),  # a topic of somebody's gets no subscriber of ours
        (facts(**{"is": "absent"}), None, "nobody to alarm"),
        (facts(), None, "nobody to alarm"),
    ],
)
def test_what_a_person_must_do_first(found: dict[str, Any], email: str | None, why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        script().make(found, target(email=email))


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_policy_lets_alarms_of_the_own_account_publish_and_nothing_else(partition: str) -> None:
    arn = f"arn:{partition}:sns:us-east-1:{ACCOUNT}:sharr-alarms"
    create, _ = script().make(facts(arn=arn, **{"is": "absent"}), target(partition=partition))

    (statement,) = create["parameters"]["Attributes"]["Policy"]["$json"]["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Allow", "sns:Publish", arn)
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


@pytest.mark.parametrize(
    ("chosen", "arn"),
    [
        ("pager", f"arn:aws:sns:us-east-1:{ACCOUNT}:pager"),
        ("arn:aws:sns:us-east-1:111111111111:pager", "arn:aws:sns:us-east-1:111111111111:pager"),
    ],
)
def test_a_name_alone_means_a_topic_of_the_account(chosen: str, arn: str) -> None:
    assert script().look(Unasked(), target(chosen)) == {"arn": arn, "is": "theirs"}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (None, "absent"),
        ([{"Key": "sharr", "Value": "alarm_topic"}], "ours"),
        ([{"Key": "team", "Value": "x"}], "another's"),
    ],
)
def test_look_knows_our_topic_by_its_tag(tags: Any, found: str) -> None:
    with bench(ID) as b:
        if tags:
            b.client("sns").create_topic(Name="sharr-alarms", Tags=tags)

        assert script().look(Eyes(b), target()) == {"arn": facts()["arn"], "is": found}


def test_a_denied_read_is_not_taken_for_absent() -> None:
    class Denied:
        def client(self, _service: str) -> Denied:
            return self

        def list_tags_for_resource(self, **_: str) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AuthorizationError"}}, "ListTagsForResource")

    with pytest.raises(ClientError):
        script().look(Denied(), target())


class Eyes:
    """An administrator's clients, in the target's account."""

    def __init__(self, b: Bench) -> None:
        self.b = b

    def client(self, service: str) -> Any:
        return self.b.client(service, account=ACCOUNT)


class Unasked:
    """An AWS that nothing is asked of."""

    def client(self, service: str) -> None:
        return None
