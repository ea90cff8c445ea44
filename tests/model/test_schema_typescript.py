"""TypeScript from definitions: it type-checks and runs against Slack's SDK, whose manifest then equals ours."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from stateroom.model.attributes import TYPES, Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition
from stateroom.model.schema import typescript
from stateroom.model.schema.manifest import manifest_of, read
from support.definitions import ODD, apps
from support.node import Workspace

STRICT = ("--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck", "--outDir", "out")
EXPORT = """
const found = [];
for (const file of process.argv.slice(2)) found.push((await import(file)).default);
console.log(JSON.stringify(found));
"""


def some_apps(count: int) -> list[list[Definition]]:
    """Always the same ones; only those whose names the SDK can keep."""
    found: list[list[Definition]] = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(apps())
    def collect(app: list[Definition]) -> None:
        with suppress(InvalidDefinition):
            typescript.write(app)
            found.append(app)

    collect()
    return found


def everything() -> list[Definition]:
    """Every type, every odd name, a custom type inside of items, of a type, of a property."""
    leaf = Attribute("string", values=("a", 'b"', "\u2028"), custom='a "type"')
    nested = Attribute("object", properties={"leaf": leaf, "n": Attribute("integer", required=True)}, custom="Nested")
    key = {"id": Attribute("string", required=True, description='"it\'s" \\ ${x} `y` */ //')}
    kinds = {kind: Attribute(kind) for kind in TYPES}
    odd = {name: Attribute("string") for name in ODD if name != "id"}
    deep = {
        "in items": Attribute("array", items=nested),
        "itself": nested,
        "in a property": Attribute("object", properties={"type": leaf, "items": Attribute("array", items=leaf)}),
        "when": Attribute("slack#/types/timestamp"),
    }
    return [
        Definition("kinds", "id", key | kinds),
        Definition("odd", "id", key | odd),
        Definition("deep", "id", key | deep, ttl="when"),
        Definition("Deep", "id", key),
        Definition("DefineType", "id", key),
    ]


def exported(node: Workspace, modules: dict[str, str]) -> list[dict[str, Any]]:
    """What the SDK exports for each module, after the compiler found nothing wrong."""
    for name, text in modules.items():
        node.write(f"{name}.ts", text.replace('"deno-slack-sdk/mod.ts"', '"@slack/deno-slack-sdk"'))
    checked = node.tsc(*STRICT, *(f"{name}.ts" for name in modules))
    assert checked.returncode == 0, checked.stdout
    ran = node.node(node.write("export.js", EXPORT), *(f"./out/{name}.js" for name in modules))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""  # the SDK warns there when a scope is missing
    manifests: list[dict[str, Any]] = json.loads(ran.stdout)
    return manifests


@pytest.mark.service
def test_slack_s_sdk_exports_the_manifest_that_we_write(node_workspace: Workspace) -> None:
    given = [everything(), *some_apps(20)]
    assert len(given) > 12
    found = exported(node_workspace, {f"app{n}": typescript.write(app) for n, app in enumerate(given)})
    for app, manifest in zip(given, found, strict=True):
        assert manifest == manifest_of(app, icon=typescript.ICON)


@pytest.mark.service
def test_the_compiler_sees_what_is_wrong(node_workspace: Workspace) -> None:
    """So that the test above can fail: the SDK's types do look at our text."""
    wrong = typescript.write(everything()).replace('primary_key: "id"', 'primary_key: "nothing"', 1)
    node_workspace.write("wrong.ts", wrong.replace('"deno-slack-sdk/mod.ts"', '"@slack/deno-slack-sdk"'))
    checked = node_workspace.tsc(*STRICT, "wrong.ts")
    assert checked.returncode != 0
    assert '"nothing"' in checked.stdout


PROJECT = """
import { DefineDatastore, DefineFunction, DefineType, Manifest, Schema } from "@slack/deno-slack-sdk";

const Tag = DefineType({
  title: "A tag", name: "Tag", type: Schema.types.object,
  properties: { label: { type: Schema.types.string, minLength: 1 } }, required: ["label"],
});
const Answer = DefineType({ name: "Answer", type: Schema.types.string });
const Tickets = DefineDatastore({
  name: "tickets", primary_key: "key", time_to_live_attribute: "expires",
  attributes: {
    key: { type: Schema.types.string, required: true },
    owner: { type: Schema.slack.types.user_id },
    tag: { type: Tag },
    tags: { type: Schema.types.array, items: { type: Tag } },
    expires: { type: Schema.slack.types.timestamp },
  },
});
const Ask = DefineFunction({
  callback_id: "ask", title: "Ask", source_file: "functions/ask.ts",
  input_parameters: { properties: { answer: { type: Answer } }, required: [] },
});
export default Manifest({
  name: "Ticketer", description: "Keeps tickets", icon: "icon.png", functions: [Ask], workflows: [],
  outgoingDomains: ["example.com"], datastores: [Tickets], botScopes: ["datastore:read", "datastore:write"],
});
"""


@pytest.mark.service
def test_a_project_of_slack_s_own_is_read(node_workspace: Workspace) -> None:
    """As people write them: types found by the SDK, functions with types of their own, words that we do not keep."""
    (manifest,) = exported(node_workspace, {"manifest": PROJECT})
    tag = Attribute("object", properties={"label": Attribute("string", required=True)}, custom="Tag")
    attributes = {
        "key": Attribute("string", required=True),
        "owner": Attribute("slack#/types/user_id"),
        "tag": tag,
        "tags": Attribute("array", items=tag),
        "expires": Attribute("slack#/types/timestamp"),
    }
    reading = read(manifest)
    assert reading.definitions == [Definition("tickets", "key", attributes, ttl="expires")]
    assert reading.notes == [
        "types.Tag: title is not kept",
        "types.Tag: minLength is not kept",
        "types.Answer is not kept: no datastore uses it",
    ]


def test_a_module_reads_as_one_would_write_it() -> None:
    tag = Attribute("object", properties={"label": Attribute("string", required=True)}, custom="Tag")
    attributes = {"id": Attribute("string"), "tags": Attribute("array", items=tag), "2nd": Attribute("object")}
    assert typescript.write([Definition("tickets", "id", attributes)], name="Ticketer", description="x") == WRITTEN


WRITTEN = """\
// Made by `stateroom datastore schema --format ts`.
import { DefineDatastore, DefineType, Manifest, Schema } from "deno-slack-sdk/mod.ts";

export const TagType = DefineType({
  name: "Tag",
  type: Schema.types.object,
  properties: {
    label: { type: Schema.types.string },
  },
  required: ["label"],
});

export const TicketsDatastore = DefineDatastore({
  name: "tickets",
  primary_key: "id",
  attributes: {
    id: { type: Schema.types.string },
    tags: {
      type: Schema.types.array,
      items: { type: TagType },
    },
    "2nd": { type: Schema.types.object },
  },
});

export default Manifest({
  name: "Ticketer",
  description: "x",
  icon: "assets/default_new_app_icon.png",
  types: [TagType],
  datastores: [TicketsDatastore],
  outgoingDomains: [],
  botScopes: ["datastore:read", "datastore:write"],
});
"""


def test_each_name_has_an_identifier_of_its_own() -> None:
    text = typescript.write(everything())
    constants = re.findall(r"^export const (\w+) =", text, re.M)
    assert constants == [
        *("ATypeType", "NestedType", "KindsDatastore", "OddDatastore", "DeepDatastore", "DeepDatastore2"),
        "DefineTypeDatastore",
    ]
    assert f"datastores: [{', '.join(constants[2:])}]" in text


def test_a_custom_type_never_takes_the_sdk_s_own_name() -> None:
    one = Definition("a", "id", {"id": Attribute("string"), "x": Attribute("string", custom="Define")})
    text = typescript.write([one])
    assert "export const DefineType2 = DefineType({" in text
    assert "type: DefineType2" in text


@pytest.mark.parametrize("name", ["constructor", "toString", "valueOf", "__proto__", "slack#/types/x", "a#/b"])
def test_names_that_the_sdk_cannot_keep_are_refused(name: str) -> None:
    custom = Definition("a", "id", {"id": Attribute("string"), "x": Attribute("string", custom=name)})
    with pytest.raises(InvalidDefinition, match=re.escape(f"{name}: Slack's SDK")):
        typescript.write([custom])


def test_a_datastore_named_like_a_method_of_objects_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="constructor: Slack's SDK cannot have a datastore of this name"):
        typescript.write([Definition("constructor", "id", {"id": Attribute("string")})])


def test_what_a_reader_cannot_see_is_escaped() -> None:
    assert typescript.text("a\u202eb\u2028\ufeff\x7f\n日") == '"a\\u202eb\\u2028\\ufeff\\u007f\\n日"'
