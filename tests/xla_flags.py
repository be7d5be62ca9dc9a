"""What XLA is told in tests, here and in the processes that tests start."""

from __future__ import annotations

from importlib.metadata import version

# Nearly all the time of these tiny programs is their compilation, which takes a quarter of it so.
QUICK = "--xla_backend_optimization_level=0"
# What a program is compiled with all the same if it has much to do: `jit(f, compiler_options=...)`.
OPTIMIZED: dict[str, int | bool] = {"xla_backend_optimization_level": 3}
if version("jaxlib").startswith("0.10."):  # newer ones know no other emitters
    QUICK += " --xla_cpu_use_fusion_emitters=false"
    OPTIMIZED["xla_cpu_use_fusion_emitters"] = True


def devices(count: int) -> str:
    """So many fake devices."""
    return f"--xla_force_host_platform_device_count={count}"
