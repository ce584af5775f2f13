"""The themes of the campaign: which faults, how often in a thousand photographs, and on which job."""

from __future__ import annotations

import random
from dataclasses import dataclass

from faults import faults
from faults.faults import Fault

ANY = (
    faults.kill_decoder,
    faults.kill_actor,
    faults.replace_node,
    faults.kill_driver,
    faults.freeze_node,
    faults.slow_storage,
    faults.failing_storage,
    faults.full_output,
    faults.rotate_credentials,
    faults.another_driver,
)


@dataclass(frozen=True)
class Theme:
    """faults: each with its number. arguments: of the job, beyond the usual ones. by: the share of the work by which
    all have struck."""

    name: str
    faults: tuple[tuple[Fault, int], ...] = ()
    any: int = 0  # faults of all kinds
    arguments: tuple[str, ...] = ()
    by: float = 0.95

    def draw(self, rng: random.Random, photos: int) -> list[Fault]:
        """The faults in the order they strike; fewer for fewer photographs."""

        def share(count: int) -> int:
            return max(1, round(count * min(1, photos / 1000)))

        drawn = [fault for fault, count in self.faults for _ in range(share(count))]
        drawn += rng.choices(ANY, k=share(self.any)) if self.any else []
        return rng.sample(drawn, len(drawn))


SPLIT = ("--stages", "split")
THEMES = (
    Theme("calm"),
    Theme("calm-split", arguments=SPLIT),
    Theme("decoders", ((faults.kill_decoder, 14),)),
    Theme("actors", ((faults.kill_actor, 12),)),
    Theme("nodes", ((faults.replace_node, 6),)),
    Theme("nodes-no-spare", ((faults.kill_node, 2),)),
    Theme("driver", ((faults.kill_driver, 7),)),
    Theme("head", ((faults.kill_head, 3),)),
    Theme("frozen", ((faults.freeze_node, 8), (faults.bury_node, 2))),
    Theme("slow", ((faults.slow_storage, 7),)),
    Theme("failing", ((faults.failing_storage, 8), (faults.no_storage, 2))),
    Theme("full", ((faults.full_output, 5), (faults.forbidden_output, 3))),
    Theme("credentials", ((faults.rotate_credentials, 5),)),
    Theme("double", ((faults.another_driver, 3), (faults.kill_driver, 2)), arguments=("--workers", "1"), by=0.6),
    Theme("split-no-spare", ((faults.kill_preparer, 1), (faults.kill_node, 1)), arguments=SPLIT, by=0.4),
    Theme(
        "split",
        (
            (faults.kill_actor, 5),
            (faults.kill_decoder, 4),
            (faults.replace_node, 2),
            (faults.kill_driver, 2),
            (faults.failing_storage, 2),
        ),
        arguments=SPLIT,
    ),
    Theme("mixed-1", any=14),
    Theme("mixed-2", any=14),
)
SHORT = Theme("short", ((faults.kill_actor, 1), (faults.failing_storage, 1), (faults.kill_driver, 1)))
