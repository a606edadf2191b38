"""One process or several (torchrun): who works on which part of a batch, and who speaks."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stn_cli.errors import StnError


@dataclass(frozen=True)
class Processes:
    """This process among its peers. With one process every method does nothing."""

    rank: int = 0
    count: int = 1

    @property
    def speaks(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """This process's part of a batch of `size`; parts differ by one at most."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def wrap(self, net: nn.Module) -> nn.Module:
        """The net with its gradients averaged over the processes in every backward pass."""
        return net if self.count == 1 else nn.parallel.DistributedDataParallel(net)

    def total(self, values: Tensor) -> Tensor:
        """The sum of `values` over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def meet(self) -> None:
        """Wait for all."""
        if self.count > 1:
            dist.barrier()


def join() -> Processes:
    """Join the group that torchrun started, if it did: gloo on the CPU, NCCL where every process has its own GPU."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        return Processes()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    nccl = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", count))
    if not dist.is_initialized():
        try:
            dist.init_process_group("nccl" if nccl else "gloo")
        except (RuntimeError, ValueError) as error:
            raise StnError(f"the {count} processes of torchrun did not find each other: {error}") from error
    if nccl:
        torch.cuda.set_device(local)
    return Processes(dist.get_rank(), dist.get_world_size())


def leave(processes: Processes) -> None:
    """Leave the group again."""
    if processes.count > 1 and dist.is_initialized():
        dist.destroy_process_group()
