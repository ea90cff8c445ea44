"""The file that `stateroom design init` writes: every field, with what it means. Rules of this file: data; NAME is
replaced by the app's name as JSON; a test reads it with the reader."""

from __future__ import annotations

from typing import Final

TEXT: Final = """\
# A design of what a Slack app remembers. `stateroom design check` says what it would run into,
# `stateroom design build --out out` writes schemas, access map and runbooks. JSON is taken, too.
app:
  name: NAME
  target: slack-hosted        # where its state lives: slack-hosted, self-hosted, or mixed (what needs more is moved)
  workspaces: 1               # that install it

entities:
  request:
    key: request_id           # one attribute, or a recipe of several: [team_id, kind, number]
    attributes:               # a type alone, or a type with sizes; types are Slack's, without slack#/types/
      request_id: {type: string, avg_bytes: 36}
      status: {type: string, values: [open, approved, rejected]}
      requester: {type: user_id, personal: true, required: true}   # personal: what erasure looks for
      body: {type: string, avg_bytes: 900, max_bytes: 6000}
      created_at: {type: timestamp, required: true}
    lifecycle:                # which state may follow which
      attribute: status
      transitions: {open: [approved, rejected]}
    volume:                   # of the whole app
      initial: 2000
      per_day: 120
      peak_per_minute: 10
    retention: {after: created_at, days: 90, mode: hard}           # soft: marked and kept
    isolation: workspace      # or app

access_patterns:              # per_minute: runs in the busiest minute of the busiest workspace
  - {name: open a request, entity: request, kind: put, per_minute: 10}
  - {name: read a request, entity: request, kind: get, per_minute: 20, max_ms: 1000}
  - {name: approve, entity: request, kind: transition, from: open, to: approved, per_minute: 5, concurrent: true}
  - {name: reject, entity: request, kind: transition, from: open, to: rejected, per_minute: 2, concurrent: true}
  - name: my open requests
    entity: request
    kind: list                # get list search count aggregate top join unique
    where: "requester = :u AND status = 'open'"
    order: created_at desc
    expected_items: 5
    per_minute: 5
  - {name: nightly backup, entity: request, kind: export, per_day: 1}
    # put update transition increment append delete bulk sweep export

compliance:
  erasure: true               # a person may ask to be forgotten
  audit: false                # each change is recorded
  # residency: eu             # go or no-go is told
  # encryption: [request.body]
"""
