"""
Puts the templates and the functions' code into an S3 bucket: `python -m stacks.publish --bucket NAME`.

From there CloudFormation deploys them into accounts that were never bootstrapped. Code and nested templates stand under
the hash of their content, the top templates of a release in a folder under the hash of all of them: nothing that is
there is ever written again, and publishing twice writes nothing. The top templates come last, so that what can be
deployed is complete. The bucket has to be in the Region where sharr-admin goes: Lambda takes code from its own Region
only. Templates may be read from any Region, so that one bucket is enough.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

Json = Any
ROOT: Final = Path(__file__).resolve().parent.parent
BOOTSTRAP: Final = "cdk-hnb659fds"
NAMES: Final = {"bucket": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", "prefix": r"[A-Za-z0-9_-]+(\.?[A-Za-z0-9_-]+)*"}
"""A bucket with dots has no certificate of its own under https://bucket.s3...: it is not taken."""
ORGANIZATION: Final = r"o-[a-z0-9]{10,32}"
BLOCKED: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
TYPES: Final = {".json": "application/json", ".zip": "application/zip"}


class CannotPublish(Exception):
    """The bucket, its policy or an object in it is not as it must be; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a release goes: *suffix* is the domain of the partition, such as amazonaws.com."""

    bucket: str
    prefix: str
    region: str
    account: str
    suffix: str = "amazonaws.com"
    partition: str = "aws"

    def url(self, key: str) -> str:
        """Return the URL by which CloudFormation reads an object."""
        return f"https://{self.bucket}.s3.{self.region}.{self.suffix}/{key}"


@dataclass(frozen=True, slots=True)
class Release:
    """*assets* and *templates* by their key, in the order of writing; *folder* is the key of the top templates' own."""

    folder: str
    assets: Mapping[str, bytes]
    templates: Mapping[str, bytes]


@dataclass(slots=True)
class Published:
    """What a call wrote: keys of objects, and whether the policy changed."""

    release: Release
    written: list[str] = field(default_factory=list)
    policy_changed: bool = False


# ------------------------------------------------------------------------------------------------------------- release
def release_of(assembly: Path, place: Place) -> Release:
    """
    Return what a cloud assembly is in the bucket: every reference into a bootstrap bucket leads to *place* instead.

    Raises CannotPublish where one is left that is not understood.
    """
    sources: dict[str, Path] = {}
    tops: dict[str, Path] = {}
    for manifest in sorted(assembly.glob("*.assets.json")):
        for asset in json.loads(manifest.read_text())["files"].values():
            for destination in asset["destinations"].values():
                sources[destination["objectKey"]] = assembly / asset["source"]["path"]
    for name, artifact in json.loads((assembly / "manifest.json").read_text())["artifacts"].items():
        if artifact["type"] == "aws:cloudformation:stack":
            tops[name] = assembly / artifact["properties"]["templateFile"]
    assets: dict[str, bytes] = {}

    def stored(object_key: str) -> str:
        """Return the key in the bucket of what has *object_key* in the assembly."""
        path = sources.get(object_key)
        if path is None:
            raise CannotPublish(f"a template names the asset {object_key}, which the assembly does not have")
        content = rewritten(path) if path.suffix == ".json" else path.read_bytes()
        key = f"{place.prefix}/assets/{hashlib.sha256(content).hexdigest()}{path.suffix}"
        assets[key] = content
        return key

    def rewritten(path: Path) -> bytes:
        text = json.dumps(_rewritten(json.loads(path.read_text()), stored, place), separators=(",", ":"))
        if BOOTSTRAP in text:
            raise CannotPublish(f"{path.name}: a reference to the bootstrap bucket is left")
        return text.encode()

    contents = {f"{name}.template.json": rewritten(path) for name, path in sorted(tops.items())}
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + content for name, content in contents.items()))
    folder = f"{place.prefix}/releases/{digest.hexdigest()[:32]}"
    return Release(folder, assets, {f"{folder}/{name}": content for name, content in contents.items()})


def _rewritten(value: Json, stored: Any, place: Place) -> Json:
    if isinstance(value, list):
        return [_rewritten(item, stored, place) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() >= {"S3Bucket", "S3Key"} and BOOTSTRAP in json.dumps(value["S3Bucket"]):
        return {**value, "S3Bucket": place.bucket, "S3Key": stored(value["S3Key"])}
    made = {}
    for key, inner in value.items():
        if key == "TemplateURL" and BOOTSTRAP in json.dumps(inner):
            found = re.search(r"[0-9a-f]{64}\.json", json.dumps(inner))
            if found is None:
                raise CannotPublish(f"TemplateURL {json.dumps(inner)} has no object key")
            made[key] = place.url(stored(found[0]))
        else:
            made[key] = _rewritten(inner, stored, place)
    return made


# -------------------------------------------------------------------------------------------------------------- policy
def merged(policy: Mapping[str, Json] | None, place: Place, organization: str | None) -> dict[str, Json]:
    """
    Return the bucket policy with our statements in it and everything else as it was.

    Without *organization* what an earlier publishing let an organization read stays.
    """
    tag = re.sub("[^A-Za-z0-9]", "", place.prefix)
    objects = f"arn:{place.partition}:s3:::{place.bucket}/{place.prefix}/*"
    ours = [
        {
            "Sid": f"SharrTlsOnly{tag}",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": objects,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if organization is not None:
        ours.append(
            {
                "Sid": f"SharrOrganizationReads{tag}",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": objects,
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization}},
            }
        )
    by_sid = {statement["Sid"]: statement for statement in ours}
    there = (policy or {}).get("Statement", [])
    statements = [by_sid.pop(s.get("Sid"), s) for s in (there if isinstance(there, list) else [there])]
    return {"Version": "2012-10-17", **(policy or {}), "Statement": [*statements, *by_sid.values()]}


# -------------------------------------------------------------------------------------------------------------- bucket
class Bucket:
    """The bucket; each call says whose it has to be. Source: AmazonS3/latest/userguide/bucket-owner-condition.html"""

    def __init__(self, s3: Any, place: Place) -> None:
        self._s3 = s3
        self._place = place
        self._own = {"Bucket": place.bucket, "ExpectedBucketOwner": place.account}

    def create(self) -> None:
        """Make it unless it is there, with S3's own defaults (encrypted, no ACLs) and nothing public."""
        try:
            self._s3.head_bucket(**self._own)
        except ClientError as error:
            if _code(error) not in ("404", "NoSuchBucket"):
                raise CannotPublish(f"bucket {self._place.bucket}: {_code(error)}: it is another account's") from error
        else:
            return
        where = {"LocationConstraint": self._place.region}
        more = {} if self._place.region == "us-east-1" else {"CreateBucketConfiguration": where}
        self._s3.create_bucket(Bucket=self._place.bucket, **more)
        self._s3.put_public_access_block(**self._own, PublicAccessBlockConfiguration=dict.fromkeys(BLOCKED, True))

    def check(self) -> None:
        """Raise CannotPublish where it is not there, not ours, elsewhere, or could be public."""
        name, account = self._place.bucket, self._place.account
        try:
            answer = self._s3.head_bucket(**self._own)
        except ClientError as error:
            if _code(error) in ("404", "NoSuchBucket"):
                raise CannotPublish(f"there is no bucket {name}: say --create, or make one") from error
            raise CannotPublish(
                f"bucket {name}: {_code(error)}: it belongs to another account than {account}, or may not be read"
            ) from error
        region = answer.get("BucketRegion") or self._location()
        if region != self._place.region:
            raise CannotPublish(
                f"bucket {name} is in {region}: sharr-admin in {self._place.region} takes no code there"
            )
        try:
            block = self._s3.get_public_access_block(**self._own)["PublicAccessBlockConfiguration"]
        except ClientError as error:
            if _code(error) != "NoSuchPublicAccessBlockConfiguration":
                raise
            block = {}
        if missing := [key for key in BLOCKED if block.get(key) is not True]:
            raise CannotPublish(f"bucket {name} could be public: switch on {', '.join(missing)} (S3.8), then again")

    def _location(self) -> str:
        return self._s3.get_bucket_location(**self._own).get("LocationConstraint") or "us-east-1"

    def put(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there; return whether it was written. Raises CannotPublish for another one."""
        if self._has(key, content):
            return False
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        try:
            self._s3.put_object(
                **self._own,
                Key=key,
                Body=content,
                ContentType=TYPES[Path(key).suffix],
                ChecksumSHA256=digest,
                IfNoneMatch="*",
            )
        except ClientError as error:
            # Somebody else published the same at the same time.
            if _code(error) in ("PreconditionFailed", "412") and self._has(key, content):
                return False
            raise
        return True

    def _has(self, key: str, content: bytes) -> bool:
        try:
            found = self._s3.get_object(**self._own, Key=key)["Body"].read()
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404"):
                return False
            raise
        if found != content:
            raise CannotPublish(f"{key} has another content than its name says: somebody changed it; delete it first")
        return True

    def set_policy(self, organization: str | None) -> bool:
        """Bring the bucket policy to what is needed; return whether it was changed."""
        try:
            before = json.loads(self._s3.get_bucket_policy(**self._own)["Policy"])
        except ClientError as error:
            if _code(error) != "NoSuchBucketPolicy":
                raise
            before = None
        wanted = merged(before, self._place, organization)
        if wanted == before:
            return False
        self._s3.put_bucket_policy(**self._own, Policy=json.dumps(wanted))
        return True


def publish(s3: Any, assembly: Path, place: Place, organization: str | None) -> Published:
    """Bring the bucket to what an assembly needs: policy, then assets, then top templates. Raises CannotPublish."""
    bucket = Bucket(s3, place)
    bucket.check()
    done = Published(release_of(assembly, place))
    done.policy_changed = bucket.set_policy(organization)
    for objects in (done.release.assets, done.release.templates):
        done.written += [key for key, content in objects.items() if bucket.put(key, content)]
    return done


# ------------------------------------------------------------------------------------------------------------ commands
def commands(place: Place, release: Release, local: str, organization: str | None) -> str:
    """Return the commands that deploy a release, for people; *local* is the folder with the same top templates."""
    folder = place.url(release.folder)
    org, region = organization or "", place.region
    named = f"OrganizationId={org or '<o-...>'}"
    flat = sorted(Path(key).name for key in release.templates if "sharr-member-flat" in key)
    by_hand = " ".join(
        f"ParameterKey={key},ParameterValue={value}"
        for key, value in (("SecHubAdminAccount", place.account), ("OrganizationId", org))
        if value
    )
    lines = [
        f"Published to s3://{place.bucket}/{release.folder}",
        "",
        f"1. sharr-admin, as {place.account} (the delegated administrator of Security Hub), new or an update:",
        f"aws cloudformation deploy --region {region} --stack-name sharr-admin --capabilities CAPABILITY_NAMED_IAM"
        f" --template-file {local}/sharr-admin.template.json"
        f" --s3-bucket {place.bucket} --s3-prefix {place.prefix}/deploy"
        + (f" --parameter-overrides OrganizationId={org}" if org else ""),
        "",
        "2. sharr-rollout, in the management account, once after `aws cloudformation activate-organizations-access`:",
        f"aws cloudformation deploy --region {region} --stack-name sharr-rollout"
        f" --template-file {local}/sharr-rollout.template.json --parameter-overrides TemplatesUrl={folder}"
        f" SecHubAdminAccount={place.account} HomeRegion={region} {named}"
        f" OrganizationalUnitIds=<r-... or ou-...,ou-...> MemberRegions={region}",
        "",
        "The management account itself (no StackSet reaches it), or an account without an organization:",
        f"aws cloudformation create-stack --region {region} --stack-name sharr-member-roles"
        f" --capabilities CAPABILITY_NAMED_IAM --template-url {folder}/sharr-member-roles.template.json"
        f" --parameters {by_hand}",
        "",
        "All templates, for the console:",
        *(f"  {place.url(key)}" for key in release.templates),
    ]
    if len(flat) > 1:
        lines.append("The member-flat templates with a number need no parameters.")
    if organization is None:
        lines.append("Other accounts cannot read these URLs: publish with --organization, and they can.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Synthesize, publish, print the commands; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        session = boto3.Session()
        region = options.region or session.region_name
        if not region:
            raise CannotPublish("in which Region? Say --region, or set AWS_REGION")
        partition = session.get_partition_for_region(region)
        account = session.client("sts", region_name=region).get_caller_identity()["Account"]
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        place = Place(options.bucket, options.prefix, region, account, suffix, partition)
        s3 = session.client("s3", region_name=region)
        if options.create:
            Bucket(s3, place).create()
        Bucket(s3, place).check()
        with tempfile.TemporaryDirectory() as scratch:
            done = publish(s3, synthesized(Path(scratch), options.flat), place, options.organization)
    except (CannotPublish, BotoCoreError, ClientError, ValueError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    local = ROOT / "build" / "published"
    local.mkdir(parents=True, exist_ok=True)
    for key, content in done.release.templates.items():
        (local / Path(key).name).write_bytes(content)
    print(f"{len(done.written)} objects written; bucket policy {'changed' if done.policy_changed else 'unchanged'}.")
    print(commands(place, done.release, str(local.relative_to(ROOT)), options.organization))
    return 0


def synthesized(scratch: Path, flat: str) -> Path:
    """Return the folder with the cloud assembly of the sources as they are."""
    os.environ.setdefault("CDK_VALIDATION", "false")  # `make templates` judges
    import app

    folder = scratch / "cdk.out"
    app.build(folder, flat=flat).synth()
    return folder


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stacks.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def matching(pattern: str, hint: str) -> Any:
        def take(given: str) -> str:
            if not re.fullmatch(pattern, given, re.ASCII):
                raise argparse.ArgumentTypeError(f"{given!r} is not {hint}")
            return given

        return take

    parser.add_argument("--bucket", required=True, type=matching(NAMES["bucket"], "a bucket name without dots"))
    parser.add_argument("--prefix", default="sharr", type=matching(NAMES["prefix"], "letters, digits, - and _"))
    parser.add_argument("--organization", type=matching(ORGANIZATION, "o-..."), help="its accounts may read the prefix")
    parser.add_argument("--region", help="of the bucket and of sharr-admin; default: the session's")
    parser.add_argument("--flat", choices=("default", "all"), default="default", help="runbooks in member-flat")
    parser.add_argument("--create", action="store_true", help="make the bucket first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
