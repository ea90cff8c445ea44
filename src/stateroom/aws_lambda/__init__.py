"""Seed 002's shape on AWS Lambda: one function takes Slack's requests, another answers.

    stateroom.aws_lambda.ingress    behind API Gateway or a function URL: signature, one durable row, 200
    stateroom.aws_lambda.worker     called by the SQS queue that ingress tells of work, and by a schedule

Rules of this unit: it is an entry point as `stateroom` is, so it may ask cli for the settings; what the functions do is
the bot's. Nothing is kept between two invocations that another machine could not find in the store. docs/deploy.md and
deploy/aws/template.yaml set it up.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from stateroom.aws_lambda.functions import Ingress, Worker

__all__ = ["ingress", "worker"]


def ingress(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of API Gateway (payload 1.0 or 2.0) or of a function URL."""
    return _ingress().ingress(event)


def worker(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer what is due, until nothing is or the time ends. `event` is from SQS or from a schedule."""
    return _worker().work(event, context.get_remaining_time_in_millis() / 1000)


@cache
def _ingress() -> Ingress:
    """The function of this execution environment: made at the first call, used for all that follow."""
    return Ingress.from_environment()


@cache
def _worker() -> Worker:
    return Worker.from_environment()
