"""What the funnel simulator is asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from pipelines.datasets.simulated_funnel.delay_law import LAWS, DelayLaw

DAYS = 10
#: CTR and CVR of clicked rows.
PRESETS = {"kuai": (0.49, 0.03), "ali": (0.04, 0.005), "easy": (0.30, 0.10)}


@dataclass(frozen=True)
class Options:
    """What to simulate.

    Attributes:
        exposures: rows to draw.
        preset: "kuai", "ali" or "easy": the CTR and the CVR.
        seed: seed of the world (users, items, logits).
        draw: draw of the exposures; another draw is fresh data from the same world.
        selection: strength of the hidden confounder, -1..1; 0 is selection on observables alone.
        alignment: how much the taste for clicking is the taste for converting, -1..1.
        users: how many users; one for 30 exposures by default.
        items: how many items; one for 60 exposures by default.
        taste: strength of what only a user's past tells, 0 or more.
        delay: law of the conversions' delays: "none", "exponential", "weibull" or "mixture".
        delay_days: mean of the delays, in days.
        delay_spread: how much items differ in their delays: deviation of the logarithm of their
            scales.
        drift: what the conversion's logit gains in mid-stream.
    """

    exposures: int = 120_000
    preset: str = "kuai"
    seed: int = 0
    draw: int = 0
    selection: float = 0.3
    alignment: float = 0.3
    users: int = 0
    items: int = 0
    taste: float = 0.0
    delay: str = "none"
    delay_days: float = 1.0
    delay_spread: float = 0.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset: must be one of {sorted(PRESETS)}, received {self.preset!r}")
        if self.exposures < DAYS:
            raise ValueError(
                f"exposures: must be at least {DAYS} (one a day), received {self.exposures}"
            )
        for name in ("selection", "alignment"):
            if not -1.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: must lie in -1..1, received {getattr(self, name)}")
        if not 0 <= self.taste < np.inf:
            raise ValueError(f"taste: must be 0 or more, received {self.taste}")
        if self.delay not in LAWS:
            raise ValueError(f"delay: must be one of {[*LAWS]}, received {self.delay!r}")
        if not 0 < self.delay_days < np.inf:
            raise ValueError(f"delay_days: must be more than 0, received {self.delay_days}")
        if not 0 <= self.delay_spread < np.inf:
            raise ValueError(f"delay_spread: must be 0 or more, received {self.delay_spread}")
        if not np.isfinite(self.drift):
            raise ValueError(f"drift: must be a finite number, received {self.drift}")
        for name in ("seed", "draw", "users", "items"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative, received {getattr(self, name)}")
        for name, share, least in (("users", 30, 100), ("items", 60, 50)):
            if getattr(self, name) == 0:
                object.__setattr__(self, name, max(least, self.exposures // share))

    def as_json(self) -> dict[str, int | float | str]:
        """Returns the options by name; taste, delays and drift where there are some."""
        left_out = {name for name in ("taste", "drift") if not getattr(self, name)}
        if not self.law:
            left_out |= {"delay", "delay_days", "delay_spread"}
        names = [field.name for field in fields(self) if field.name not in left_out]
        return {name: getattr(self, name) for name in names}

    @property
    def law(self) -> DelayLaw | None:
        """The law of delays, where there is one."""
        if self.delay == "none":
            return None
        return DelayLaw(self.delay, self.delay_days, self.delay_spread)
