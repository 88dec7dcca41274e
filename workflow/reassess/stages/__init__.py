"""The kinds of stages: one file each, and the union of them."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from reassess.stages.base import AnyStage
from reassess.stages.grpo import GrpoStage
from reassess.stages.merge import MergeStage
from reassess.stages.rloo import RlooStage
from reassess.stages.select import SelectStage
from reassess.stages.sft import SftStage

Stage = Annotated[SftStage | GrpoStage | RlooStage | MergeStage | SelectStage, Field(discriminator="kind")]
KINDS: dict[str, type[AnyStage]] = {
    get_args(stage.model_fields["kind"].annotation)[0]: stage for stage in get_args(get_args(Stage)[0])
}
