"""A small convolutional network for grey images and colour photographs of any size from 4x4."""

from typing import TYPE_CHECKING

from fedledger.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["cnn"]

_SMALLEST = 4
_LARGEST_LEFT = 8
_MOST_BLOCKS = 4


def cnn(shape: tuple[int, int, int], classes: int, *, width: int = 16) -> "nn.Module":
    """Return blocks of 3x3 convolution, ReLU and 2x2 max pooling, then one linear layer.

    There are two blocks, and further ones (four at most) until at most 8 pixels a side are left;
    the number of channels doubles with each. 8x8 digits: 2 blocks; 28x28: 2; 64x64 photographs: 3.
    Weights lie channels last, which makes a step on a CPU about 1.5 times as fast.

    Args:
        shape: (channels, height, width) of an image.
        classes: number of outputs.
        width: channels after the first block.

    Raises:
        ConfigError: images below 4x4, or a width that is not positive.
    """
    from torch import channels_last, nn  # noqa: PLC0415 - see the package

    channels, height, wide = shape
    if min(height, wide) < _SMALLEST or width < 1:
        raise ConfigError(
            f"model 'cnn' needs images of at least {_SMALLEST}x{_SMALLEST} pixels and a positive "
            f"width, got {height}x{wide} and {width}"
        )
    layers: list[nn.Module] = []
    block = 0
    while block < 2 or (block < _MOST_BLOCKS and max(height, wide) > _LARGEST_LEFT):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, width = width, 2 * width
        height, wide, block = height // 2, wide // 2, block + 1
        if min(height, wide) < 2:
            break
    layers += [nn.Flatten(), nn.Linear(channels * height * wide, classes)]
    model: nn.Module = nn.Sequential(*layers)
    return model.to(memory_format=channels_last)  # type: ignore[call-overload, no-any-return]
