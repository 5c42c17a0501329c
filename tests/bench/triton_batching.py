"""Throughput and first preview of the `diffusion` model: continuous batching against one request at a time.

    python tests/bench/triton_batching.py --triton 127.0.0.1:8001 [--steps 20] [--size 128] [--json out/batching.json]

"One at a time" sends the next request only when the last one is done, as a server without batching would serve its
queue; times count from the request's arrival in either case.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton

from tests.waiting import time_passes

PROMPTS = ["a red mug on a white background", "a blue sneaker", "a green t-shirt", "a yellow lamp"]
PICTURES = 16
INTERVAL = 0.3  # seconds between arrivals in the steady test
MODES = ("one at a time", "continuous")


@dataclass(frozen=True)
class Drawn:
    first: float
    total: float
    batch: int
    picture: np.ndarray


class Bench:
    """Asks one Triton server for pictures."""

    def __init__(self, client: triton.InferenceServerClient, options: dict[str, Any]) -> None:
        self._client = client
        self._options = options
        self._lock = asyncio.Lock()

    async def draw(self, seed: int, *, alone: bool) -> Drawn:
        arrived = time.perf_counter()
        async with AsyncExitStack() as stack:
            if alone:
                await stack.enter_async_context(self._lock)
            fields = {"prompt": PROMPTS[seed % len(PROMPTS)], "seed": seed, **self._options}
            return await self._stream(fields, arrived)

    async def _stream(self, fields: dict[str, Any], arrived: float) -> Drawn:
        first, batch = 0.0, 0
        async for response, error in self._client.stream_infer(_one(fields)):
            if error is not None:
                raise error
            event = json.loads(response.as_numpy("EVENT").ravel()[0])
            if event["event"] == "result":
                break
            first = first or time.perf_counter() - arrived
            batch = max(batch, event["batch"])
        return Drawn(first, time.perf_counter() - arrived, batch, response.as_numpy("RESULT"))

    async def at_concurrency(self, count: int, *, alone: bool) -> tuple[list[Drawn], float]:
        """`PICTURES` pictures by `count` clients that each wait for their own."""
        seeds = iter(range(PICTURES))
        began = time.perf_counter()

        async def one_client() -> list[Drawn]:
            return [await self.draw(seed, alone=alone) for seed in seeds]

        drawn = await asyncio.gather(*(one_client() for _ in range(count)))
        return [each for one in drawn for each in one], time.perf_counter() - began

    async def at_interval(self, *, alone: bool) -> tuple[list[Drawn], float]:
        began = time.perf_counter()

        async def arrive(seed: int) -> Drawn:
            await time_passes(seed * INTERVAL, because="one every so often")
            return await self.draw(seed, alone=alone)

        drawn = await asyncio.gather(*(arrive(seed) for seed in range(PICTURES)))
        return list(drawn), time.perf_counter() - began


async def _one(fields: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    tensor = triton.InferInput("REQUEST", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([json.dumps(fields).encode()], dtype=object))
    yield {"model_name": "diffusion", "inputs": [tensor]}


def row(load: str, mode: str, drawn: list[Drawn], seconds: float) -> dict[str, Any]:
    first = [each.first * 1e3 for each in drawn]
    return {
        "load": load,
        "mode": mode,
        "pictures_per_second": round(len(drawn) / seconds, 2),
        "first_preview_ms": round(statistics.median(first)),
        "first_preview_ms_max": round(max(first)),
        "total_s": round(statistics.median(each.total for each in drawn), 2),
        "batch": max(each.batch for each in drawn),
    }


async def measure(address: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Both modes right after each other at each load, so that a busy machine is busy for both."""
    rows = []
    async with triton.InferenceServerClient(address) as client:
        bench = Bench(client, options)
        await bench.at_concurrency(8, alone=False)
        for count in (1, 2, 4, 8, None):
            for mode in MODES:
                alone = mode == MODES[0]
                load = f"{count} clients" if count else f"every {INTERVAL:g} s"
                measured = bench.at_concurrency(count, alone=alone) if count else bench.at_interval(alone=alone)
                rows.append(row(load, mode, *await measured))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triton", default="127.0.0.1:8001", help="gRPC address")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=None, help="side in pixels; the model's native size by default")
    parser.add_argument("--json", type=Path, default=None, help="write the rows there, too")
    arguments = parser.parse_args()
    options: dict[str, Any] = {"steps": arguments.steps, "guidance": 3.0}
    if arguments.size:
        options |= {"width": arguments.size, "height": arguments.size}
    rows = asyncio.run(measure(arguments.triton, options))
    print("| load | mode | pictures/s | first preview ms (max) | total s | largest batch |\n|---|---|---|---|---|---|")
    for r in rows:
        first = f"{r['first_preview_ms']} ({r['first_preview_ms_max']})"
        print(f"| {r['load']} | {r['mode']} | {r['pictures_per_second']} | {first} | {r['total_s']} | {r['batch']} |")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
