"""Makes tests/golden/optimizers.safetensors: what transformers' Adafactor and schedules and torch's averaging compute.

By hand, with the packages of scripts/reference.sh (`make golden`):
    python tests/golden/make_optimizers.py tests/golden/optimizers.safetensors

Adafactor (relative_step off, rates falling from step to step), "adafactor.CASE.STEP.PARAMETER" after steps 1, 2 and 10, from
"start.PARAMETER" with the gradients "gradient.STEP.PARAMETER". "schedule.NAME" are learning-rate factors of 40 steps of which
7 warm up: transformers counts from a step of rate 0, which we leave out, so its schedules run one step longer and are read from
their second value. "average.STEP" is torch's exponential moving average with decay 0.9 of the numbers in "averaged".
"""

import sys

import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup
from transformers.optimization import Adafactor

CASES = {
    "plain": dict(scale_parameter=False, weight_decay=0.0, clip_threshold=1.0),
    # Steps that are clipped, rates in units of each parameter's own size.
    "scaled": dict(scale_parameter=True, weight_decay=0.1, clip_threshold=0.3),
}
STEPS, WARMUP = 40, 7


def main(path):
    generator = torch.Generator().manual_seed(5)
    start = {"matrix": torch.randn(5, 7, generator=generator), "vector": 0.01 * torch.randn(6, generator=generator)}
    tensors = {"start." + name: value.clone() for name, value in start.items()}
    for step in range(10):
        for name, value in start.items():
            tensors[f"gradient.{step}.{name}"] = torch.randn(value.shape, generator=generator) * (1 + step % 3)
    for case, options in CASES.items():
        parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
        optimizer = Adafactor(parameters.values(), lr=1.0, relative_step=False, warmup_init=False, **options)
        for step in range(10):
            for group in optimizer.param_groups:
                group["lr"] = 0.05 / (1 + step)
            for name, parameter in parameters.items():
                parameter.grad = tensors[f"gradient.{step}.{name}"].clone()
            optimizer.step()
            if step in (0, 1, 9):
                for name, parameter in parameters.items():
                    tensors[f"adafactor.{case}.{step + 1}.{name}"] = parameter.detach().clone()
    makers = {"constant": lambda o: get_constant_schedule_with_warmup(o, WARMUP + 1),
              "linear": lambda o: get_linear_schedule_with_warmup(o, WARMUP + 1, STEPS + 1),
              "cosine": lambda o: get_cosine_schedule_with_warmup(o, WARMUP + 1, STEPS + 1)}
    for name, make in makers.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer)
        factors = []
        for _ in range(STEPS):
            optimizer.step()
            schedule.step()
            factors.append(schedule.get_last_lr()[0])
        tensors["schedule." + name] = torch.tensor(factors, dtype=torch.float64)
    average = get_ema_multi_avg_fn(0.9)
    numbers = torch.randn(6, 4, generator=generator)
    tensors["averaged"] = numbers.clone()
    ours = [numbers[0].clone()]
    for step in range(1, 6):
        average(ours, [numbers[step]], step)
        tensors[f"average.{step}"] = ours[0].clone()
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


if __name__ == "__main__":
    main(sys.argv[1])
