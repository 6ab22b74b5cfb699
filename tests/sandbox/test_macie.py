"""When Macie is on, and who may suspend it, as AWS's pages (named in each test) say."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.additions import macie as additions
from tests.sandbox.fakes import a_world

ADMIN, PAYMENTS = "111111111111", "222222222222"
WHERE = "eu-west-1"


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("get_macie_session", {}),
        ("get_administrator_account", {}),
        ("update_macie_session", {"status": "ENABLED"}),
        ("disable_macie", {}),
    ],
)
def test_macie_is_off_at_first_and_then_denies_access(operation: str, more: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/macie/latest/APIReference/macie.html"""
    with a_world() as world:
        macie = world.identity.client("macie2", PAYMENTS, WHERE)

        with pytest.raises(ClientError, match=r"AccessDeniedException.*Macie is not enabled"):
            getattr(macie, operation)(**more)


def test_a_session_is_suspended_and_resumed_with_its_settings() -> None:
    """https://docs.aws.amazon.com/macie/latest/user/macie-suspend.html"""
    with a_world() as world:
        macie = world.identity.client("macie2", PAYMENTS, WHERE)
        macie.enable_macie(findingPublishingFrequency="SIX_HOURS")
        seen = []
        for status in ("PAUSED", "ENABLED"):
            macie.update_macie_session(status=status)
            found = macie.get_macie_session()
            seen.append((found["status"], found["findingPublishingFrequency"]))

        assert seen == [("PAUSED", "SIX_HOURS"), ("ENABLED", "SIX_HOURS")]


def test_macie_that_is_on_cannot_be_enabled_again() -> None:
    """https://docs.aws.amazon.com/macie/latest/APIReference/macie.html"""
    with a_world() as world:
        macie = world.identity.client("macie2", PAYMENTS, WHERE)
        macie.enable_macie(status="PAUSED")

        with pytest.raises(ClientError, match="ConflictException"):
            macie.enable_macie()


def test_a_member_is_suspended_by_its_administrator_only() -> None:
    """https://docs.aws.amazon.com/macie/latest/user/macie-suspend.html"""
    with a_world() as world:
        macie = world.identity.client("macie2", PAYMENTS, WHERE)
        macie.enable_macie()
        alone = macie.get_administrator_account()
        additions.set_administrator(PAYMENTS, WHERE, ADMIN)

        with pytest.raises(ClientError, match="ConflictException"):
            macie.update_macie_session(status="PAUSED")
        with pytest.raises(ClientError, match="ConflictException"):
            macie.disable_macie()

        assert "administrator" not in alone
        assert macie.get_administrator_account()["administrator"]["accountId"] == ADMIN
