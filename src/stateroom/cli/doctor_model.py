"""What `stateroom doctor` says of the model: whether it may be used, can be made, and is still there.

Rules of this file: the model is asked nothing, so nothing is billed; Bedrock's control plane is asked, in a thread.
"""

from __future__ import annotations

import asyncio

from stateroom.cli.doctor_finding import Finding
from stateroom.cli.settings import Settings
from stateroom.model.errors import WrongUse


async def model(found: Settings) -> list[Finding]:
    """Whether the model is allowed and can be made, and what Bedrock says of it."""
    if found.model == "offline":
        advice = "set STATEROOM_MODEL to have a language model answer"
        return [Finding("model", "ok", "offline: an honest responder without a model", advice)]
    from stateroom.bot import model as models
    from stateroom.bot import model_lifecycle

    config = found.bot_config()
    try:
        models.check_model(config)
        await asyncio.to_thread(models.probe_model, config)
    except WrongUse as refused:
        return [Finding("model", "wrong", str(refused), "see docs/model.md")]
    except ModuleNotFoundError:
        return [Finding("model", "wrong", "pydantic-ai is not installed", "pip install 'stateroom[bot]'")]
    standings = await asyncio.to_thread(model_lifecycle.standings, config)
    made = Finding("model", "ok", f"{found.model} can be made (it was not asked anything)")
    return [made, *(Finding("model lifecycle", *one) for one in standings)]
