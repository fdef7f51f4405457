"""Packaged models, dequantised once from GGUF into the cache folder and checked ever after."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from osae_theory.errors import InputError, check_choice
from osae_theory.files import write_atomically
from realdata.models.disk import cache_folder, check_disk, sha256_of
from realdata.models.libraries import SETUP, library, need
from realdata.models.sources import MODELS, PackagedModel


def convert(name: str, *, cache: Path | None = None) -> Path:
    """Dequantise a packaged model into the cache folder, once, and return its folder.

    The GGUF file's sha256 is verified first; the folder appears whole or not at all, and a
    second call finds it. Progress, licence and note go to standard error.

    Parameters
    ----------
    name : str
        A packaged model of `MODELS`.
    cache : Path, optional
        As in `cache_folder`.

    Returns
    -------
    Path
        A folder that transformers and TransformerLens load without a network.

    Raises
    ------
    InputError
        If the model is unknown or not a packaged one, its package is not installed or its
        file is not the expected one, or the disk is too small or cannot be written to.
    """
    check_choice("model", name, [n for n, s in MODELS.items() if isinstance(s, PackagedModel)])
    source = MODELS[name]
    assert isinstance(source, PackagedModel)
    folder = cache_folder(cache) / "models" / f"{name}-{source.sha256[:12]}"
    if _record(folder).is_file():
        return folder
    for module in ("transformers", "gguf"):
        need(module, f"model {name!r}", SETUP)
    need(source.module, f"model {name!r} ({source.package})", source.target)
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Released by the system when a process is killed; what it left is removed below.
        with FileLock(folder.with_suffix(".lock")):
            if not _record(folder).is_file():
                check_disk(folder.parent, source.n_bytes + 300_000_000, f"model {name!r}")
                _convert_into(folder, source)
    except OSError as error:
        raise InputError(
            f"model {name!r} cannot be written to {folder}: {error.strerror or error}"
        ) from error
    return folder


def _convert_into(folder: Path, source: PackagedModel) -> None:
    from tqdm import tqdm

    print(f"{source.name}: {source.licence}; {source.note}", file=sys.stderr)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with tqdm(total=3, desc="verify", unit="step", leave=False) as bar:
            gguf = _gguf_file(source, partial)
            bar.update()
            bar.set_description("dequantise")
            model, tokeniser = _dequantised(gguf)
            bar.update()
            bar.set_description("write")
            model.save_pretrained(partial)
            tokeniser.save_pretrained(partial)
            if source.in_parts:
                gguf.unlink()
            hashes = {file.name: sha256_of(file) for file in sorted(partial.iterdir())}
            text = json.dumps({"gguf": source.sha256, "files": hashes}, indent=1)
            write_atomically(_record(partial), lambda path: path.write_text(text))
            bar.update()
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _gguf_file(source: PackagedModel, folder: Path) -> Path:
    """Return the model's GGUF file with its checksum verified."""
    if source.in_parts:
        module = importlib.import_module(source.module)
        path = folder / source.file
        try:
            module.assemble(path)
        except (ImportError, FileNotFoundError, ValueError) as error:
            raise InputError(f"{source.package} is damaged ({error}): {source.target}") from error
    else:
        # Found, not imported: the module stands on libraries that nothing here needs.
        spec = importlib.util.find_spec(source.module)
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / source.file
    if not path.is_file():
        raise InputError(f"{path} is not there: expected it from {source.package}")
    found = sha256_of(path)
    if found != source.sha256:
        raise InputError(f"{path} has sha256 {found}: expected {source.sha256}")
    return path


def _dequantised(gguf: Path) -> tuple[Any, Any]:
    transformers = library("transformers", "a GGUF file")
    options = {"gguf_file": gguf.name, "local_files_only": True}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, dtype=torch.float32, **options
    )
    tokeniser = transformers.AutoTokenizer.from_pretrained(gguf.parent, **options)
    # save_pretrained refuses a model that says it is quantised; this one no longer is.
    model.hf_quantizer = None
    del model.config.quantization_config
    return model, tokeniser


def _record(folder: Path) -> Path:
    return folder / "conversion.json"


def check_cached(folder: Path) -> None:
    """Raise InputError unless a converted model is as it was written."""
    try:
        files = json.loads(_record(folder).read_text())["files"]
        whole = all(sha256_of(folder / name) == known for name, known in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{folder} is damaged: delete it, and it will be made anew")
