"""The rule that a bucket needs: parts of uploads that nobody finished are deleted by the bucket itself."""

from typing import Any

from botocore.exceptions import ClientError

from service.storage.s3 import Bucket

RULE = "ownhand-unfinished-uploads"
DAYS = 1
_NONE = "NoSuchLifecycleConfiguration"


def set_rule(bucket: Bucket) -> str:
    """Give the bucket the rule, beside those that it has; a sentence that says so."""
    rules = [rule for rule in _rules(bucket) if rule.get("ID") != RULE]
    mine = {
        "ID": RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": bucket.prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": DAYS},
    }
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": [*rules, mine]}
    )
    return f"{bucket.name} deletes uploads under {bucket.prefix or 'any key'} that nobody finished within {DAYS} day"


def look_for_rule(bucket: Bucket) -> str:
    """Whether a rule deletes unfinished uploads, as a sentence with the way out."""
    try:
        rules = _rules(bucket)
    except ClientError as error:
        return f"whether it deletes unfinished uploads cannot be seen ({error.response['Error'].get('Code')})"
    if any(_is_one(rule, bucket.prefix) for rule in rules):
        return "it deletes unfinished uploads by itself"
    return "no rule deletes unfinished uploads, whose parts are kept and paid for: `ownhand set-up-bucket` adds one"


def _is_one(rule: dict[str, Any], prefix: str) -> bool:
    what = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    return rule["Status"] == "Enabled" and "AbortIncompleteMultipartUpload" in rule and prefix.startswith(what)


def _rules(bucket: Bucket) -> list[dict[str, Any]]:
    try:
        return list(bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"])
    except ClientError as error:
        if error.response["Error"].get("Code") == _NONE:
            return []
        raise
