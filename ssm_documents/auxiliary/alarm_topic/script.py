"""The topic that alarms notify: one that the user names, or sharr-alarms of the account, told about by e-mail."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, as_json, call

NAME, TAG = "sharr-alarms", {"Key": "sharr", "Value": "alarm_topic"}


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Return arn, is (theirs, absent, ours, another's). The remediation adds heard, asked (who did not confirm)."""
    chosen = target["parameters"]["alarmTopicArn"]
    arn = f"arn:{target['partition']}:sns:{target['region']}:{target['account']}:{chosen or NAME}"
    if chosen:
        return {"arn": chosen if ":" in chosen else arn, "is": "theirs"}
    try:
        tags = aws.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NotFound", "ResourceNotFound"):
            raise
        return {"arn": arn, "is": "absent"}
    return {"arn": arn, "is": "ours" if TAG in tags else "another's"}


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make our topic and ask alarmEmail to subscribe, once."""
    arn, email, calls = facts["arn"], target["parameters"]["alarmEmail"], []
    if facts["is"] == "another's":
        raise CannotRepair(f"the topic {arn} is not ours", "delete it, or set alarmTopicArn")
    if facts["heard"]:
        return []
    if facts["is"] == "theirs":
        to_do = f"let somebody subscribe and confirm; it must be in {target['region']}"
        raise CannotRepair(f"the topic {arn} has no confirmed subscriber that we can see", to_do)
    if not email:
        raise CannotRepair("there is nobody to alarm", "set alarmTopicArn to a topic with a subscriber, or alarmEmail")
    if facts["is"] == "absent":
        # https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
        alarms = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish"}
        alarms |= {"Resource": arn, "Condition": {"StringEquals": {"aws:SourceAccount": target["account"]}}}
        policy = as_json({"Version": "2012-10-17", "Statement": [alarms]})
        new = {"Name": NAME, "Attributes": {"Policy": policy}, "Tags": [TAG]}
        calls.append(call("sns", "create_topic", new, kept="the topic stays: other alarms may use it"))
    if email not in facts["asked"]:
        who = {"TopicArn": arn, "Protocol": "email", "Endpoint": email}
        calls.append(call("sns", "subscribe", who, kept="the subscription stays; a link in each e-mail ends it"))
    return calls
