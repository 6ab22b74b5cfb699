"""The custom resource of the buttons: it makes, adopts and deletes ours, touches nobody else's, and always answers."""

from __future__ import annotations

import json
import urllib.request
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from lambdas.custom_actions import handler as custom_actions
from lambdas.custom_actions.handler import DESCRIPTIONS, PHYSICAL_ID, Refused, check_controls, respond_to
from sharr.catalogue import Catalogue
from sharr.finding import CUSTOM_ACTIONS
from sharr.loader import ROOT, load_all
from sharr.standards import load_standards

Json = dict[str, Any]
ACCOUNT, REGION = "111111111111", "eu-west-1"
ARNS = {a.id: f"arn:aws:securityhub:{REGION}:{ACCOUNT}:action/custom/{a.id}" for a in CUSTOM_ACTIONS}
OURS = {
    ARNS[a.id]: {"ActionTargetArn": ARNS[a.id], "Name": a.name, "Description": DESCRIPTIONS[a.id]}
    for a in CUSTOM_ACTIONS
}


class Hub:
    """Security Hub with custom actions, as its API reference describes them; *errors* are raised by operation."""

    def __init__(self, there: Json | None = None, home: str | None = REGION, **errors: str) -> None:
        self.actions = {arn: dict(action) for arn, action in (there or {}).items()}
        self.home = home
        self.errors = errors
        self.calls: list[str] = []

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.errors:
            raise refusal(self.errors[operation], operation)

    def list_finding_aggregators(self) -> Json:
        self._called("list_finding_aggregators")
        arn = f"arn:aws:securityhub:{self.home}:{ACCOUNT}:finding-aggregator/1"
        return {"FindingAggregators": [{"FindingAggregatorArn": arn}] if self.home else []}

    def create_action_target(self, Id: str, Name: str, Description: str) -> Json:  # noqa: N803  # boto3's names
        self._called("create_action_target")
        if ARNS[Id] in self.actions:
            raise refusal("ResourceConflictException", "CreateActionTarget")
        self.actions[ARNS[Id]] = {"ActionTargetArn": ARNS[Id], "Name": Name, "Description": Description}
        return {"ActionTargetArn": ARNS[Id]}

    def describe_action_targets(self, ActionTargetArns: list[str]) -> Json:  # noqa: N803  # boto3's name
        self._called("describe_action_targets")
        (arn,) = ActionTargetArns
        if arn not in self.actions:
            raise refusal("ResourceNotFoundException", "DescribeActionTargets")
        return {"ActionTargets": [self.actions[arn]]}

    def update_action_target(self, ActionTargetArn: str, Description: str) -> Json:  # noqa: N803  # boto3's names
        self._called("update_action_target")
        self.actions[ActionTargetArn]["Description"] = Description
        return {}

    def delete_action_target(self, ActionTargetArn: str) -> Json:  # noqa: N803  # boto3's name
        self._called("delete_action_target")
        if ActionTargetArn not in self.actions:
            raise refusal("ResourceNotFoundException", "DeleteActionTarget")
        del self.actions[ActionTargetArn]
        return {}


def refusal(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "m"}}, operation)


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue.of(load_all(), load_standards(ROOT), "1")
    monkeypatch.setattr(custom_actions, "compiled", lambda: catalogue)


def event(request: str = "Create", **changes: Any) -> Json:
    return {
        "RequestType": request,
        "ResponseURL": "https://cloudformation-custom-resource-response.example/answer?signature=x",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "CustomActions",
        "ResourceProperties": {"AutomaticControls": {"SC": [""]}},
    } | changes


def respond(hub: Hub, request: str = "Create", **changes: Any) -> dict[str, str]:
    return respond_to(event(request, **changes), hub, ACCOUNT, REGION)


# --- making and deleting


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_the_three_actions_are_made_and_their_arns_are_given(request_type: str) -> None:
    hub = Hub()

    assert respond(hub, request_type) == ARNS

    assert hub.actions == OURS


def test_names_and_ids_fit_security_hub() -> None:
    assert all(len(a.id) <= 20 and len(a.name) <= 20 and a.id.isalnum() for a in CUSTOM_ACTIONS)
    assert DESCRIPTIONS.keys() == {a.id for a in CUSTOM_ACTIONS}
    assert all(len(text) <= 500 for text in DESCRIPTIONS.values())


def test_actions_that_we_made_before_are_adopted_and_brought_up_to_date() -> None:
    hub = Hub({**OURS, ARNS["SHARRUndo"]: {**OURS[ARNS["SHARRUndo"]], "Description": "of an earlier release"}})

    assert respond(hub) == ARNS

    assert hub.actions == OURS
    assert hub.calls.count("update_action_target") == 1


def test_somebody_elses_action_of_the_same_id_is_refused_and_left_alone() -> None:
    theirs = {ARNS["SHARRPreview"]: {**OURS[ARNS["SHARRPreview"]], "Name": "Preview (ASR)"}}
    hub = Hub(theirs)

    with pytest.raises(Refused, match=r"there is a custom action SHARRPreview called 'Preview \(ASR\)'"):
        respond(hub)

    assert hub.actions[ARNS["SHARRPreview"]] == theirs[ARNS["SHARRPreview"]]
    assert "update_action_target" not in hub.calls


def test_the_rollback_after_a_refusal_deleted_somebody_elses_action() -> None:
    """CloudFormation sends Delete for a resource whose Create failed."""
    theirs = {ARNS["SHARRPreview"]: {**OURS[ARNS["SHARRPreview"]], "Name": "Preview (ASR)"}}
    hub = Hub(theirs)
    with pytest.raises(Refused):
        respond(hub)

    respond(hub, "Delete")

    assert hub.actions == theirs


def test_delete_deletes_ours_and_what_is_not_there_is_deleted_already() -> None:
    hub = Hub(OURS)

    assert respond(hub, "Delete") == {}
    assert hub.actions == {}
    assert respond(hub, "Delete") == {}


def test_where_security_hub_was_disabled_there_is_nothing_to_delete() -> None:
    assert respond(Hub(OURS, describe_action_targets="InvalidAccessException"), "Delete") == {}


def test_delete_asks_nothing_of_the_parameters() -> None:
    assert respond(Hub(home="us-east-1"), "Delete", ResourceProperties={"AutomaticControls": {"SC": ["No.1"]}}) == {}


@pytest.mark.parametrize("operation", ["describe_action_targets", "delete_action_target"])
def test_a_delete_that_fails_is_an_error(operation: str) -> None:
    failing = Hub(OURS)
    failing.errors[operation] = "InternalException"

    with pytest.raises(ClientError):
        respond(failing, "Delete")


@pytest.mark.parametrize("operation", ["create_action_target", "list_finding_aggregators"])
def test_a_create_that_fails_is_an_error(operation: str) -> None:
    failing = Hub()
    failing.errors[operation] = "LimitExceededException"

    with pytest.raises(ClientError):
        respond(failing)


# --- what the stack could not work with


def test_a_stack_outside_the_home_region_is_refused_and_makes_nothing() -> None:
    hub = Hub(home="us-east-1")

    with pytest.raises(Refused, match="aggregated in us-east-1: create this stack there, not in eu-west-1"):
        respond(hub)

    assert hub.actions == {}


def test_without_an_aggregator_this_region_is_the_only_one() -> None:
    assert respond(Hub(home=None)) == ARNS


@pytest.mark.parametrize("code", ["InvalidAccessException", "ResourceNotFoundException"])
def test_a_region_without_security_hub_is_refused(code: str) -> None:
    with pytest.raises(Refused, match="Security Hub is not enabled in eu-west-1"):
        respond(Hub(list_finding_aggregators=code))


@pytest.mark.parametrize("controls", [[], [""], ["*"], ["S3.5"], ["S3.5", " KMS.4 "]])
def test_controls_that_are_served_are_taken(controls: list[str]) -> None:
    check_controls({"SC": controls, "AFSBP": []})


@pytest.mark.parametrize(
    ("standard", "control", "near"),
    [("SC", "S3.55", "S3.5"), ("SC", "s3.5", "S3.5"), ("SC", "KMS4", "KMS.4"), ("SC", "\U0001f4a5", "")],
)
def test_a_control_that_is_not_served_is_named_with_the_nearest(standard: str, control: str, near: str) -> None:
    with pytest.raises(Refused, match=f"{standard}AutomaticControls: .* is not served; did you mean .*{near}"):
        check_controls({standard: ["S3.5", control]})


def test_a_control_of_another_standard_is_not_served() -> None:
    standards = load_standards(ROOT)
    controls = {c for r in load_all() for c in r.controls}
    standard, control = next((s.name, c) for s in standards for c in sorted(controls) if not s.serves(c))

    with pytest.raises(Refused, match=f"{standard}AutomaticControls: '{control}' is not served"):
        check_controls({standard: [control]})


@pytest.mark.parametrize("standard", ["SC", "CT"])
def test_controls_for_tags_are_the_tagging_playbooks_alone(standard: str) -> None:
    with pytest.raises(Refused, match=f"{standard}AutomaticControls: 'DynamoDB.5' is not served; .* come to Tagging$"):
        check_controls({standard: ["DynamoDB.5"]})
    check_controls({"Tagging": ["DynamoDB.5"]})


def test_more_controls_than_a_pattern_holds_are_refused_and_the_star_is_named() -> None:
    with pytest.raises(Refused, match=r"TaggingAutomaticControls: more controls than .* or \*"):
        check_controls({"Tagging": [f"IoTSiteWise.{n}" for n in range(1, 140)]})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("KMS.4:rotationPeriodDays=180; iam/deactivate_stale_keys:maxAccessKeyAge=60", None),
        ("KMS.5:rotationPeriodDays=180", "KMS.5 is no control or remediation of ours: see .*KMS.4"),
        ("kms/rotate_keys:rotationPeriodDays=180", "see kms/rotate_key"),
        ("KMS.4:rotationPeriod=180", "KMS.4 has no parameter rotationPeriod: it has rotationPeriodDays"),
        ("KMS.4:rotationPeriodDays=18", "rotationPeriodDays is 18: wanted 90 to 2560"),
        ("KMS.4:rotationPeriodDays=180;KMS.4:rotationPeriodDays=180", "is there twice"),
        ("KMS.4", "wanted CONTROL:parameter=value"),
    ],
)
def test_parameters_of_remediations_are_checked_when_the_stack_is_deployed(text: str, why: str | None) -> None:
    if why is None:
        assert respond(Hub(), ResourceProperties={"RemediationParameters": text})
        return
    hub = Hub()
    with pytest.raises(Refused, match=why):
        respond(hub, ResourceProperties={"RemediationParameters": text})
    assert not hub.calls


def test_every_wrong_control_is_named_and_the_text_stays_short() -> None:
    with pytest.raises(Refused, match=r"'No\.1' .* 'No\.2' ") as refused:
        check_controls({"SC": [f"No.{n}" for n in range(1, 200)]})

    assert len(str(refused.value)) <= 1000


# --- answering


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """Every answer that was sent, as {method, url, headers, body}."""
    sent: list[Json] = []

    class Answered:
        status = 200

        def __enter__(self) -> Answered:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to close."""

    def urlopen(request: urllib.request.Request, timeout: float) -> Answered:
        assert 0 < timeout <= 30
        assert isinstance(request.data, bytes)
        body = json.loads(request.data)
        sent.append({"method": request.get_method(), "url": request.full_url, "size": len(request.data), "body": body})
        return Answered()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return sent


def handle(monkeypatch: pytest.MonkeyPatch, hub: Any, **changes: Any) -> None:
    def client(service: str, region_name: str, config: Any) -> Any:
        assert (service, region_name) == ("securityhub", REGION)
        assert config.read_timeout * config.retries["max_attempts"] < 60
        if isinstance(hub, Exception):
            raise hub
        return hub

    monkeypatch.setattr(boto3, "client", client)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:custom-actions"
    custom_actions.handler(event(**changes), SimpleNamespace(invoked_function_arn=arn))


def test_success_is_answered_with_the_arns(monkeypatch: pytest.MonkeyPatch, answers: list[Json]) -> None:
    handle(monkeypatch, Hub())

    (answer,) = answers
    assert (answer["method"], answer["url"]) == ("PUT", event()["ResponseURL"])
    assert answer["body"] == {
        "Status": "SUCCESS",
        "Reason": "done",
        "PhysicalResourceId": PHYSICAL_ID,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "CustomActions",
        "Data": ARNS,
    }


@pytest.mark.parametrize(
    ("hub", "reason"),
    [
        (Hub(home="us-east-1"), "aggregated in us-east-1"),
        (Hub(create_action_target="LimitExceededException"), "LimitExceededException"),
        (Hub(list_finding_aggregators="AccessDeniedException"), "AccessDeniedException"),
        (ConnectTimeoutError(endpoint_url="https://securityhub"), "ConnectTimeoutError"),
        (RuntimeError("secret detail"), "unexpected RuntimeError; see the log"),
        (SimpleNamespace(), "unexpected AttributeError; see the log"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_whatever_goes_wrong_is_answered_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, answers: list[Json], hub: Any, reason: str
) -> None:
    handle(monkeypatch, hub)

    (answer,) = answers
    assert (answer["body"]["Status"], answer["body"]["Data"]) == ("FAILED", {})
    assert reason in answer["body"]["Reason"]
    assert "secret detail" not in answer["body"]["Reason"]


@pytest.mark.parametrize(
    "properties", [None, {}, {"AutomaticControls": {"NOSUCH": ["S3.5"]}}, {"AutomaticControls": []}]
)
def test_properties_of_any_shape_are_answered(
    monkeypatch: pytest.MonkeyPatch, answers: list[Json], properties: Any
) -> None:
    handle(monkeypatch, Hub(), ResourceProperties=properties)

    assert len(answers) == 1


def test_the_physical_id_stays_so_that_nothing_is_replaced(
    monkeypatch: pytest.MonkeyPatch, answers: list[Json]
) -> None:
    handle(monkeypatch, Hub(), RequestType="Update", PhysicalResourceId="an-older-one")

    assert answers[0]["body"]["PhysicalResourceId"] == "an-older-one"


def test_an_answer_is_never_longer_than_cloudformation_takes(
    monkeypatch: pytest.MonkeyPatch, answers: list[Json]
) -> None:
    """CloudFormation takes 4,096 bytes, and JSON writes one letter outside ASCII in six or twelve."""
    wrong = {"AutomaticControls": {"SC": ["\U0001f4a5" * 40 + str(n) for n in range(100)]}}

    handle(monkeypatch, Hub(), ResourceProperties=wrong)

    assert answers[0]["body"]["Status"] == "FAILED"
    assert answers[0]["size"] <= 4096


@pytest.mark.parametrize("url", ["http://example.com/", "file:///etc/passwd"])
def test_an_answer_goes_over_tls_only(monkeypatch: pytest.MonkeyPatch, answers: list[Json], url: str) -> None:
    with pytest.raises(ValueError, match="not https"):
        handle(monkeypatch, Hub(), ResponseURL=url)

    assert answers == []
