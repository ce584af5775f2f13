"""A recipe: everything about a training but the photographs, as a small YAML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from colorize_core.models import ARCHITECTURES
from colorize_core.training.data import FRAMINGS
from colorize_core.training.losses import LOSSES

FOLDER = Path(__file__).parent / "recipes"
OPTIMIZERS = ("adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")


class RecipeError(Exception):
    """The recipe cannot be followed; the message names the file and the line's key."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to a photograph before it is learned from, drawn anew every time.

    ``crop`` is the least and largest share of the side that is kept, ``flip`` a chance, ``rotate`` degrees either way,
    ``shear`` a slope either way; ``degrade`` ages lightness, and lightness alone.
    """

    crop: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    degrade: bool = False


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    ``batch`` photographs make one step, on all workers together, ``accumulate`` parts of a batch follow one another to
    save memory, and a step's lessons are squares of one of ``sides`` pixels, cut from photographs framed to ``canvas``
    pixels ("squash", "crop" or "letterbox"). The weights are made for pictures of about ``side`` x ``side`` pixels; 0
    stands for the largest of ``sides``. ``rate`` is the learning rate after ``warmup`` steps; ``rates`` scales it
    for parts of the network and ``freeze`` keeps parts as they are, both by the start of a parameter's name.
    ``pretrained`` starts the parts that have published weights from those. ``average`` is the decay of the moving
    average of the weights, which is what is stored; 0 stores the last weights. ``clip`` bounds the gradient's norm, 0
    not at all. Every ``validate`` steps the network is looked at and a checkpoint is stored.
    """

    name: str
    architecture: str
    steps: int
    config: dict[str, Any] = field(default_factory=dict)
    pretrained: bool = False
    freeze: tuple[str, ...] = ()
    loss: str = "mse"
    optimizer: str = "adam"
    rate: float = 1e-3
    rates: dict[str, float] = field(default_factory=dict)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: int = 0
    clip: float = 0.0
    average: float = 0.0
    precision: str = "float32"
    batch: int = 32
    accumulate: int = 1
    canvas: int = 256
    framing: str = "crop"
    sides: tuple[int, ...] = (256,)
    side: int = 0
    augmentation: Augmentation = Augmentation()
    validate: int = 250

    @property
    def nominal_side(self) -> int:
        return self.side or max(self.sides)

    def __post_init__(self):
        def check(fits: bool, key: str, wants: str) -> None:
            if not fits:
                raise RecipeError(f"{self.name}: {key} is {getattr(self, key)!r}; it should be {wants}")

        check(self.architecture in ARCHITECTURES, "architecture", f"one of {', '.join(sorted(ARCHITECTURES))}")
        for key, known in (("loss", LOSSES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES),
                           ("precision", PRECISIONS), ("framing", FRAMINGS)):  # fmt: skip
            check(getattr(self, key) in known, key, f"one of {', '.join(known)}")
        for key in ("steps", "batch", "accumulate", "canvas", "validate"):
            check(getattr(self, key) >= 1, key, "1 or more")
        check(self.rate > 0, "rate", "above 0")
        check(0 <= self.average < 1, "average", "from 0 to below 1")
        check(bool(self.sides) and all(s > 0 and s % 32 == 0 for s in self.sides), "sides", "multiples of 32")
        check(self.side >= 0 and self.side % 32 == 0, "side", "a multiple of 32")


def find_recipe(name: str, **changes: Any) -> Recipe:
    """The recipe of that name, or of a path to a YAML file, with some of its keys changed. Raises RecipeError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
        raise RecipeError(f"no recipe at {path}; give a path to a .yaml file or one of: {known}")
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} should hold keys and values, such as architecture: gray2lab")
    return from_values({"name": path.stem, **values, **changes}, path)


def from_values(values: dict[str, Any], path: Path | str) -> Recipe:
    """A recipe from plain values, as YAML and JSON give them. Raises RecipeError naming ``path`` and the key."""
    values = dict(values)
    if isinstance(values.get("augmentation"), dict):
        values["augmentation"] = _typed(Augmentation, values["augmentation"], f"{path}: augmentation")
    return _typed(Recipe, values, str(path))


def to_values(recipe: Recipe) -> dict[str, Any]:
    """Plain values for JSON; ``from_values`` takes them back."""
    return dataclasses.asdict(recipe)


def _typed(kind: type, values: dict[str, Any], where: str) -> Any:
    """A dataclass of plain values, each of its default's type. Raises RecipeError."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := values.keys() - fields:
        raise RecipeError(f"{where}: unknown key {', '.join(sorted(unknown))}; known: {', '.join(fields)}")
    needed = [n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise RecipeError(f"{where}: {', '.join(missing)} is missing")
    typed = {}
    for name, value in values.items():
        wanted = str(fields[name].type)
        try:
            if wanted.startswith("tuple"):
                inner = {"s": str, "i": int, "f": float}[wanted[6]]
                value = tuple(inner(v) for v in (value if isinstance(value, (list, tuple)) else [value]))
            elif wanted in ("int", "float") and not isinstance(value, bool):
                number = float(value)  # YAML reads 1e-4 as text
                value = int(number) if wanted == "int" and number == int(number) else number
                if wanted == "int" and not isinstance(value, int):
                    raise ValueError(value)
            elif wanted == "bool" and not isinstance(value, bool) or wanted == "str" and not isinstance(value, str):
                raise TypeError(value)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{where}: {name} is {value!r}; it should be of type {wanted}") from error
        typed[name] = value
    return kind(**typed)
