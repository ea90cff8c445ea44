"""The assistant: ingress, the turn (a pure state machine as a table), the worker, the model."""
