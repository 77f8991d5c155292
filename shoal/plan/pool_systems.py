"""Pools and chains to plan for: MI210 GPUs with U280 FPGAs on three kinds of link; networks on graphs, transformers.

Static and dynamic power of the two cards add up to no more than their limits (300 W, 225 W: data sheets). How much
of it is static, and what the FPGA draws at work, are estimates: U280 designs of this kind are reported at 50 W
(Sextans, FPGA 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from shoal.errors import InputError
from shoal.plan.pools import HOST, Chain, DeviceType, KernelSpec, PoolLink, Pools
from shoal.program.sizes import Size

LinkKind = Literal["pcie4", "pcie5", "cxl3"]
GPU, FPGA = "gpu", "fpga"

# bytes/s of sixteen lanes in one direction after encoding (PCIe 4.0, 5.0, 6.0 base specifications; CXL 3 runs on
# the last), and latencies of a peer-to-peer transfer, which are estimates
LINKS: Mapping[LinkKind, tuple[float, float]] = {
    "pcie4": (31.5e9, 2.5e-6),
    "pcie5": (63.0e9, 1.5e-6),
    "cxl3": (121.0e9, 0.5e-6),
}
LINK_J_PER_BYTE = 5e-12 * 8 * 2  # about 5 pJ a bit at each end; estimate


def gpu_fpga_pools(gpus: int = 2, fpgas: int = 3, link: LinkKind = "pcie4") -> Pools:
    """`gpus` MI210 and `fpgas` U280 on one kind of link, also to the host.

    Raises:
        InputError: no such link.
    """
    if link not in LINKS:
        raise InputError(f"there is no link '{link}'", hint=f"known: {', '.join(LINKS)}")
    rate, latency_s = LINKS[link]
    names = (GPU, FPGA, HOST)
    links = tuple(
        PoolLink((one, other), rate, latency_s, LINK_J_PER_BYTE)
        for number, one in enumerate(names)
        for other in names[number:]
    )
    types = (
        DeviceType(GPU, gpus, static_w=45.0, dynamic_w=255.0, memory_bytes=64e9),
        DeviceType(FPGA, fpgas, static_w=25.0, dynamic_w=30.0, memory_bytes=8e9),
    )
    return Pools(types, links)


def gcn_chain(widths: Sequence[int], nodes: int, nnz: int) -> Chain:
    """Graph convolution layers X' = relu(A·(X·W)) (Kipf and Welling 2017), `widths` from input to output.

    An item binds `nodes` and `nnz` (A's non-zeros), up to the bounds given.
    """
    kernels: list[KernelSpec] = []
    for layer, (before, after) in enumerate(pairwise(widths)):
        kernels.append(_gemm(f"weigh{layer}", "nodes", before, after))
        kernels.append(KernelSpec(f"gather{layer}", "spmm", "nodes", after, "nodes", "nnz"))
        kernels.append(KernelSpec(f"relu{layer}", "elementwise", "nodes", after))
    return Chain("gcn", tuple(kernels), {"nodes": nodes, "nnz": nnz})


def gin_chain(widths: Sequence[int], nodes: int, nnz: int) -> Chain:
    """Graph isomorphism layers X' = relu(relu(A·X·W1)·W2) (Xu et al. 2019); A holds the node itself, weighed."""
    kernels: list[KernelSpec] = []
    for layer, (before, after) in enumerate(pairwise(widths)):
        kernels.append(KernelSpec(f"gather{layer}", "spmm", "nodes", before, "nodes", "nnz"))
        kernels.append(_gemm(f"first{layer}", "nodes", before, after))
        kernels.append(KernelSpec(f"relu{layer}a", "elementwise", "nodes", after))
        kernels.append(_gemm(f"second{layer}", "nodes", after, after))
        kernels.append(KernelSpec(f"relu{layer}b", "elementwise", "nodes", after))
    return Chain("gin", tuple(kernels), {"nodes": nodes, "nnz": nnz})


def window_chain(layers: int, width: int, heads: int, window: int, length: int) -> Chain:
    """Transformer layers with windowed attention: projection, attention, output, and two products with relu.

    An item binds `length`, up to the bound given. Without residual paths and norms, which cost little.
    """
    kernels: list[KernelSpec] = []
    for layer in range(layers):
        kernels.append(_gemm(f"project{layer}", "length", width, 3 * width))
        kernels.append(
            KernelSpec(f"attend{layer}", "attention", "length", width, "length", window=window, heads=heads)
        )
        kernels.append(_gemm(f"output{layer}", "length", width, width))
        kernels.append(_gemm(f"widen{layer}", "length", width, 4 * width))
        kernels.append(KernelSpec(f"relu{layer}", "elementwise", "length", 4 * width))
        kernels.append(_gemm(f"narrow{layer}", "length", 4 * width, width))
    return Chain("window", tuple(kernels), {"length": length})


def _gemm(name: str, rows: Size, inner: int, columns: int) -> KernelSpec:
    return KernelSpec(name, "gemm", rows, columns, inner)
