"""A quicker model gives the same numbers, whatever its activation; where the steps cannot be had nothing changes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from watcher.score import fast
from watcher.score.fast import FastLinear, quicken, usable

NEAR = 1e-5
VISION = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
VISION |= {"image_size": 32, "patch_size": 8}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT |= {"vocab_size": 99, "max_position_embeddings": 16}
ACTIVATIONS = ("quick_gelu", "gelu", "gelu_pytorch_tanh", "silu")

needs_steps = pytest.mark.skipif(not usable(), reason="this processor has no AVX2, or this torch no oneDNN")


def clip(activation: str = "quick_gelu") -> Any:
    torch.manual_seed(3)
    parts = {name: {**sizes, "hidden_act": activation} for name, sizes in {"vision": VISION, "text": TEXT}.items()}
    made = CLIPModel(CLIPConfig(vision_config=parts["vision"], text_config=parts["text"], projection_dim=24)).eval()
    return loud(made)


def siglip() -> Any:
    torch.manual_seed(3)
    text = {**TEXT, "projection_size": 48}
    return loud(SiglipModel(SiglipConfig(vision_config=VISION, text_config=text)).eval())


def loud(model: Any) -> Any:
    """Give weights and biases the size of trained ones: fresh biases are 0 and would hide their loss."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(3)
                layer.bias is None or layer.bias.normal_(0, 0.3)
    return model


@torch.inference_mode()
def seen(model: Any, count: int = 5) -> torch.Tensor:
    pixels = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    tokens = torch.arange(count * 7).view(count, 7) % 90
    both = model.get_image_features(pixel_values=pixels), model.get_text_features(input_ids=tokens)
    return torch.cat([normalize(unwrapped(one), dim=-1) for one in both])


def unwrapped(features: Any) -> torch.Tensor:
    found: torch.Tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return found


def replaced(model: Any) -> list[str]:
    return [name for name, layer in model.named_modules() if isinstance(layer, FastLinear)]


@needs_steps
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "relu"])
def test_a_quick_model_gives_the_same_vectors(activation: str) -> None:
    plain = clip(activation)
    quick = quicken(copy.deepcopy(plain))
    assert (seen(quick) - seen(plain)).abs().max() <= NEAR
    blocks = VISION["num_hidden_layers"] + TEXT["num_hidden_layers"]
    assert len(replaced(quick)) == 6 * blocks + 2  # queries, keys, values, out, fc1, fc2; and two projections
    fused = [layer for layer in quick.modules() if isinstance(layer, FastLinear) and layer.activation is not fast.NONE]
    assert len(fused) == (0 if activation == "relu" else blocks)


@needs_steps
def test_siglip_and_its_attention_pooling_give_the_same_vectors() -> None:
    plain = siglip()
    quick = quicken(copy.deepcopy(plain))
    assert replaced(quick)
    assert (seen(quick) - seen(plain)).abs().max() <= NEAR


@needs_steps
@pytest.mark.parametrize("count", [1, 2, 33])
def test_batches_of_any_size_give_what_single_pictures_give(count: int) -> None:
    quick = quicken(clip())
    assert (seen(quick, count)[:1] - seen(clip(), count)[:1]).abs().max() <= NEAR


@needs_steps
@pytest.mark.parametrize("activation", fast.ACTIVATIONS)
def test_a_model_that_moves_to_another_device_keeps_its_numbers(activation: fast.Activation) -> None:
    layer = FastLinear(nn.Linear(8, 4), activation)
    numbers = torch.randn(3, 8)
    with torch.inference_mode():
        here = layer(numbers)
        elsewhere = layer.to("meta")(numbers.to("meta"))  # a device without oneDNN: torch's own steps
    assert elsewhere.shape == here.shape
    assert elsewhere.device.type == "meta"


@needs_steps
def test_a_quick_layer_takes_up_no_memory_of_its_own() -> None:
    layer = nn.Linear(8, 4)
    assert FastLinear(layer).weight is layer.weight
    model = clip("gelu")
    before = {id(one) for one in model.parameters()}
    assert {id(one) for one in quicken(model).parameters()} == before


def test_layers_in_other_precisions_stay_as_they_are() -> None:
    model = clip().to(torch.bfloat16)
    assert replaced(quicken(model)) == []


@pytest.fixture
def _old_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    usable.cache_clear()
    yield
    usable.cache_clear()


@pytest.mark.usefixtures("_old_processor")
def test_on_an_old_processor_the_model_stays_as_it_is() -> None:
    plain = clip()
    assert replaced(quicken(plain)) == []
    assert (seen(plain) == seen(clip())).all()
