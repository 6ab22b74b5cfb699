"""Settings: what the environment says, read once; what must be there is named where it is not."""

from __future__ import annotations

import json

import pytest

from sharr.settings import MissingSetting, own_region, settings_from

LEAST = {
    "AWS_REGION": "eu-west-1",
    "ADMIN_ACCOUNT": "111111111111",
    "HOME_REGION": "eu-west-1",
    "TABLE_NAME": "table",
    "OUTCOME_QUEUE_URL": "https://sqs/outcome",
}


def test_the_least_environment_switches_nothing_on() -> None:
    settings = settings_from(LEAST)

    assert settings.automatic_controls == frozenset()
    assert settings.button_repairs == "preview only"
    assert settings.execution_mode == "by remediation"
    assert settings.organization_id == ""
    assert settings.stack_parameters == {}
    assert settings.playbook_queues == {}


def test_everything_is_read_from_its_own_variable() -> None:
    more = {
        "ORGANIZATION_ID": "o-1",
        "PLAYBOOK": "SC",
        "QUEUE_URL": "q",
        "DEAD_LETTER_QUEUE_URL": "d",
        "AUTOMATIC_CONTROLS": "S3.5,KMS.4",
        "STACK_PARAMETERS": json.dumps({"automatic": "/a", "excluded": "/e"}),
        "BUTTON_REPAIRS": "any control",
        "EXECUTION_MODE": "runbook",
        "TOPIC_ARN": "t",
        "PLAYBOOK_QUEUES": json.dumps({"SC": "q"}),
    }

    settings = settings_from(LEAST | more)

    assert (settings.region, settings.admin_account, settings.home_region) == ("eu-west-1", "111111111111", "eu-west-1")
    assert (settings.table, settings.outcome_queue, settings.organization_id) == ("table", "https://sqs/outcome", "o-1")
    assert (settings.playbook, settings.queue, settings.dead_letter_queue) == ("SC", "q", "d")
    assert settings.automatic_controls == {"S3.5", "KMS.4"}
    assert settings.stack_parameters == {"automatic": "/a", "excluded": "/e"}
    assert (settings.button_repairs, settings.execution_mode, settings.topic_arn) == ("any control", "runbook", "t")
    assert settings.playbook_queues == {"SC": "q"}


@pytest.mark.parametrize("name", LEAST)
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(MissingSetting, match=f"^{name} is not set"):
        settings_from({k: v for k, v in LEAST.items() if k != name})


@pytest.mark.parametrize(("text", "wanted"), [("", set()), (",", set()), ("S3.5", {"S3.5"}), ("S3.5,", {"S3.5"})])
def test_an_empty_list_of_controls_is_none_of_them(text: str, wanted: set[str]) -> None:
    assert settings_from(LEAST | {"AUTOMATIC_CONTROLS": text}).automatic_controls == wanted


def test_lambdas_own_region_comes_before_the_default() -> None:
    assert own_region({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}) == "eu-west-1"
    assert own_region({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-1"}) == "us-east-1"
