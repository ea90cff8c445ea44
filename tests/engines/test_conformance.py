"""The suite that ships with the package, over the engines of conftest.py."""

# ruff: noqa: F403
from stateroom.engines.conformance.changes import *
from stateroom.engines.conformance.conditions import *
from stateroom.engines.conformance.crash import *
from stateroom.engines.conformance.expiry import *
from stateroom.engines.conformance.freezing import *
from stateroom.engines.conformance.gathering import *
from stateroom.engines.conformance.items import *
from stateroom.engines.conformance.lease import *
from stateroom.engines.conformance.logs import *
from stateroom.engines.conformance.packing import *
from stateroom.engines.conformance.pages import *
from stateroom.engines.conformance.races import *
from stateroom.engines.conformance.undeclared import *
from stateroom.engines.conformance.wakes import *
from stateroom.engines.conformance.walks import *
