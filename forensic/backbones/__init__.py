"""Networks that others published, with the attribute names of their checkpoints, so that a state dict fits as it is."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and deviation of red, green and blue in [0, 1], which networks trained on ImageNet expect."""
