"""The same loss and gradient in PyTorch, in float32 or under bfloat16 autocast; runs where nstd is not installed.

    python -m rivals.torch_evaluation SIZE PRECISION

VGG19 up to block5_conv1, styles at block{1..5}_conv1, content at block4_conv2, each after the ReLU. The weights are
random, since only the time counts. On a GPU if PyTorch finds one.
"""

import sys
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import mse_loss

from rivals.answering import answer_with_seconds

CONVOLUTIONS_PER_BLOCK = (2, 2, 4, 4, 1)
CHANNELS = (64, 128, 256, 512, 512)
CONTENT_LAYER = "block4_conv2"


def make_layers() -> nn.ModuleDict:
    """Build the network, its weights such that the activations keep their size."""
    layers, channels = nn.ModuleDict(), 3
    for block, (count, width) in enumerate(zip(CONVOLUTIONS_PER_BLOCK, CHANNELS, strict=True), start=1):
        if block > 1:
            layers[f"block{block - 1}_pool"] = nn.MaxPool2d(2)
        for number in range(1, count + 1):
            convolution = nn.Conv2d(channels, width, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
            layers[f"block{block}_conv{number}"] = nn.Sequential(convolution, nn.ReLU())
            channels = width
    return layers.requires_grad_(requires_grad=False)


def features(layers: nn.ModuleDict, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the content layer's activations, and the Gram matrices of the first layers of the blocks."""
    content, grams = image, []
    for name, layer in layers.items():
        image = layer(image)
        if name == CONTENT_LAYER:
            content = image
        if name.endswith("_conv1"):
            flat = image[0].flatten(1)
            grams.append(flat @ flat.T / flat.shape[1])
    return content, grams


def make_evaluation(size_px: int, precision: str, device: str) -> Callable[[], None]:
    """Prepare one evaluation of loss and gradient."""
    layers = make_layers().to(device)
    image, other = (torch.rand(1, 3, size_px, size_px, device=device) * 250 - 120 for _ in range(2))
    image.requires_grad_()
    autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")
    with torch.no_grad(), autocast:
        content, targets = features(layers, other)

    def evaluate() -> None:
        image.grad = None
        with autocast:
            now, grams = features(layers, image)
            loss = 0.01 * mse_loss(now, content)
            for gram, target in zip(grams, targets, strict=True):
                loss = loss + 10 / len(gram) ** 2 * mse_loss(gram, target)
        loss.backward()
        loss.item(), image.grad[0, 0, 0, 0].item()

    return evaluate


def main() -> None:
    """Answer."""
    torch.manual_seed(0)
    size_px, precision = int(sys.argv[1]), sys.argv[2]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = {"precision": precision, "device": device, "torch": torch.__version__, "threads": torch.get_num_threads()}
    answer_with_seconds(facts, make_evaluation(size_px, precision, device))


if __name__ == "__main__":
    main()
