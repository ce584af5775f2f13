from __future__ import annotations

import json

import pytest

from colorize_core.training.recipe import FOLDER, Augmentation, RecipeError, find_recipe, from_values, to_values

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_recipe_is_sound_and_survives_json(name):
    recipe = find_recipe(name)
    assert recipe.name == name
    assert from_values(json.loads(json.dumps(to_values(recipe))), "json") == recipe


def test_all_systems_have_a_recipe():
    architectures = {find_recipe(name).architecture for name in NAMES}
    assert architectures == {"autochrome", "gray2lab", "xception-fusion", "colornet", "autoencoder", "linear", "beta",
                             "inception-fusion"}  # fmt: skip


def test_a_file_of_ones_own_with_a_change(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "architecture: gray2lab\nsteps: 10\nrate: 1e-4\nsides: 64\naugmentation: {crop: [0.5, 1], flip: 1}\n"
    )
    recipe = find_recipe(str(path), steps=20)
    assert (recipe.name, recipe.steps, recipe.rate, recipe.sides) == ("mine", 20, 1e-4, (64,))
    assert recipe.augmentation == Augmentation(crop=(0.5, 1.0), flip=1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("architecture: gray2lab", "steps is missing"),
        ("architecture: gray2lab\nsteps: 5\nlerning_rate: 1", "unknown key lerning_rate; known: name, architecture"),
        ("architecture: vgg\nsteps: 5", "architecture is 'vgg'; it should be one of autochrome"),
        ("architecture: gray2lab\nsteps: many", "steps is 'many'; it should be of type int"),
        ("architecture: gray2lab\nsteps: 2.5", "steps is 2.5; it should be of type int"),
        ("architecture: gray2lab\nsteps: 5\nsides: [100]", "sides is (100,); it should be multiples of 32"),
        ("architecture: gray2lab\nsteps: 5\naugmentation: {flipp: 1}", "augmentation: unknown key flipp"),
        ("architecture: gray2lab\nsteps: 5\npretrained: maybe", "pretrained is 'maybe'"),
        ("architecture: gray2lab\nsteps: 5\nrate: -1", "rate is -1.0; it should be above 0"),
        ("architecture: [", "is not YAML"),
        ("just words", "should hold keys and values"),
    ],
)
def test_a_wrong_recipe_is_named_with_its_key(tmp_path, text, said):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        find_recipe(str(path))
    assert said in str(caught.value) and "wrong" in str(caught.value)


def test_a_missing_recipe_lists_those_there_are():
    with pytest.raises(RecipeError, match="autochrome, autoencoder, beta"):
        find_recipe("nonesuch")
