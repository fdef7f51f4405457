"""Pretrained language models read at one hook point, through TransformerLens."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int

from osae_theory.errors import InputError, check_integer
from realdata.models.hooks import block_of_hook
from realdata.models.language import LanguageModel, Replacement
from realdata.models.libraries import library


class BridgedModel(LanguageModel):
    """A model behind TransformerLens's TransformerBridge.

    Parameters
    ----------
    bridge : TransformerBridge
        The model, with the weights as they were released: nothing folded, nothing centred.
    name, hook, weights : str
        As in `LanguageModel`.

    Raises
    ------
    InputError
        If the hook point is not in the model.
    """

    def __init__(self, bridge: Any, name: str, hook: str, weights: str) -> None:
        block = block_of_hook(hook, bridge.cfg.n_layers)
        if hook not in bridge.hook_dict:
            raise InputError(f"hook point {hook!r} is not in the model {name}")
        self.name, self.hook, self.weights = name, hook, weights
        self.d, self.context = int(bridge.cfg.d_model), int(bridge.cfg.n_ctx)
        self.bos = bridge.tokenizer.bos_token_id
        self._bridge, self._n_blocks = bridge, block + 1
        self._device = next(iter(bridge.original_model.parameters())).device

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without special tokens."""
        if not texts:
            return []
        encoded = self._bridge.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""
        ids = [int(token) for token in tokens]
        return self._bridge.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    @torch.inference_mode()
    def activations(self, tokens: Int[np.ndarray, "b t"]) -> Float32[np.ndarray, "b t d"]:
        """Return the activations at the hook point; later blocks are not computed."""
        _, cache = self._bridge.run_with_cache(
            self._tensor(tokens),
            return_type=None,
            stop_at_layer=self._n_blocks,
            names_filter=self.hook,
        )
        return cache[self.hook].float().cpu().numpy()

    @torch.inference_mode()
    def cross_entropy(
        self, tokens: Int[np.ndarray, "b t"], replace: Replacement | None = None
    ) -> Float32[np.ndarray, "b t-1"]:
        """Return the cross-entropy in nats of every next token; see `LanguageModel`."""
        check_integer("the number of tokens in a context", tokens.shape[1], 2)
        hooks = [] if replace is None else [(self.hook, _hook(replace))]
        losses = []
        # One context at a time: a vocabulary of 262,144 makes a batch's logits a gigabyte.
        for context in self._tensor(tokens):
            logits = self._bridge.run_with_hooks(
                context[None], return_type="logits", fwd_hooks=hooks
            )
            losses.append(
                torch.nn.functional.cross_entropy(
                    logits[0, :-1].float(), context[1:], reduction="none"
                )
            )
        return torch.stack(losses).cpu().numpy()

    def _tensor(self, tokens: Int[np.ndarray, "b t"]) -> torch.Tensor:
        check_integer("the number of contexts", tokens.shape[0], 1)
        if tokens.shape[1] > self.context:
            raise InputError(
                f"contexts of {tokens.shape[1]} tokens: expected at most {self.context}, "
                f"the context of {self.name}"
            )
        return torch.from_numpy(tokens.astype(np.int64)).to(self._device)


def _hook(replace: Replacement) -> Callable[..., torch.Tensor]:
    def put_in(value: torch.Tensor, hook: Any) -> torch.Tensor:
        rows = value[:, 1:].reshape(-1, value.shape[-1]).float().cpu().numpy()
        replaced = torch.from_numpy(np.ascontiguousarray(replace(rows))).to(value)
        return torch.cat([value[:, :1], replaced.reshape(value[:, 1:].shape)], dim=1)

    return put_in


def boot(folder: Path, device: str, dtype: str) -> Any:
    """Return the TransformerBridge of a folder that transformers loads without a network."""
    from safetensors import SafetensorError

    bridge = library("transformer_lens.model_bridge", "a language model")
    try:
        return bridge.TransformerBridge.boot_transformers(
            str(folder), device=device, dtype=getattr(torch, dtype)
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the model in {folder} cannot be loaded: {reason}") from error
