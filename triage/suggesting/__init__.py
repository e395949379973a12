"""Suggestions asked of a language model, over the interface that OpenAI made common."""

from .asking import Plan, Settings, Suggested, carry_out, first_record, plan
from .endpoint import Endpoint, key_of_the_environment
from .prompt import Prompt, read_template

__all__ = [
    "Endpoint",
    "Plan",
    "Prompt",
    "Settings",
    "Suggested",
    "carry_out",
    "first_record",
    "key_of_the_environment",
    "plan",
    "read_template",
]
