"""What the section `models` declares: how models are learned, which pool judges them, and when the champion is replaced."""

from typing import Annotated, Literal

from pydantic import Field

from eddy.spec.declared import Declared, FalsePositives, FeatureNames, Many, Quantile, Rows
from eddy.spec.vocabulary import Level

Trees = Annotated[int, Field(ge=1, le=1000)]


class Training(Declared):
    """Where and from what the first champion is born."""

    where: Level = "device"
    first_rows: Rows = Field(default=150, alias="first")


class Pool(Declared):
    """Models beside the champion that judge what it reports.

    Attributes:
        threshold_permille: Quantile of the scores in training above which one of them calls a window anomalous.
    """

    threshold_permille: Quantile = Field(default=980, alias="threshold")
    trees: Annotated[Many[Trees], Field(min_length=1)]
    train: Literal["gateway", "cloud"] = "gateway"


class Replacement(Declared):
    """When the champion is replaced, and by what."""

    when: FalsePositives
    by: Literal["best-ranked"] = "best-ranked"


class Learned(Declared):
    """A model: an isolation forest (Liu, Ting, Zhou 2008) and its life.

    Attributes:
        features: Those that the first champion looks at; None: all that come in.
        threshold_permille: Quantile of the scores in training above which a window is anomalous.
        seed: Of the random generator; the same rows and seed give the same model.
    """

    learn: Literal["isolation-forest"] = "isolation-forest"
    features: FeatureNames | None = None
    trees: Trees = 50
    subsample: int = Field(default=100, ge=2, le=4095)
    threshold_permille: Quantile = Field(default=980, alias="threshold")
    seed: int = Field(default=1, ge=1, le=2**31 - 1)
    train: Training = Training()
    pool: Pool | None = None
    replace: Replacement | None = None
