"""The table as infrastructure code: a CloudFormation template or Terraform, each with the two policies.

Rules of this file: pure. The table is that of `dynamodb_apply.definition`; a backup or an alarm may stand beside it.
`stateroom migrate apply` then only writes the catalogue into it. The policies name no account and no region: they are
of this table and its indexes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from stateroom.engines.dynamodb_apply import definition

FORMATS: Final = ("cloudformation", "terraform")
USING: Final = (
    "BatchGetItem",
    "BatchWriteItem",
    "ConditionCheckItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "UpdateItem",
)
MIGRATING: Final = ("CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateTable", "UpdateTimeToLive")


def policy(actions: tuple[str, ...], resources: list[Any]) -> dict[str, Any]:
    """A policy that allows nothing else."""
    allowed = {"Effect": "Allow", "Action": [f"dynamodb:{one}" for one in actions], "Resource": resources}
    return {"Version": "2012-10-17", "Statement": [allowed]}


def template(form: str, table: str, slots: int) -> str:
    """The text in one of FORMATS; `slots`: how many indexes it has beside the one of expiry."""
    body = definition(table, slots)
    return _cloudformation(body) if form == "cloudformation" else _terraform(body)


def _cloudformation(body: Mapping[str, Any]) -> str:
    arn = {"Fn::GetAtt": ["Table", "Arn"]}
    of_all = [arn, {"Fn::Sub": "${Table.Arn}/index/*"}]
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    properties = {
        **body,
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    resources = {
        "Table": {"Type": "AWS::DynamoDB::Table", **kept, "Properties": properties},
        "AppPolicy": _managed("What a Stateroom app may do with its table", policy(USING, of_all)),
        "MigratePolicy": _managed("What `stateroom migrate apply` needs beside it", policy(MIGRATING, of_all)),
    }
    outputs: dict[str, Any] = {"TableArn": {"Value": arn}}
    outputs |= {f"{name}Arn": {"Value": {"Ref": name}} for name in ("AppPolicy", "MigratePolicy")}
    whole = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A Stateroom store in one DynamoDB table",
        "Resources": resources,
        "Outputs": outputs,
    }
    return json.dumps(whole, indent=2) + "\n"


def _managed(words: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"Description": words, "PolicyDocument": document}}


def _terraform(body: Mapping[str, Any]) -> str:
    lines = ['resource "aws_dynamodb_table" "stateroom" {']
    lines += [f'  name         = "{body["TableName"]}"', f'  billing_mode = "{body["BillingMode"]}"']
    lines += ['  hash_key     = "pk"', '  range_key    = "sk"', ""]
    for one in body["AttributeDefinitions"]:
        lines += [
            "  attribute {",
            f'    name = "{one["AttributeName"]}"',
            f'    type = "{one["AttributeType"]}"',
            "  }",
        ]
    for index in body["GlobalSecondaryIndexes"]:
        part, sort = (key["AttributeName"] for key in index["KeySchema"])
        lines += ["  global_secondary_index {", f'    name            = "{index["IndexName"]}"']
        lines += [f'    hash_key        = "{part}"', f'    range_key       = "{sort}"']
        lines += [f'    projection_type = "{index["Projection"]["ProjectionType"]}"', "  }"]
    lines += ["  ttl {", '    attribute_name = "ttl"', "    enabled        = true", "  }"]
    lines += ["  point_in_time_recovery {", "    enabled = true", "  }"]
    lines += ["  lifecycle {", "    prevent_destroy = true", "  }", "}"]
    for name, actions in (("app", USING), ("migrate", MIGRATING)):
        lines += ["", *_document(name, actions)]
    return "\n".join(lines) + "\n"


def _document(name: str, actions: tuple[str, ...]) -> list[str]:
    table = "aws_dynamodb_table.stateroom"
    return [
        f'data "aws_iam_policy_document" "stateroom_{name}" {{',
        "  statement {",
        "    actions = [",
        *(f'      "dynamodb:{one}",' for one in actions),
        "    ]",
        f'    resources = [{table}.arn, "${{{table}.arn}}/index/*"]',
        "  }",
        "}",
        "",
        f'resource "aws_iam_policy" "stateroom_{name}" {{',
        f'  name   = "${{{table}.name}}-{name}"',
        f"  policy = data.aws_iam_policy_document.stateroom_{name}.json",
        "}",
    ]
