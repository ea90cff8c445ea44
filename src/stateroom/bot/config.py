"""What the bot is told: one frozen record, handed down by `cli` (which alone reads environment and files).

Rules of this file: numbers say their unit and where they come from; secrets never show in a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stateroom.model.content import FULL, Content
from stateroom.model.sealing import Keyring
from stateroom.slack.features import LEAST, scopes
from stateroom.slack.prompts import Prompt


@dataclass(frozen=True, slots=True)
class BotConfig:
    """Settings of ingress and worker. Seconds are floats."""

    store: str = "sqlite:///stateroom.db"
    threads: str = ""  # another store for conversations alone; empty: they are in the store
    keys: Keyring | None = field(default=None, repr=False)  # for encrypted attributes
    kms: str = ""  # the key service for the keys of people's words
    encrypt_content: bool = False
    content: Content = FULL
    signing_secret: str = field(default="", repr=False)
    bot_token: str = field(default="", repr=False)  # empty: installed teams only
    app_token: str = field(default="", repr=False)  # empty: events come over HTTP alone
    features: tuple[str, ...] = LEAST
    prompts: tuple[Prompt, ...] = ()  # suggested where a conversation is opened
    slack_api_url: str = "https://slack.com/api/"
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = tuple(scopes(LEAST))  # that an install asks for
    user_scopes: tuple[str, ...] = ()
    public_url: str = ""  # where browsers reach us; empty: the address they asked, on this machine alone
    uninstall_seconds: float = 0.0  # between an uninstall and the erase of everything of the workspace
    model: str = "offline"
    models: tuple[str, ...] = ()  # the allow-list; empty: only `model`
    lease_seconds: float = 10.0  # a crash delays an answer by at most 30 s: lease, poll, answer again
    poll_seconds: float = 0.2  # how soon another process's message is seen
    concurrency: int = 16  # conversations answered at once by one worker
    max_attempts: int = 4
    backoff_seconds: float = 1.0  # doubled for each attempt, jittered, at most 60 s
    model_url: str = ""  # where the provider is; empty: at its own address
    model_control_url: str = ""  # Bedrock's control plane, which `doctor` asks
    model_region: str = ""  # an AWS region: requests go there, and no profile may leave its geography
    model_stream: bool = True  # whether the answer is asked for in pieces
    model_connect_seconds: float = 5.0
    model_first_seconds: float = 30.0  # until the first word, and between any two pieces
    model_seconds: float = 120.0  # patience with one answer of the model
    retry_seconds: float = 120.0  # how long after its first failure a turn is tried again
    max_prompt: int = 4000  # code points
    max_output_tokens: int = 1024
    temperature: float = 1.0
    guardrail: str = ""  # Bedrock's, as id:version
    feedback: bool = False  # whether two buttons to judge it stand below each answer
    window_tokens: int = 8000
    window_limit: int = 50  # messages
    stream_interval: float = 0.5  # between two appends to a Slack stream
    offline_pace: float = 0.03  # between two words of the offline responder
    sweep_seconds: float = 300.0  # between two sweeps of what has expired; 0: the worker does not sweep
    kept_seconds: float = 7 * 86400.0  # how long a finished turn is remembered for dedup and `turns list`

    @property
    def surface(self) -> str:
        """Where in Slack it shows that it is at work: `agent`, `assistant`, or empty for the line under a thread."""
        return next((name for name in ("agent", "assistant") if name in self.features), "")
