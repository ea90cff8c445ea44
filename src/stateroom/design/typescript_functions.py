"""The functions, workflows and scheduled triggers of a generated project: one of each for each kind of job.

Rules of this file: the texts are made of constants of this file alone; what a job works on is in the project's plan.ts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Final


@dataclass(frozen=True)
class Job:
    """A kind of job. `work`: what its function awaits; `imports`: what that needs; `before`: statements before it."""

    name: str
    title: str
    description: str
    imports: str
    work: str
    before: str = ""
    context: str = "client"


ALL: Final[Mapping[str, Job]] = {
    one.name: one
    for one in (
        Job(
            "sweep",
            "Sweep",
            "Removes what has been kept long enough",
            'import { sweepAll } from "../sweep.ts";\n',
            "sweepAll(client, budget)",
        ),
        Job(
            "backfill",
            "Backfill",
            "Gives items what is new (changes.ts)",
            'import { backfillAll } from "../backfill.ts";\n',
            "backfillAll(client, budget)",
        ),
        Job(
            "export",
            "Export",
            "Writes all items into files, for recovery",
            'import { exportAll } from "../export.ts";\n',
            "exportAll(client, channel, budget)",
            "  const channel = env.EXPORT_CHANNEL;\n"
            '  if (!channel) return { error: "set the channel: slack env add EXPORT_CHANNEL C0123456789" };\n',
            "client, env",
        ),
        Job(
            "rebuild",
            "Rebuild",
            "Makes lookups right again",
            'import { rebuildAll } from "../rebuild.ts";\n',
            "rebuildAll(client, budget)",
        ),
        Job(
            "copies",
            "Copies",
            "Brings copied attributes over again",
            'import { copiesAll } from "../copies.ts";\n',
            "copiesAll(client, budget)",
        ),
    )
}

_FUNCTION: Final = Template("""\
// Made by `stateroom design build`.
import { DefineFunction, Schema, SlackFunction } from "deno-slack-sdk/mod.ts";
${imports}import { answerOf, SHARE } from "../jobs.ts";
import { Budget, RUN_MS } from "../retry.ts";

export const ${title}Function = DefineFunction({
  callback_id: "stateroom_${name}",
  title: "${title}",
  description: "${description}",
  source_file: "functions/${name}.ts",
  input_parameters: { properties: {}, required: [] },
  output_parameters: {
    properties: { done: { type: Schema.types.boolean }, touched: { type: Schema.types.integer } },
    required: ["done", "touched"],
  },
});

export default SlackFunction(${title}Function, async ({ ${context} }) => {
${before}  const budget = new Budget(RUN_MS, SHARE);
  return answerOf(await ${work});
});
""")
_WORKFLOW: Final = Template("""\
// Made by `stateroom design build`.
import { DefineWorkflow } from "deno-slack-sdk/mod.ts";
import { ${title}Function } from "../functions/${name}.ts";
import { STEPS } from "../plan.ts";

export const ${title}Workflow = DefineWorkflow({
  callback_id: "stateroom_${name}_workflow",
  title: "${title}",
  description: "${description}",
  input_parameters: { properties: {}, required: [] },
});

// Each step has a function's full time and goes on where the one before stopped; when nothing is left, it ends at once.
for (let step = 0; step < STEPS.${name}; step++) ${title}Workflow.addStep(${title}Function, {});
""")
_TRIGGER: Final = Template("""\
// Made by `stateroom design build`. Once after the first deploy: slack trigger create --trigger-def triggers/${name}.ts
import type { Trigger } from "deno-slack-api/types.ts";
import { ${title}Workflow } from "../workflows/${name}.ts";

// Each hour, so that what one hour does not finish the next one does; what is finished rests (jobs.ts).
const trigger: Trigger<typeof ${title}Workflow.definition> = {
  type: "scheduled",
  name: "${title}",
  description: "${description}",
  workflow: `#/workflows/$${${title}Workflow.definition.callback_id}`,
  inputs: {},
  schedule: {
    start_time: new Date(Date.now() + 120_000).toISOString(),
    timezone: "UTC",
    frequency: { type: "hourly", repeats_every: 1 },
  },
};

export default trigger;
""")


def files_of(job: Job) -> dict[str, str]:
    """The function, the workflow and the trigger of a job, by path."""
    given = {name: getattr(job, name) for name in job.__dataclass_fields__}
    kinds = {"functions": _FUNCTION, "workflows": _WORKFLOW, "triggers": _TRIGGER}
    return {f"{folder}/{job.name}.ts": template.substitute(given) for folder, template in kinds.items()}
