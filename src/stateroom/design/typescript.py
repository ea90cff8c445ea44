"""TypeScript that runs on Slack, from a plan: datastores, jobs with their workflows and triggers, claims, retries.

Rules of this file: pure; equal plans give equal files. The code is the same in every project (typescript_*.py have its
texts); names of yours stand in datastores/*.ts, plan.ts, changes.ts and manifest.ts alone, as quoted strings. What a
plan does not ask for is not written: no sweep where nothing is swept, nothing at all where no datastore is Slack's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from stateroom.design import typescript_claim, typescript_copies, typescript_export, typescript_jobs, typescript_rebuild
from stateroom.design.entities import definition_of
from stateroom.design.parts import Fill, Plan
from stateroom.design.typescript_functions import ALL, files_of
from stateroom.design.typescript_plan import Tables, changes_module, literal, plan_module, tables
from stateroom.design.typescript_retry import RETRY
from stateroom.model.definition import Definition
from stateroom.model.schema.names import Names, capitals
from stateroom.model.schema.typescript import ICON, module

# What tests type-check the generated projects against.
SDK: Final = "https://deno.land/x/deno_slack_sdk@2.15.1/"
API: Final = "https://deno.land/x/deno_slack_api@2.8.0/"
_FOR_JOB: Final[Mapping[str, Mapping[str, str]]] = {
    "sweep": {"sweep.ts": typescript_jobs.SWEEP},
    "backfill": {"backfill.ts": typescript_jobs.BACKFILL},
    "export": {
        "export.ts": typescript_export.EXPORT,
        "restore.ts": typescript_export.RESTORE,
        "scripts/restore.ts": typescript_export.RESTORE_SCRIPT,
    },
    "copies": {"copies.ts": typescript_copies.COPIES},
    "rebuild": {"rebuild.ts": typescript_rebuild.REBUILD},
}
_NOT_WORDS: Final = re.compile(r"[^a-z0-9]+")


def typescript_files(plan: Plan, fills: Iterable[Fill] = ()) -> Mapping[str, str]:
    """The project, path to text, in the order of the paths; empty when no datastore of the plan is Slack's.

    `fills`: what a backfill sets (design/diff.py knows it). InvalidDefinition for names that Slack's SDK cannot keep,
    KeyError for a fill of a datastore that is not there.
    """
    definitions = [definition_of(one, plan.design) for one in plan.stores if one.home == "slack"]
    if not definitions:
        return {}
    of = tables(plan)
    stores = _modules(definitions)
    files = {f"datastores/{name}.ts": text for name, (_, text) in stores.items()}
    files |= _code(of)
    if "backfill" in of.jobs:
        files["changes.ts"] = changes_module(plan, fills)
    files["manifest.ts"] = _manifest(plan.design.app.name, {n: constant for n, (constant, _) in stores.items()}, of)
    files["deno.json"] = json.dumps({"imports": {"deno-slack-sdk/": SDK, "deno-slack-api/": API}}, indent=2) + "\n"
    return dict(sorted(files.items()))


def _modules(definitions: Iterable[Definition]) -> Mapping[str, tuple[str, str]]:
    """File name (without its end) to the constant and the text of each datastore."""
    files, constants = Names(), Names("DefineDatastore", "DefineType", "Schema", "Manifest")
    found = {}
    for one in definitions:
        name = files.free(_NOT_WORDS.sub("_", one.name.lower()).strip("_") or "datastore")
        constant = constants.free(capitals(one.name, "Some") + "Datastore")
        found[name] = (constant, module(one, constant))
    return found


def _code(of: Tables) -> dict[str, str]:
    """The code that the tables ask for; where there is none, calls that retry are all."""
    files = {"retry.ts": RETRY, "plan.ts": plan_module(of)}
    if of.jobs:
        files["jobs.ts"] = typescript_jobs.JOBS
    for job in of.jobs:
        files |= {**_FOR_JOB[job], **files_of(ALL[job])}
    if of.claims:
        files["claim.ts"] = typescript_claim.CLAIM
    if of.claims or {"rebuild", "sweep"} & set(of.jobs):
        files["keys.ts"] = typescript_claim.KEYS
    return files


def _manifest(name: str, constants: Mapping[str, str], of: Tables) -> str:
    scopes = ["datastore:read", "datastore:write", *(["files:write"] if "export" in of.jobs else [])]
    workflows = {job: f"{ALL[job].title}Workflow" for job in of.jobs}
    return "".join(
        (
            "// Made by `stateroom design build`. Add your own functions and workflows here.\n",
            'import { Manifest } from "deno-slack-sdk/mod.ts";\n',
            *(f'import {{ {constant} }} from "./datastores/{file}.ts";\n' for file, constant in constants.items()),
            *(f'import {{ {constant} }} from "./workflows/{job}.ts";\n' for job, constant in workflows.items()),
            "\nexport default Manifest({\n",
            f"  name: {literal(name)},\n",
            f"  description: {literal(f'{name}, as its design says.'[:140])},\n",
            f"  icon: {literal(ICON)},\n",
            "  functions: [],\n",  # those of workflows are found by the SDK
            f"  workflows: [{', '.join(workflows.values())}],\n",
            f"  datastores: [{', '.join(constants.values())}],\n",
            f"  outgoingDomains: {literal(['files.slack.com'] if 'export' in of.jobs else [])},\n",
            f"  botScopes: {literal(scopes)},\n",
            "});\n",
        )
    )
