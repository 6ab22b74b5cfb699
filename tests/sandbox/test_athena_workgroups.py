"""Workgroups are changed as AWS's pages (named in each test) say."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"


def test_an_update_changes_what_is_given_and_leaves_the_rest() -> None:
    """https://docs.aws.amazon.com/athena/latest/APIReference/API_UpdateWorkGroup.html"""
    with a_world() as world:
        athena = world.identity.client("athena", PAYMENTS, "eu-west-1")
        configuration = {
            "ResultConfiguration": {"OutputLocation": "s3://results/"},
            "BytesScannedCutoffPerQuery": 10**7,
        }
        athena.create_work_group(Name="reports", Description="monthly", Configuration=configuration)
        before = athena.get_work_group(WorkGroup="reports")["WorkGroup"]

        updates = {"PublishCloudWatchMetricsEnabled": True, "RemoveBytesScannedCutoffPerQuery": True}
        athena.update_work_group(WorkGroup="reports", ConfigurationUpdates=updates, State="DISABLED")

        after = athena.get_work_group(WorkGroup="reports")["WorkGroup"]
    assert (before["State"], after["State"]) == ("ENABLED", "DISABLED")
    assert after["Description"] == "monthly"
    assert after["Configuration"]["PublishCloudWatchMetricsEnabled"] is True
    assert after["Configuration"]["ResultConfiguration"] == {"OutputLocation": "s3://results/"}
    assert "BytesScannedCutoffPerQuery" not in after["Configuration"]


@pytest.mark.parametrize("operation", ["get_work_group", "update_work_group"])
def test_a_workgroup_that_does_not_exist_is_an_invalid_request(operation: str) -> None:
    """https://docs.aws.amazon.com/athena/latest/APIReference/API_GetWorkGroup.html"""
    with a_world() as world:
        athena = world.identity.client("athena", PAYMENTS, "eu-west-1")
        with pytest.raises(ClientError) as caught:
            getattr(athena, operation)(WorkGroup="nobody")

    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert "is not found" in caught.value.response["Error"]["Message"]
