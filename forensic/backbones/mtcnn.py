"""The three networks of MTCNN (Zhang, Zhang, Li, Qiao 2016), Figure 2, with the names of facenet-pytorch's weights.

Each looks at squares of 12, 24 and 48 pixels, tells whether a face is in it, and where the face's box lies in units of
the square; the last one tells five landmarks too. The first, which has no layer that fixes a size, looks at all squares
of an image at once. Convolutions have no padding, and poolings round up. The weights came from Caffe by way of
TensorFlow, whose order of axes the dense layers keep.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PNet(nn.Module):
    """The proposal network: images (n, 3, h, w) in [-1, 1] to probabilities and boxes of every second square."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of a face (n, rows, columns), and its box's four sides (n, 4, rows, columns)."""
        x = F.max_pool2d(self.prelu1(self.conv1(images)), 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RNet(nn.Module):
    """The refinement network: squares (n, 3, 24, 24) to probabilities and boxes."""

    side = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of a face (n,), and its box's four sides (n, 4)."""
        x = F.max_pool2d(self.prelu1(self.conv1(squares)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu4(self.dense4(_flat(self.prelu3(self.conv3(x)))))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class ONet(nn.Module):
    """The output network: squares (n, 3, 48, 48) to probabilities, boxes and landmarks."""

    side = 48

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probability of a face (n,), its box's four sides (n, 4), and landmarks, five x then five y (n, 10)."""
        x = F.max_pool2d(self.prelu1(self.conv1(squares)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, ceil_mode=True)
        x = self.prelu5(self.dense5(_flat(self.prelu4(self.conv4(x)))))
        return self.dense6_1(x).softmax(1)[:, 1], self.dense6_2(x), self.dense6_3(x)


def _flat(features: Tensor) -> Tensor:
    """Features (n, c, h, w) in the order of the dense layers' weights: columns, rows, channels."""
    return features.permute(0, 3, 2, 1).flatten(1)
