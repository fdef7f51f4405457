"""Models of the Hugging Face hub, downloaded into the hub's own cache."""

import sys
from pathlib import Path
from typing import Any

from osae_theory.errors import InputError
from realdata.models.disk import check_disk
from realdata.models.libraries import library
from realdata.models.sources import HubModel


def download(source: HubModel) -> Path:
    """Return the folder of a hub model's files, from the hub's own cache where it has them."""
    place = f"model {source.name!r} ({source.repository}, revision {source.revision})"
    hub = library("huggingface_hub", place)
    errors = library("huggingface_hub.errors", place)
    hub_cache = Path(library("huggingface_hub.constants", place).HF_HUB_CACHE)
    print(f"{source.name}: {source.licence}; {source.note}", file=sys.stderr)
    options: dict[str, Any] = {
        "revision": source.revision,
        # Never a pickle: weights in safetensors only.
        "allow_patterns": ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model"],
    }
    try:
        hub.snapshot_download(source.repository, local_files_only=True, **options)
    except errors.LocalEntryNotFoundError:
        check_disk(hub_cache, source.n_bytes, place)
    try:
        return Path(hub.snapshot_download(source.repository, **options))
    except errors.GatedRepoError as error:
        raise InputError(
            f"{place} is gated: accept its licence on the hub and log in with `hf auth login`"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise InputError(f"{place} is not on the hub") from error
    except (errors.HfHubHTTPError, OSError, RuntimeError) as error:
        raise InputError(
            f"{place} cannot be fetched: the hub does not answer, and its files are not in "
            f"{hub_cache}"
        ) from error
