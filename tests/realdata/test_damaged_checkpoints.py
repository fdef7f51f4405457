"""Two hundred damaged copies of each format: refused in one sentence, or what they now say.

A copy that still loads (a flipped bit in a weight makes another, valid checkpoint) is held
to a plain numpy computation from the tensors and the configuration read again from disk.
"""

import json
import pickle
import shutil
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from osae_theory.errors import InputError
from realdata.checkpoints import FORMATS, load, load_dictionary
from realdata.checkpoints.ours import Origin, TopMCheckpoint, write_ours

FIXTURES = Path(__file__).parent / "fixtures"
N_COPIES = 200
SEED = 20
# Of float32 over some 24 terms, in units of the sum of their magnitudes.
ROUNDING = 1e-5
# Above it a square may overflow in float32 (norms of decoder rows are taken), and the row's
# result need not be finite; where it is, it must be right.
LARGE = 1e17


# The plain computation: float64, one small function a selection and a format.


@dataclass
class Plain:
    """What to compute; `select` returns latents, their rounding, and the rows it is sure of."""

    encoder: np.ndarray
    encoder_bias: np.ndarray
    rows: np.ndarray
    decoder_bias: np.ndarray
    offset: np.ndarray | float
    select: Callable
    enter: Callable = lambda x: (x, np.abs(x))
    leave: Callable = lambda y, slack, x: (y, slack)
    scale: np.ndarray | float = 1.0
    factors: np.ndarray | float = 1.0
    skip: np.ndarray | float = 0.0


def relu(a, slack):
    return np.maximum(a, 0), slack, np.full(len(a), True)


def top_k(k, signed=False):
    def select(a, slack):
        ranked = np.abs(a) if signed else a
        kept = np.full(a.shape, False)
        np.put_along_axis(kept, np.argsort(-ranked, axis=1, kind="stable")[:, :k], True, axis=1)
        last = np.where(kept, ranked - slack, np.inf).min(axis=1)
        first = np.where(kept, -np.inf, ranked + slack).max(axis=1)
        # Not sure where another selection is within rounding, unless that one is 0 as well.
        sure = (last > first) | ((first <= 0) & (not signed))
        return np.where(kept, a if signed else np.maximum(a, 0), 0), slack, sure

    return select


def group_max(k):
    def select(a, slack):
        grouped = (len(a) * k, -1)
        latents, slack, sure = top_k(1)(a.reshape(grouped), slack.reshape(grouped))
        return latents.reshape(a.shape), slack.reshape(a.shape), sure.reshape(-1, k).all(axis=1)

    return select


def jump_relu(threshold):
    def select(a, slack):
        apart = np.abs(a - threshold) > slack + ROUNDING * np.abs(threshold)
        sure = (apart | (np.maximum(a, threshold) < -slack)).all(axis=1)
        return np.where(a > threshold, np.maximum(a, 0), 0), slack, sure

    return select


def gated(gate, log_scale, magnitude):
    def select(a, slack):
        sure = (np.abs(a + gate) > slack + ROUNDING * np.abs(gate)).all(axis=1)
        latents = np.where(a + gate > 0, np.maximum(a * np.exp(log_scale) + magnitude, 0), 0)
        # exp() of a rounded number: its relative error grows with the number.
        grown = np.exp(log_scale) * (slack + ROUNDING * np.abs(a) * np.abs(log_scale))
        return latents, grown + ROUNDING * np.abs(magnitude), sure

    return select


def numbers(tensors):
    return {name: value.to(torch.float64).numpy() for name, value in tensors.items()}


def plain_dictionary_learning(folder):
    trainer = json.loads((folder / "config.json").read_text())["trainer"]
    content = torch.load(folder / "ae.pt", weights_only=True)
    t = numbers(content.get("ae", content))
    if content.get("norm_factor") is not None:
        for name in t:
            if "bias" in name or name in ("b_enc", "b_dec", "threshold"):
                t[name] = t[name] * content["norm_factor"]
    match trainer["dict_class"]:
        case "AutoEncoder":
            norms = np.linalg.norm(t["decoder.weight"], axis=0)
            norms = np.ones_like(norms) if np.allclose(norms, 1) else norms
            encoder, encoder_bias = t["encoder.weight"].T * norms, t["encoder.bias"] * norms
            rows = (t["decoder.weight"] / norms).T
            return Plain(encoder, encoder_bias, rows, t["bias"], t["bias"], relu)
        case "AutoEncoderNew":
            encoder, encoder_bias = t["encoder.weight"].T, t["encoder.bias"]
            rows, bias = t["decoder.weight"].T, t["decoder.bias"]
            return Plain(encoder, encoder_bias, rows, bias, 0.0, relu)
        case "GatedAutoEncoder":
            select = gated(t["gate_bias"], t["r_mag"], t["mag_bias"])
            rows, bias = t["decoder.weight"].T, t["decoder_bias"]
            encoder = t["encoder.weight"].T
            return Plain(encoder, np.zeros(len(rows)), rows, bias, bias, select)
        case "AutoEncoderTopK" | "BatchTopKSAE" as name:
            by_k = name == "AutoEncoderTopK"
            select = top_k(trainer["k"]) if by_k else jump_relu(t["threshold"])
            rows, bias = t["decoder.weight"].T, t["b_dec"]
            return Plain(t["encoder.weight"].T, t["encoder.bias"], rows, bias, bias, select)
        case "JumpReluAutoEncoder" | "MatryoshkaBatchTopKSAE" as name:
            offset = 0.0 if name == "JumpReluAutoEncoder" else t["b_dec"]
            select = jump_relu(t["threshold"])
            return Plain(t["W_enc"], t["b_enc"], t["W_dec"], t["b_dec"], offset, select)


def plain_sparsify(folder):
    config = json.loads((folder / "cfg.json").read_text())
    t = numbers(load_file(folder / "sae.safetensors"))
    activation = group_max if config.get("activation") == "groupmax" else top_k
    return Plain(
        t["encoder.weight"].T,
        t["encoder.bias"],
        t["W_dec"],
        t["b_dec"],
        0.0 if config.get("transcode") else t["b_dec"],
        activation(config["k"]),
        skip=t["W_skip"].T if config.get("skip_connection") else 0.0,
    )


def plain_gemma_scope(folder):
    with np.load(folder / "params.npz") as arrays:
        t = {name: arrays[name].astype(np.float64) for name in arrays.files}
    root = t["b_dec"].size ** 0.5 if "embedding" in folder.parts[-3:] else 1.0
    encoder, rows = t["W_enc"] / root, t["W_dec"] * root
    return Plain(encoder, t["b_enc"], rows, t["b_dec"], 0.0, jump_relu(t["threshold"]))


def plain_gemma_scope_2(folder):
    t = numbers(load_file(folder / "params.safetensors"))
    skip = t.get("affine_skip_connection", 0.0)
    select = jump_relu(t["threshold"])
    return Plain(t["w_enc"], t["b_enc"], t["w_dec"], t["b_dec"], 0.0, select, skip=skip)


def plain_llama_scope(folder):
    config = json.loads((folder / "hyperparams.json").read_text())
    t = numbers(load_file(folder / "checkpoints" / "final.safetensors"))
    entered, left = 1.0, 1.0
    if config["norm_activation"] == "dataset-wise":
        norms = config["dataset_average_activation_norm"]
        entered, left = (len(t["decoder.bias"]) ** 0.5 / norms[side] for side in ("in", "out"))
    rows = t["decoder.weight"].T * entered / left
    counted = config.get("sparsity_include_decoder_norm", True)
    size = np.linalg.norm(rows, axis=1) if counted else np.ones(len(rows))
    bias = t["decoder.bias"] / left
    threshold = config.get("jump_relu_threshold")
    if config["act_fn"] == "jumprelu" or (config["act_fn"] == "topk" and threshold):
        select = jump_relu(np.full(len(rows), threshold))
    else:
        select = relu if config["act_fn"] == "relu" else top_k(config["top_k"])
    return Plain(
        t["encoder.weight"].T * size,
        t["encoder.bias"] / entered * size,
        rows / size[:, None],
        bias,
        bias if config.get("apply_decoder_bias_to_pre_encoder", True) else 0.0,
        select,
    )


def plain_ours(folder):
    config = json.loads((folder / "config.json").read_text())
    t = numbers(load_file(folder / "sae.safetensors"))
    mean, scale = t["input_mean"], t["input_scale"]
    by_m = config["activation"] != "jumprelu"
    signed = config["activation"] == "signed"
    return Plain(
        t["encoder"],
        t["encoder_bias"],
        t["decoder"],
        t["decoder_bias"],
        t["decoder_bias"],
        top_k(config["m"], signed) if by_m else jump_relu(t["threshold"]),
        enter=lambda x: ((x - mean) / scale, np.abs((x - mean) / scale)),
        leave=lambda y, slack, x: (y * scale + mean, slack * scale + ROUNDING * np.abs(mean)),
    )


def plain_saelens(folder):
    config = json.loads((folder / "cfg.json").read_text())
    t = numbers(load_file(folder / "sae_weights.safetensors"))
    architecture, K = config.get("architecture") or "standard", len(t["W_dec"])
    if "topk" in (config.get("activation_fn_str"), config.get("activation_fn")):
        architecture = "topk"
        config["k"] = (config.get("activation_fn_kwargs") or config)["k"]
    match architecture:
        case "standard":
            select = relu
        case "topk" | "abstopk":
            select = top_k(config["k"], signed=architecture == "abstopk")
        case "transcoder" | "skip_transcoder":
            select = relu
        case "jumprelu_transcoder" | "jumprelu_skip_transcoder":
            select = jump_relu(t["threshold"] if "threshold" in t else np.exp(t["log_threshold"]))
        case "gated":
            select = gated(t["b_gate"], t["r_mag"], t["b_mag"])
        case "jumprelu":
            select = jump_relu(t["threshold"] if "threshold" in t else np.exp(t["log_threshold"]))
        case "batchtopk" | "matryoshka_batchtopk":
            select = jump_relu(np.full(K, t["topk_threshold"]))
    scale, factors = 1.0, t.get("scaling_factor", t.get("finetuning_scaling_factor", 1.0))
    if "topk" in architecture and config.get("rescale_acts_by_decoder_norm"):
        scale = np.maximum(np.linalg.norm(t["W_dec"], axis=1), 1e-8)
        factors = 1 / scale
    return Plain(
        t["W_enc"],
        t.get("b_enc", np.zeros(K)),
        t["W_dec"],
        t["b_dec"],
        t["b_dec"] if config.get("apply_b_dec_to_input", "d_out" not in config) else 0.0,
        select,
        **saelens_normalisation(folder, config.get("normalize_activations", "none")),
        scale=scale,
        factors=factors,
        skip=t["W_skip"].T if "W_skip" in t else 0.0,
    )


def saelens_normalisation(folder, name):
    def layer_norm(x):
        mean, deviation = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
        return (x - mean) / (deviation + 1e-5), (np.abs(x) + np.abs(mean)) / deviation

    def undo_layer_norm(y, slack, x):
        mean, deviation = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
        return y * deviation + mean, slack * deviation + ROUNDING * np.abs(mean)

    def factor(x):
        return np.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)

    scaler = folder / "activation_scaler.json"
    if name == "layer_norm":
        return {"enter": layer_norm, "leave": undo_layer_norm}
    if name == "constant_norm_rescale":
        return {
            "enter": lambda x: (x * factor(x), np.abs(x * factor(x))),
            "leave": lambda y, slack, x: (y / factor(x), slack / factor(x)),
        }
    if name in ("expected_average_only_in", True) and scaler.exists():
        by = json.loads(scaler.read_text())["scaling_factor"]
        by = 1.0 if by is None else by
        return {
            "enter": lambda x: (x * by, np.abs(x * by)),
            "leave": lambda y, slack, x: (y / by, slack / by),
        }
    if name == "covariance_whitening":
        t = numbers(load_file(folder / "activation_whitening.safetensors"))
        mean, matrix, inverse = t["mean"], t["matrix"], t["inverse_matrix"]
        return {
            "enter": lambda x: ((x - mean) @ matrix, np.abs(x - mean) @ np.abs(matrix)),
            "leave": lambda y, slack, x: (
                y @ inverse + mean,
                (slack + ROUNDING * np.abs(y)) @ np.abs(inverse) + ROUNDING * np.abs(mean),
            ),
        }
    return {}


PLAIN = {
    "saelens": plain_saelens,
    "dictionary_learning": plain_dictionary_learning,
    "sparsify": plain_sparsify,
    "gemma_scope": plain_gemma_scope,
    "gemma_scope_2": plain_gemma_scope_2,
    "llama_scope": plain_llama_scope,
    "ours": plain_ours,
}


def assert_what_the_files_say(plain, x, latents, reconstruction):
    """Hold latents to the plain ones, and the reconstruction to that of these latents.

    Returns the share of rows whose selection does not hang on rounding.
    """
    with np.errstate(all="ignore"):
        entered, size = plain.enter(x)
        a = ((entered - plain.offset) @ plain.encoder + plain.encoder_bias) * plain.scale
        terms = (size + np.abs(plain.offset)) @ np.abs(plain.encoder)
        slack = ROUNDING * (terms + np.abs(plain.encoder_bias)) * np.abs(plain.scale) + 1e-30
        wanted, slack, sure = plain.select(a, slack)

        decoded = latents * plain.factors
        terms = np.abs(decoded) @ np.abs(plain.rows) + np.abs(plain.decoder_bias)
        inner = decoded @ plain.rows + plain.decoder_bias
        outer, slack_out = plain.leave(inner, ROUNDING * terms, x)
        if np.ndim(plain.skip):
            outer = outer + x @ plain.skip
            slack_out = slack_out + ROUNDING * np.abs(x) @ np.abs(plain.skip)

        by_latent = latents, wanted, slack, sure
        by_dimension = reconstruction, outer, slack_out + 1e-30, np.isfinite(latents).all(axis=1)
        for found, right, near, certain in (by_latent, by_dimension):
            finite = np.isfinite(found)
            wrong = finite & ~(np.abs(found - right) <= near)
            missing = ~finite & (near.max(axis=1, keepdims=True) < LARGE * ROUNDING)
            assert not ((wrong | missing) & certain[:, None]).any()
    return sure.mean()


# What is damaged: one undamaged checkpoint or more of each format.


def random_parts(generator, d, K):
    draw = lambda *shape: torch.from_numpy(generator.normal(size=shape).astype(np.float32))  # noqa: E731
    return draw(d, K), draw(K), draw(K, d), draw(d)


def write_our_checkpoints(folder, generator):
    for name, d, K in (("relu", 8, 16), ("signed", 9, 9), ("jumprelu", 8, 16)):
        encoder, encoder_bias, decoder, bias = random_parts(generator, d, K)
        mean, scale = bias.flip(0) * 3, bias.abs() + 0.5
        checkpoint = TopMCheckpoint(
            encoder,
            encoder_bias,
            decoder,
            bias,
            mean,
            scale,
            m=4,
            activation=name,
            origin=Origin("osae", model="a model", seed=3),
            threshold=encoder_bias.abs() if name == "jumprelu" else None,
        )
        write_ours(folder / name, checkpoint)


def write_gemma_scope_2_checkpoints(folder, generator):
    for name in ("resid_post", "transcoder"):
        encoder, encoder_bias, decoder, bias = random_parts(generator, 8, 16)
        tensors = {
            "w_enc": encoder,
            "b_enc": encoder_bias,
            "w_dec": decoder,
            "b_dec": bias,
            "threshold": encoder_bias.abs(),
        }
        config = {"architecture": "jump_relu", "width": 16, "l0": 4}
        if name == "transcoder":
            tensors["affine_skip_connection"] = random_parts(generator, 8, 8)[0]
            config["affine_connection"] = True
        (folder / name).mkdir(parents=True)
        save_file(tensors, folder / name / "params.safetensors")
        (folder / name / "config.json").write_text(json.dumps(config))


def write_llama_scope_checkpoints(folder, generator):
    for name in ("residual", "transcoder"):
        encoder, encoder_bias, decoder, bias = random_parts(generator, 8, 16)
        tensors = {
            "encoder.weight": encoder.T.contiguous(),
            "encoder.bias": encoder_bias,
            "decoder.weight": decoder.T.contiguous(),
            "decoder.bias": bias,
        }
        config = {
            **{"d_model": 8, "d_sae": 16, "act_fn": "jumprelu", "top_k": 4},
            **{"norm_activation": "dataset-wise", "apply_decoder_bias_to_pre_encoder": False},
            "jump_relu_threshold": 0.4,
            "dataset_average_activation_norm": {"in": 6.0, "out": 6.0},
            "hook_point_in": "blocks.8.hook_resid_post",
            "hook_point_out": "blocks.8.hook_resid_post",
        }
        if name == "transcoder":
            config["dataset_average_activation_norm"]["out"] = 3.0
            config["hook_point_out"] = "blocks.8.hook_mlp_out"
        (folder / name / "checkpoints").mkdir(parents=True)
        save_file(tensors, folder / name / "checkpoints" / "final.safetensors")
        (folder / name / "hyperparams.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """For each format the folders of its undamaged checkpoints."""
    folder, generator = tmp_path_factory.mktemp("originals"), np.random.default_rng(SEED)
    write_our_checkpoints(folder / "ours", generator)
    write_gemma_scope_2_checkpoints(folder / "gemma_scope_2", generator)
    write_llama_scope_checkpoints(folder / "llama_scope", generator)
    made = {name: folder / name for name in ("ours", "gemma_scope_2")}
    roots = {name: FIXTURES / name for name in PLAIN} | made
    suffixes = (".pt", ".safetensors", ".npz")
    found = {}
    for name, root in roots.items():
        weights = FORMATS[name].weights
        folders = {path.parent for path in root.rglob(weights) if path.suffix in suffixes}
        found[name] = sorted(path for path in folders if path.name != "checkpoints")
    found["llama_scope"] = sorted((folder / "llama_scope").iterdir())
    return found


def inputs(folder):
    """24 activations of the right width, from the fixture or drawn."""
    if (folder / "expected.npz").exists():
        with np.load(folder / "expected.npz") as arrays:
            return arrays["x"]
    d = 9 if folder.name == "signed" else 8
    return np.random.default_rng(1).normal(scale=2, size=(24, d)).astype(np.float32)


# How it is damaged. Each takes the generator and a folder of its own, and returns nothing.


class Payload:
    """What would make a file named `executed` where it is unpickled."""

    def __init__(self, folder):
        self.marker = folder / "executed"

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def weights_in(folder):
    return next(p for p in folder.rglob("*") if p.suffix in (".pt", ".safetensors", ".npz"))


def config_in(folder):
    names = ("cfg.json", "config.json", "hyperparams.json")
    return next((p for p in folder.iterdir() if p.name in names), None)


def any_file(generator, folder):
    files = [path for path in (weights_in(folder), config_in(folder)) if path is not None]
    return files[generator.integers(len(files))]


def flip(generator, path, places):
    content = bytearray(path.read_bytes())
    for place in generator.integers(*places(len(content)), size=generator.integers(1, 5)):
        content[place] ^= 1 << generator.integers(8)
    path.write_bytes(content)


def flip_header(generator, folder):
    flip(generator, weights_in(folder), lambda n: (0, min(n, 600)))


def flip_body(generator, folder):
    flip(generator, weights_in(folder), lambda n: (n // 3, n))


def flip_low_bits(generator, folder):
    """Flip bits of the weights themselves: in safetensors files they stand at the end."""
    content = bytearray(weights_in(folder).read_bytes())
    place = len(content) - 8 * int(generator.integers(1, 16))
    content[place] ^= 1 << generator.integers(8)
    weights_in(folder).write_bytes(content)


def flip_config(generator, folder):
    if config_in(folder) is None:
        return flip_header(generator, folder)
    return flip(generator, config_in(folder), lambda n: (0, n))


def truncate(generator, folder):
    path = any_file(generator, folder)
    content = path.read_bytes()
    path.write_bytes(content[: generator.integers(1, len(content))])


def lengthen(generator, folder):
    path = any_file(generator, folder)
    path.write_bytes(path.read_bytes() + generator.bytes(int(generator.integers(1, 99))))


def empty(generator, folder):
    any_file(generator, folder).write_bytes(b"")


def remove(generator, folder):
    any_file(generator, folder).unlink()


def make_folder(generator, folder):
    path = any_file(generator, folder)
    path.unlink()
    path.mkdir()


def noise(generator, folder):
    any_file(generator, folder).write_bytes(generator.bytes(2000))


def load_tensors(path):
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return torch.load(path, weights_only=True)


def save_tensors(path, tensors):
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in tensors.items()})
    else:
        torch.save(tensors, path)


def all_finite(path):
    content = load_tensors(path)
    return all(bool(torch.isfinite(value).all()) for value in content.get("ae", content).values())


def edit_tensor(edit):
    """Make a damage of `edit(generator, tensors, name)`, which changes one floating tensor."""

    def damage(generator, folder):
        path = weights_in(folder)
        content = load_tensors(path)
        tensors = content.get("ae", content)
        names = [name for name, value in tensors.items() if value.is_floating_point()]
        edit(generator, tensors, names[generator.integers(len(names))])
        save_tensors(path, content)

    damage.__name__ = edit.__name__
    return damage


@edit_tensor
def drop_key(generator, tensors, name):
    del tensors[name]


@edit_tensor
def rename_key(generator, tensors, name):
    tensors[name + "_"] = tensors.pop(name)


@edit_tensor
def add_key(generator, tensors, name):
    tensors["another"] = tensors[name]


@edit_tensor
def change_shape(generator, tensors, name):
    value = tensors[name]
    shapes = [
        value.flatten(),
        value.unsqueeze(0),
        value[..., None],
        value.flatten()[:-1],
        value.flatten()[:0],
        value.new_zeros(1, 1),
        value.mT if value.ndim == 2 else value.expand(2, *value.shape),
    ]
    tensors[name] = shapes[generator.integers(len(shapes))]


@edit_tensor
def change_dtype(generator, tensors, name):
    kinds = [torch.float16, torch.float64, torch.int32, torch.bool, torch.uint8, torch.complex64]
    tensors[name] = tensors[name].to(kinds[generator.integers(len(kinds))])


@edit_tensor
def put_in_nan(generator, tensors, name):
    value = tensors[name].clone(memory_format=torch.contiguous_format)
    worst = (np.nan, np.inf, -np.inf)[generator.integers(3)]
    value.view(-1)[generator.integers(value.numel())] = worst
    tensors[name] = value


@edit_tensor
def put_in_huge(generator, tensors, name):
    value = tensors[name].clone(memory_format=torch.contiguous_format)
    sizes = (1e30, -1e38, 1e-40, 0.0)
    value.view(-1)[generator.integers(value.numel())] = sizes[generator.integers(4)]
    tensors[name] = value


@edit_tensor
def swap_tensors(generator, tensors, name):
    other = list(tensors)[generator.integers(len(tensors))]
    tensors[name], tensors[other] = tensors[other], tensors[name]


def unusual_tensor(generator, folder):
    """A torch file can hold tensors that are sparse, on no device, or of a few bytes but huge."""
    path = weights_in(folder)
    content = load_tensors(path)
    tensors = content.get("ae", content)
    name = next(name for name, value in tensors.items() if value.ndim == 2)
    kind = generator.integers(4 if path.suffix == ".pt" else 1)
    value = tensors[name]
    if kind == 1:
        tensors[name] = value.to_sparse()
    elif kind == 2:
        tensors[name] = value.to("meta")
    elif kind == 3:
        tensors[name] = torch.zeros(1).expand(10**7, 10**7)
    else:
        tensors[name] = value.flip(0)
    save_tensors(path, content)


NONSENSE = (
    None, [], {}, "", "abc", -1, 0, 1, 5, 1.5, 10**30, -(10**400), True, False, [4], {"k": 4},
    float("nan"), float("inf"), "topk", "6.0.0",
)  # fmt: skip


def config_section(generator, content):
    """The configuration, or one of the objects inside it."""
    inside = [value for value in content.values() if isinstance(value, dict) and value]
    return inside[0] if inside and generator.random() < 0.7 else content


def edit_config(edit):
    def damage(generator, folder):
        path = config_in(folder)
        if path is None:
            return drop_key(generator, folder)
        content = json.loads(path.read_text())
        section = config_section(generator, content)
        edit(generator, section, list(section)[generator.integers(len(section))])
        return path.write_text(json.dumps(content))

    damage.__name__ = edit.__name__
    return damage


@edit_config
def drop_field(generator, section, name):
    del section[name]


@edit_config
def nonsense_field(generator, section, name):
    section[name] = NONSENSE[generator.integers(len(NONSENSE))]


@edit_config
def nonsense_fields(generator, section, name):
    for field in section:
        if generator.random() < 0.3:
            section[field] = NONSENSE[generator.integers(len(NONSENSE))]


@edit_config
def rename_field(generator, section, name):
    section[name.upper()] = section.pop(name)


def strange_config(generator, folder):
    path = config_in(folder) or weights_in(folder)
    strange = [b"[]", b"null", b"{", b'"k"', b"[" * 10**5, b"\xff\xfe{}", b"{" + b'"a":' * 10**4,
               b'{"k": ' + b"9" * 10**4 + b"}", b"\x00" * 100, b"\xef\xbb\xbf{}"]  # fmt: skip
    path.write_bytes(strange[generator.integers(len(strange))])


def pickle_for_file(generator, folder):
    protocol = int(generator.integers(0, 6))
    any_file(generator, folder).write_bytes(pickle.dumps(Payload(folder), protocol=protocol))


def pickle_inside(generator, folder):
    """Put a payload where the format itself could hold a pickle."""
    path, payload = weights_in(folder), Payload(folder)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            content = {name: arrays[name] for name in arrays.files}
        content["threshold"] = np.array([payload, None], dtype=object)
        np.savez(path, **content)
    elif path.suffix == ".pt":
        content = load_tensors(path)
        content.get("ae", content)["another"] = payload
        old_format = bool(generator.integers(2))
        torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    else:
        torch.save(payload, path)


def pickle_in_archive(generator, folder):
    """Replace one member of an archive by a payload, its checksum right."""
    path, data = weights_in(folder), pickle.dumps(Payload(folder), protocol=2)
    if path.suffix == ".safetensors":
        path.write_bytes(data)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = [name for name in members if name.endswith(".pkl")] or list(members)
    members[pickled[generator.integers(len(pickled))]] = data
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


DAMAGES = (
    flip_header, flip_body, flip_low_bits, flip_config, truncate, lengthen, empty, remove,
    make_folder, noise, drop_key, rename_key, add_key, change_shape, change_dtype, put_in_nan,
    put_in_huge, swap_tensors, unusual_tensor, drop_field, nonsense_field, nonsense_fields,
    rename_field, strange_config, pickle_for_file, pickle_inside, pickle_in_archive,
)  # fmt: skip


def attempt(folder, x):
    """Load and apply a checkpoint, with every warning an error: a user would see it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        autoencoder = load(str(folder))
        given = torch.from_numpy(x)
        latents = autoencoder.encode(given)
        return latents, autoencoder.decode(latents, given)


def directions(decoder):
    """Rows scaled to norm 1, zero rows left."""
    rows = decoder.astype(np.float64)
    rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)


def assert_the_decoder_alone_is_no_other(folder, loaded):
    """Where an autoencoder loads, so does its decoder; where not, it may be refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            decoder = load_dictionary(str(folder)).decoder
        except InputError as error:
            said = str(error)
        else:
            said = None
    if said is not None:
        assert not loaded
        assert str(folder) in said
        assert len(said.splitlines()) == 1
        return
    assert np.isfinite(decoder).all()
    if loaded:
        wanted = load(str(folder)).decoder
        np.testing.assert_allclose(directions(decoder), directions(wanted), atol=1e-6)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_the_plain_computation_agrees_on_undamaged_checkpoints(originals, name):
    assert originals[name]
    for folder in originals[name]:
        x = inputs(folder)
        found = [part.numpy().astype(np.float64) for part in attempt(folder, x)]
        plain = PLAIN[name](folder)
        assert assert_what_the_files_say(plain, x.astype(np.float64), *found) > 0.9
        if (folder / "expected.npz").exists():
            with np.load(folder / "expected.npz") as arrays:
                wanted = arrays["latents"].astype(np.float64), arrays["reconstruction"]
            assert_what_the_files_say(plain, x.astype(np.float64), *wanted)


def test_the_payload_does_run_where_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path)))
    assert (tmp_path / "executed").exists()


def test_every_format_is_damaged_here():
    assert set(PLAIN) == {name for name, format_ in FORMATS.items() if not format_.by_name}


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_damaged_copies_are_refused_or_computed_as_they_now_are(originals, tmp_path, name):
    counts, sure = Counter(), []
    for i in range(N_COPIES):
        sequence = np.random.SeedSequence(SEED, spawn_key=(sorted(PLAIN).index(name), i))
        generator = np.random.default_rng(sequence)
        original = originals[name][generator.integers(len(originals[name]))]
        x = inputs(original)
        # Gemma Scope's format reads the names of folders.
        folder = tmp_path / str(i) / Path(*original.parts[-3:])
        shutil.copytree(original, folder, ignore=shutil.ignore_patterns("expected.npz"))
        damage = DAMAGES[i % len(DAMAGES)]
        damage(generator, folder)
        loaded = counts[damage.__name__, "loaded"]
        what = f"copy {i} of {name}: {original.name}, {damage.__name__}"
        try:
            found = attempt(folder, x)
        except InputError as error:
            counts[damage.__name__, "refused"] += 1
            message = str(error)
            assert str(folder) in message, f"{what} names no file: {message}"
            assert len(message.splitlines()) == 1, what
            assert len(message) < len(str(folder)) * 3 + 500, what
        else:
            counts[damage.__name__, "loaded"] += 1
            assert all_finite(weights_in(folder)), f"{what} holds NaN or Inf and is not refused"
            given = [part.numpy().astype(np.float64) for part in (torch.from_numpy(x), *found)]
            try:
                sure.append(assert_what_the_files_say(PLAIN[name](folder), *given))
            except Exception as error:
                raise AssertionError(f"{what} is computed wrongly") from error
        assert_the_decoder_alone_is_no_other(folder, counts[damage.__name__, "loaded"] > loaded)
        assert not (folder / "executed").exists(), f"{what} ran code"
    total = {
        kind: sum(n for (_, outcome), n in counts.items() if outcome == kind)
        for kind in ("refused", "loaded")
    }
    print(f"\n{name}: {total['refused']} refused, {total['loaded']} loaded, of {N_COPIES}")
    assert total["refused"] + total["loaded"] == N_COPIES
    assert total["loaded"] >= 5
    assert np.mean(sure) > 0.8
