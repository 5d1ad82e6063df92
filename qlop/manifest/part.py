"""Set the rules that every mapping of a manifest follows."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Part(BaseModel):
    """A mapping of a manifest: strict, closed, frozen, with camelCase keys."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, use_enum_values=True
    )
