"""The base of the schema's parts."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of the schema's parts: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
