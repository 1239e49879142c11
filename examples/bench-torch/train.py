"""Trains one epoch of a recipe in PyTorch on the CPU, and prints what it cost as `onnx bench speed` does."""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

import batches
import data as prepared
import towers


def parameters(model: torch.nn.Module, decay: float) -> list[dict]:
    """Only the matrices of linear maps decay."""
    matrices = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    ids = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--recipe", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments = arguments.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)

    recipe = prepared.recipe(arguments.recipe)
    settings = recipe["training"]
    torch.manual_seed(settings["seed"])
    rng = np.random.default_rng(settings["seed"])
    data = prepared.read(arguments.data, recipe)
    if "attention" in recipe["tower"]:
        model, source = towers.Attention(data, recipe), batches.Windows(data, recipe, rng)
    else:
        model, source = towers.YouTubeDnn(data, recipe), batches.Samples(data, recipe, rng)
    optimizer = torch.optim.AdamW(
        parameters(model, settings["decay"]), lr=settings["rate"], betas=tuple(settings["betas"]), fused=True
    )
    warmup = min(settings["warmup"], len(source) // 2)

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step + 1 - warmup) / max(len(source) - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    model.train()
    losses, samples = 0.0, 0
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in source:
        loss = model.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip"])
        optimizer.step()
        schedule.step()
        losses += loss.item() * batch.count
        samples += batch.count
    print(
        json.dumps(
            {
                "items": data.item_count - prepared.RESERVED,
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "samples": samples,
                "loss": losses / samples,
                "cpu_seconds": time.process_time() - cpu,
                "wall_seconds": time.perf_counter() - wall,
            }
        )
    )


if __name__ == "__main__":
    main()
