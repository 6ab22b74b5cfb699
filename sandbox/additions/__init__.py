"""What moto lacks or fakes too kindly, added to moto's own backends so that every client reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.additions import (
    cloudtrail,
    dynamodb,
    ec2,
    ec2_ebs_defaults,
    iam,
    iam_users,
    kms,
    lambda_,
    organizations,
    rds,
    s3,
    s3_bucket_tags,
    securityhub,
    ssm_automation,
)
from sandbox.additions.wire import Patches
from sandbox.ports import World

_PARTS = (
    securityhub,
    ssm_automation,
    organizations,
    rds,
    cloudtrail,
    dynamodb,
    ec2,
    ec2_ebs_defaults,
    s3,
    s3_bucket_tags,
    iam,
    iam_users,
    kms,
    lambda_,
)
_installed: list[Patches] = []


def install(world: World) -> None:
    """
    Add the operations to moto, with fresh state for *world*; moto's mock must be active.

    Raises RuntimeError where they are installed already: there is one moto in a process, so one world.
    """
    if _installed:
        raise RuntimeError("the additions are installed for another world; uninstall() them first")
    patches = Patches()
    try:
        for part in _PARTS:
            part.install(world, patches)
    except BaseException:
        patches.undo()
        raise
    _installed.append(patches)


def uninstall() -> None:
    """Take everything out again: moto is as it was imported. Without an installation nothing happens."""
    while _installed:
        _installed.pop().undo()


@contextmanager
def installed(world: World) -> Iterator[None]:
    """Within: the additions are installed for *world*."""
    install(world)
    try:
        yield
    finally:
        uninstall()
