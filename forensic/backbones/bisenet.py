"""BiSeNet with a ResNet-18 (Yu et al. 2018), as trained for face parsing on CelebAMask-HQ.

Yu, Wang, Peng, Gao, Yu, Sang: BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation, ECCV 2018.
The attribute names are those of zllrunning/face-parsing.PyTorch, whose checkpoint loads as it is; there the spatial
path is the backbone's own features at 1/8.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; 'same' padding."""

    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size."""
        y: Tensor = self.bn(self.conv(x)).relu()
        return y


class ResNet18(nn.Module):
    """torchvision's ResNet-18 up to its last block: features at 1/8, 1/16 and 1/32."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet18

        whole = resnet18(weights=None)
        self.conv1, self.bn1, self.maxpool = whole.conv1, whole.bn1, whole.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = whole.layer1, whole.layer2, whole.layer3, whole.layer4

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of 128, 256 and 512 channels."""
        x = self.layer1(self.maxpool(self.bn1(self.conv1(images)).relu()))
        eighth = self.layer2(x)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class AttentionRefinement(nn.Module):
    """Weighs channels by what the whole image holds of them (the paper's Figure 2 b)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels, out)
        self.conv_atten = nn.Conv2d(out, out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size."""
        y: Tensor = self.conv(x)
        weight: Tensor = self.bn_atten(self.conv_atten(y.mean(dim=(2, 3), keepdim=True))).sigmoid()
        return y * weight


class ContextPath(nn.Module):
    """The backbone, and its deep features brought up to 1/8 and 1/16."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, kernel=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The backbone's features at 1/8; context at 1/8 and 1/16."""
        eighth, sixteenth, last = self.resnet(images)
        deep = self.arm32(last) + self.conv_avg(last.mean(dim=(2, 3), keepdim=True))
        deep = self.conv_head32(F.interpolate(deep, sixteenth.shape[2:]))
        middle = self.arm16(sixteenth) + deep
        return eighth, self.conv_head16(F.interpolate(middle, eighth.shape[2:])), deep


class FeatureFusion(nn.Module):
    """Joins detail and context (the paper's Figure 2 c)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(channels, out, kernel=1)
        self.conv1 = nn.Conv2d(out, out // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(out // 4, out, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Features of the same size."""
        y: Tensor = self.convblk(torch.cat([detail, context], dim=1))
        weight: Tensor = self.conv2(self.conv1(y.mean(dim=(2, 3), keepdim=True)).relu()).sigmoid()
        return y * weight + y


class Output(nn.Module):
    """A head: class logits at the resolution of its features."""

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels, hidden)
        self.conv_out = nn.Conv2d(hidden, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        y: Tensor = self.conv_out(self.conv(x))
        return y


class BiSeNet(nn.Module):
    """Images (n, 3, h, w) with ImageNet's mean and deviation to logits (n, classes, h, w).

    The heads ``conv_out16`` and ``conv_out32`` serve training alone; they are here because the checkpoint has them.
    """

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = Output(256, 256, classes)
        self.conv_out16 = Output(128, 64, classes)
        self.conv_out32 = Output(128, 64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """The first head's logits."""
        detail, context, _ = self.cp(images)
        logits = self.conv_out(self.ffm(detail, context))
        # Corners aligned, as in its training.
        return F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=True)
