"""The role for API Gateway's logs: set where none is, never taken from another, and never made here."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.loader import DOCUMENTS, load_auxiliary
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import bench

FOLDER = DOCUMENTS / "auxiliary" / "api_gateway_logging"
TARGET: dict[str, Any] = {"partition": "aws-cn", "account": "222222222222", "region": "cn-north-1"}


def script() -> Any:
    return load_script(FOLDER / "script.py")


def test_our_role_is_set_where_none_is_and_stays() -> None:
    (one,) = script().make({"is": None, "role": True}, TARGET)

    (patch,) = one["parameters"]["patchOperations"]
    assert patch["value"] == "arn:aws-cn:iam::222222222222:role/sharr/sharr-api-gateway-logging"
    assert one["kept"]


def test_a_role_that_is_set_stays_whosever_it_is() -> None:
    assert script().make({"is": "arn:aws-cn:iam::222222222222:role/theirs", "role": False}, TARGET) == []


def test_a_missing_role_is_said_first() -> None:
    with pytest.raises(CannotRepair, match="no role /sharr/sharr-api-gateway-logging") as caught:
        script().make({"is": None, "role": False}, TARGET)

    assert "member-roles" in caught.value.to_do


def test_look_finds_neither_in_a_new_account() -> None:
    with bench("apigateway/log_execution") as b:
        assert script().look(b, TARGET) == {"is": None, "role": False}


def test_the_role_is_api_gateways_alone_and_writes_in_the_own_account_only() -> None:
    (role,) = load_auxiliary(FOLDER).roles.values()

    assert role["service"] == "apigateway.amazonaws.com"
    assert all(on.startswith("arn:{partition}:logs:*:{account}:") for on in role["allow"].values())
    assert {"logs:CreateLogStream", "logs:PutLogEvents"} <= set(role["allow"])
    assert not any("Delete" in action for action in role["allow"])
