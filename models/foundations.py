"""Encoders and tokenizers from a folder or a hub: loaded, checked, and saved so that they come back the
same.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file

from models.errors import FoundationError, first_line

# Sentences of reports are far shorter, so that is what a classifier learns on; in a longer window one phrase drowns
# in the mean of all tokens.
_LONGEST_WINDOW = 128
_SPECIAL_TOKENS = ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token")


def load_encoder(source: str | Path) -> PreTrainedModel:
    """The encoder in float32 from a folder or hub id, from safetensors only, without remote code.

    Raises FoundationError, with the way out, if there is none or if it is not an encoder.
    """
    _refuse_unreachable(source)
    try:
        with quietly():
            encoder, loading = AutoModel.from_pretrained(
                source,
                use_safetensors=True,  # never a pickle
                trust_remote_code=False,
                dtype="float32",
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError) as error:
        raise FoundationError(
            f"foundation {str(source)!r} cannot be loaded ({first_line(error)}); give a folder with config.json and "
            "model.safetensors (a pytorch_model.bin must be converted first), or a hub id this machine can reach"
        ) from None
    except RuntimeError:  # what transformers raises when a tensor has another shape
        raise misfit(source) from None
    # A masked-LM checkpoint has no pooler; we do not use one.
    if any("pooler" not in key for key in loading["missing_keys"]):
        raise misfit(source)
    assert isinstance(encoder, PreTrainedModel)
    if not _sees_both_ways(encoder):
        raise FoundationError(
            f"foundation {str(source)!r} is no bidirectional encoder; take a masked language model such as BERT"
        )
    return encoder


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer from a folder or hub id, its `tokenizer.json` taken exactly as it stands.

    transformers 5 rebuilds the normalizer of a BERT tokenizer from its class: with a cased Korean vocabulary
    "폐렴" then becomes [UNK]. So the class is asked for special tokens only, unless there is no tokenizer.json.
    """
    _refuse_unreachable(source)
    try:
        with quietly():
            found = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
            saved = cached_file(str(source), "tokenizer.json", _raise_exceptions_for_missing_entries=False)
            # vocab.txt does not say whether it is cased, and transformers takes it for not. BioBERT's is, and brings no
            # tokenizer_config.json to say so.
            if not saved and not _says_case(source) and any(map(is_capitalised, found.get_vocab())):
                found = AutoTokenizer.from_pretrained(
                    source, use_fast=True, trust_remote_code=False, do_lower_case=False
                )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise FoundationError(
            f"foundation {str(source)!r} has no tokenizer that can be loaded ({first_line(error)}); "
            "put its tokenizer.json, or its vocab.txt and tokenizer_config.json, beside the weights"
        ) from None
    if not getattr(found, "is_fast", False):
        raise FoundationError(
            f"foundation {str(source)!r} has only a slow tokenizer, which knows no character offsets; "
            "convert it to a tokenizer.json"
        )
    backend = Tokenizer.from_file(saved) if saved else found.backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        model_max_length=found.model_max_length,
        **{name: getattr(found, name) for name in _SPECIAL_TOKENS if getattr(found, name)},
    )
    _check_tokenizer(source, tokenizer)
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes tokenizer.json and a tokenizer_config.json that transformers 4 and 5 load without rebuilding
    it.
    """
    bare(tokenizer).save(str(folder / "tokenizer.json"))
    config: dict[str, object] = {name: getattr(tokenizer, name) for name in _SPECIAL_TOKENS if getattr(tokenizer, name)}
    # Any class that names BERT would have its normalizer rebuilt; see load_tokenizer.
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config["model_max_length"] = tokenizer.model_max_length
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True))


def bare(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy of what does the work, which neither pads nor cuts, and to which "[SEP]" in a text is text."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return backend


def longest_window(
    encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, at_most: int = _LONGEST_WINDOW
) -> int:
    """How many tokens, special ones included, the encoder may be given at once."""
    limits = [at_most, tokenizer.model_max_length]
    positions = getattr(encoder.config, "max_position_embeddings", None)
    if positions:
        # RoBERTa and its kin count positions from after the padding index.
        table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
        padding = getattr(table, "padding_idx", None)
        limits.append(positions if padding is None else positions - padding - 1)
    return int(min(limits))


def _check_tokenizer(source: str | Path, tokenizer: PreTrainedTokenizerFast) -> None:
    # Without any file transformers makes up a tokenizer that knows special tokens and nothing else.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) == 0:
        raise FoundationError(
            f"foundation {str(source)!r} has no tokenizer; put its tokenizer.json, or its vocab.txt and "
            "tokenizer_config.json, beside the weights"
        )
    for name in ("pad_token", "mask_token"):
        if getattr(tokenizer, name) is None:
            raise FoundationError(
                f"the tokenizer of foundation {str(source)!r} has no {name.replace('_', ' ')}; name it in "
                "tokenizer_config.json, or take a masked language model such as BERT"
            )
    # A wrong normalizer takes Hangul apart before a vocabulary of whole syllables sees it.
    syllables = [word for word in tokenizer.get_vocab() if "가" <= word[0] <= "힣"][:200]
    if syllables and all(tokenizer.unk_token in tokenizer.tokenize(word) for word in syllables):
        raise FoundationError(
            f"the tokenizer of foundation {str(source)!r} reads every Hangul word of its own vocabulary as unknown; "
            "set do_lower_case (or strip_accents) to false in its tokenizer_config.json"
        )


def misfit(source: str | Path) -> FoundationError:
    """What to raise where weights and config.json do not belong together."""
    return FoundationError(
        f"foundation {str(source)!r}: its weights do not fit its config.json; take both from the same model"
    )


def _sees_both_ways(encoder: PreTrainedModel) -> bool:
    """Whether a later token changes how an earlier one is read, which no decoder does."""
    ids = torch.tensor([[1, 2, 3], [1, 2, 4]])
    try:
        with torch.inference_mode():
            hidden = encoder.train(False)(inputs_embeds=encoder.get_input_embeddings()(ids)).last_hidden_state
    except (TypeError, ValueError, AttributeError):
        return False  # an encoder-decoder asks for more than this
    return not torch.equal(hidden[0, 0], hidden[1, 0])


def _says_case(source: str | Path) -> bool:
    file = cached_file(str(source), "tokenizer_config.json", _raise_exceptions_for_missing_entries=False)
    return file is not None and "do_lower_case" in json.loads(Path(file).read_text(encoding="utf-8"))


def is_capitalised(piece: str) -> bool:
    """Whether a piece begins a sentence or a name, which only a cased vocabulary tells."""
    return piece.isascii() and piece.isalpha() and piece.istitle()


def _refuse_unreachable(source: str | Path) -> None:
    """Asked first, for without a network transformers tries for most of a minute and then blames a file."""
    text = str(source)
    if Path(text).is_dir():
        return
    if isinstance(source, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise FoundationError(f"there is no folder {text!r}; give the folder of a foundation model or its hub id")
    try:
        if not isinstance(try_to_load_from_cache(text, "config.json"), str):
            get_hf_file_metadata(hf_hub_url(text, "config.json"))
    except (OSError, ValueError):
        return  # the hub answers, or is not to be asked: what it says of this id is told where it is loaded
    except Exception as error:  # noqa: BLE001 - the hub's client has changed its network library, and its errors, before
        raise FoundationError(
            f"foundation {text!r} is no folder, and the hub cannot be reached ({first_line(error)}); give the folder "
            "of a foundation model"
        ) from None


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' own progress bars and reports; what matters of them becomes an error here."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
