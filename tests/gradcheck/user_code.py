"""What a user may hand to `stn gradcheck --module`, right and wrong."""

import torch
from torch import nn
from torch.nn import functional as F


def warp(U, theta):
    grid = F.affine_grid(theta.reshape(-1, 2, 3), U.shape, align_corners=False)
    return F.grid_sample(U, grid, align_corners=False)


def detached(U, theta):
    return warp(U, theta.detach())


def needs_matrix(U, theta):
    if theta.ndim != 3:
        raise ValueError("θ is a (N, 2, 3) matrix here")
    return warp(U, theta)


def nearest(U, theta):
    grid = F.affine_grid(theta.reshape(-1, 2, 3), U.shape, align_corners=False)
    return F.grid_sample(U, grid, mode="nearest", align_corners=False)


def returns_a_list(U, theta):
    return [U]


class Transformer(nn.Module):
    """A spatial transformer as the well-known tutorial writes it, already turned a little."""

    def __init__(self):
        super().__init__()
        self.localisation = nn.Sequential(nn.Flatten(), nn.Linear(36, 6))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.localisation[1].weight.copy_(0.01 * torch.randn(6, 36, generator=generator))
            self.localisation[1].bias.copy_(torch.tensor([0.9, 0.2, 0.1, -0.2, 0.8, 0.05]))

    def forward(self, U):
        return warp(U, self.localisation(U))


class Forgetful(Transformer):
    def forward(self, U):
        return warp(U, self.localisation(U).detach())


not_callable = 3
