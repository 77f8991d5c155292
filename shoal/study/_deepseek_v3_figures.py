"""What follows from configurations alone: cache, compute, limits, and the counts of networks."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Any

from shoal.errors import ShoalError
from shoal.llm import Architecture, architecture
from shoal.llm.limits import drafted_speed, expert_parallel
from shoal.llm.training_cost import training_cost
from shoal.study.contract import Finding, Shown, Table

GB = 1e9
DEEPSEEK_V3: dict[str, Any] = {
    "model_type": "deepseek_v3", "vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432,
    "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
    "n_shared_experts": 1, "n_routed_experts": 256, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
}  # fmt: skip
LLAMA_405B: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 128256, "hidden_size": 16384, "intermediate_size": 53248,
    "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
}  # fmt: skip
QWEN_72B: dict[str, Any] = {
    "model_type": "qwen2", "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568,
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {
    "Llama 3.1 8B": LLAMA_405B
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    "Gemma 3 270M": {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048,
        "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "sliding_window": 512,
    },
    "Mixtral 8x7B": {
        "model_type": "mixtral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
}  # fmt: skip
PUBLISHED = {"DeepSeek-V3": DEEPSEEK_V3, "Qwen 2.5 72B": QWEN_72B, "Llama 3.1 405B": LLAMA_405B}
SHORT = {"DeepSeek-V3": "v3", "Qwen 2.5 72B": "72b", "Llama 3.1 405B": "405b"}
GAP = (
    "six times the {weights:.1f} billion weights that a token is multiplied with are {of_weights:.0f} before any "
    "attention; the publication does not say how it came to less"
)
ROUNDED = "of 7,000 values, as published"


def models(tokens: int) -> Iterator[Shown]:
    """Cache and compute of a token, by model; `tokens` of a training sequence."""
    known = {name: architecture(entries) for name, entries in (PUBLISHED | OTHERS).items()}
    for name in PUBLISHED:
        yield Finding(f"kv_{SHORT[name]}", known[name].cache_bytes(1) / 1000, "computed")
        cost, model = training_cost(known[name], tokens), known[name]
        gap = (
            GAP.format(weights=model.macs(0) / 1e9, of_weights=cost.weights_flops / 1e9)
            if name == "Qwen 2.5 72B"
            else ""
        )
        yield Finding(f"train_{SHORT[name]}", cost.flops / 1e9, "computed", why=gap)
    rows = []
    for name, model in known.items():
        cost = training_cost(model, tokens)
        rows.append((name, model.parameters / 1e9, model.active_parameters / 1e9, model.cache_bytes(1) / 1000,
                     cost.weights_flops / 1e9, cost.attention_flops / 1e9))  # fmt: skip
    columns = ("model", "weights, 10⁹", "met", "cache, kB a token", "training, GFLOP a token: weights", "attention")
    yield Table("From configurations", columns, rows, f"sequences of {tokens} tokens; a kilobyte has 1,000 bytes")


def limits(link_gb: float, inside_gb: float) -> Iterator[Shown]:
    """Expert parallelism over two kinds of links."""
    model = architecture(DEEPSEEK_V3)
    slow, quick = (expert_parallel(model, each * GB, width=7000, layers=61) for each in (link_gb, inside_gb))
    yield Finding("exchange", slow.exchange_s * 1e6, "modelled", why=ROUNDED)
    yield Finding("token", slow.token_s * 1e3, "modelled", why=ROUNDED)
    yield Finding("rate", slow.tokens_per_s, "modelled", why="published without its decimals")
    yield Finding("exchange_inside", quick.exchange_s * 1e6, "modelled", why=ROUNDED)
    yield Finding("token_inside", quick.token_s * 1e3, "modelled", why=ROUNDED)
    yield Finding("rate_inside", quick.tokens_per_s, "modelled", why=ROUNDED)
    true = expert_parallel(model, link_gb * GB)
    mixtral = expert_parallel(architecture(OTHERS["Mixtral 8x7B"]), link_gb * GB)
    rows = [(name, each.width, each.met, each.layers, each.link_bytes_per_s / GB, each.exchange_s * 1e6,
             each.token_s * 1e3, each.tokens_per_s) for name, each in
            (("as published", slow), ("as published", quick), ("DeepSeek-V3's own sizes", true), ("Mixtral 8x7B", mixtral))]  # fmt: skip
    columns = ("", "width", "experts of a token", "layers", "link, GB/s", "exchange, µs", "token, ms", "tokens/s")
    yield Table("One expert a device, 32 tokens of each half batch", columns, rows,
                "the publication counts all 61 layers; three have no experts")  # fmt: skip


def drafted() -> Iterator[Shown]:
    """The speed that the published acceptance gives."""
    found = drafted_speed(0.8), drafted_speed(0.9)
    yield Finding(
        "drafted", found[0], "modelled", 2, found, "at 80 % accepted; interval: to 90 %; drafts cost nothing"
    )


def networks(ports: int, planes: int) -> Iterator[Shown]:
    """Counts by construction."""
    from shoal.fleet.fat_trees import multi_plane, three_layers, two_layers

    known = {"two": two_layers(ports), "planes": multi_plane(ports, planes), "three": three_layers(ports)}
    names = {"two": "two layers", "planes": f"{planes} planes", "three": "three layers"}
    rows = []
    for key, network in known.items():
        yield Finding(f"endpoints_{key}", network.endpoints, "computed", why=f"{ports} ports")
        far = max(network.distances(0)[: network.endpoints]) - 1
        rows.append((names[key], network.endpoints, network.switches, network.between_switches, far))
    yield Finding("switches_planes", known["planes"].switches, "computed", why=f"{ports} ports")
    yield Table(f"Switches of {ports} ports", ("network", "endpoints", "switches", "links between them",
                "switches on the longest way"), rows, "planes meet inside nodes only")  # fmt: skip


def exchanges(ports: int, message_bytes: float) -> Iterator[Shown]:
    """All to all over planes and over one network of three layers, with as many endpoints."""
    from shoal.fleet.fat_trees import multi_plane, three_layers
    from shoal.sim.all_to_all import Cluster, all_to_all_s

    rails = ports // 2
    spread, single = Cluster(multi_plane(ports, rails), rails), Cluster(three_layers(ports), rails)
    seconds = {
        "planes": all_to_all_s(spread, message_bytes),
        "one network, rails changed inside nodes": all_to_all_s(single, message_bytes),
        "one network alone": all_to_all_s(single, message_bytes, railed=False),
    }
    apart, together, _ = seconds.values()
    why = f"{spread.nodes} nodes of {rails} devices, switches of {ports} ports"
    yield Finding("all_to_all", apart / together, "simulated", why=why)
    yield Table("All to all", ("", "ms"), [(name, 1e3 * each) for name, each in seconds.items()],
                f"{message_bytes / 1e6:g} MB from each device to each; {spread.network.endpoints} devices")  # fmt: skip


def inputs_matter() -> Iterator[Shown]:
    """Every figure moves with what it is made of."""
    base, more = (
        architecture(DEEPSEEK_V3),
        architecture(DEEPSEEK_V3 | {"kv_lora_rank": 256, "num_experts_per_tok": 4}),
    )
    moved = [
        isclose(more.cache_bytes(1), base.cache_bytes(1) * (256 + 64) / (512 + 64)),
        training_cost(more).weights_flops < training_cost(base).weights_flops,
        training_cost(base, 8192).attention_flops > 1.9 * training_cost(base, 4096).attention_flops,
        isclose(expert_parallel(more, 50 * GB).exchange_s * 9, expert_parallel(base, 50 * GB).exchange_s * 5),
        isclose(expert_parallel(base, 50 * GB, 64).exchange_s, 2 * expert_parallel(base, 50 * GB).exchange_s),
        drafted_speed(0.8, 0.1) < drafted_speed(0.8),
        *map(_grows, (architecture(each) for each in OTHERS.values())),
    ]
    yield Finding("inputs", all(moved), "computed", len(moved), why=f"also with {', '.join(OTHERS)}")


def refused() -> Iterator[Shown]:
    """Inputs that cannot be are named."""
    from shoal.compress.tensor_core import Adder
    from shoal.fleet.fat_trees import two_layers
    from shoal.llm.routing import Routing

    faults = {
        "nodes that do not share experts": lambda: Routing(256, 8, 7, 4),
        "experts that do not fit on the nodes": lambda: Routing(16, 8, 8, 2),
        "odd ports": lambda: two_layers(63),
        "no link": lambda: expert_parallel(architecture(DEEPSEEK_V3), 0),
        "no experts": lambda: expert_parallel(architecture(QWEN_72B), GB),
        "promotion within an instruction": lambda: Adder(promoted=100),
    }
    said = {name: _refuses(fault) for name, fault in faults.items()}
    yield Finding("refused", all(said.values()), "computed", len(said), why=", ".join(said))


def _grows(model: Architecture) -> bool:
    return (
        model.cache_bytes(2) > model.cache_bytes(1)
        and training_cost(model, 64).flops > training_cost(model, 32).flops
    )


def _refuses(fault: Any) -> bool:
    try:
        fault()
    except ShoalError:
        return True
    return False
