"""torch.autograd.gradcheck and stn's check, side by side, on torch's own right sampler at the identity, a flip and a shift.

python -m tests.gradcheck.beside_torch
"""

import torch
from torch.nn.functional import affine_grid, grid_sample

from stn_cli.core.gradients.check import check
from stn_cli.core.gradients.outside import Outside, problems

SIZE = (4, 5)
POINTS = {
    "identity": [1, 0, 0, 0, 1, 0],
    "flip": [-1, 0, 0, 0, 1, 0],
    "one pixel to the side": [1, 0, 0.4, 0, 1, 0],
    "anywhere else": [0.93, 0.21, 0.07, -0.17, 0.81, 0.03],
}


def warp(U: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    grid = affine_grid(theta.reshape(-1, 2, 3), [len(U), 1, *SIZE], align_corners=False)
    return grid_sample(U, grid, align_corners=False)


def main() -> None:
    U = torch.randn(1, 1, *SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    print("| θ | torch.autograd.gradcheck | stn gradcheck |\n| --- | --- | --- |")
    for name, values in POINTS.items():
        theta = torch.tensor([values], dtype=torch.float64, requires_grad=True)
        try:
            torch.autograd.gradcheck(lambda t: warp(U, t), theta)
            torchs = "passes"
        except RuntimeError as error:
            torchs = f"fails: {str(error).splitlines()[0].rstrip(',')}"
        found = [check(p) for p in problems(Outside("warp", warp, (1, 1, *SIZE), (6,), U=U, theta=theta.detach()))]
        ours = "; ".join(
            f"{r.problem.stage} {r.verdict}" + (f" ({r.kinks.count})" * bool(r.kinks.count)) for r in found
        )
        print(f"| {name} | {torchs} | {ours} |")


if __name__ == "__main__":
    main()
