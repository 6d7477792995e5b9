"""A bilingual WordPiece vocabulary, trained on Korean and English text."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

_PAD, _UNKNOWN, _START, _END, _MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
# As many tokens as BERT-like encoders have positions.
_LONGEST = 512


def train_wordpiece(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of at most `size` pieces, trained on `texts`. The same texts give the same
    pieces.

    - Compatibility forms are composed (NFKC): Hangul typed as separate jamo becomes syllables, and "㎜",
      "㎝²" and full-width signs become "mm", "cm2" and ASCII, so that a measure is one thing however it was
      typed.
    - Small letters only: a finding at the start of a sentence, in a heading in capitals or in the middle of
      a line is the same word, and in Korean case says nothing. Accents stay, because stripping them takes
      Hangul apart.
    - Every digit is a piece of its own: sizes decide findings ("a 12 mm lymph node"), and no vocabulary
      holds all numbers. Letters and digits part, as in "13x9mm".
    """
    tokenizer = Tokenizer(tokenizer_models.WordPiece(unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[_PAD, _UNKNOWN, _START, _END, _MASK],
        # Rare signs must not crowd out words; the commonest 2,000 Hangul syllables cover running text.
        limit_alphabet=max(size // 4, 200),
        initial_alphabet=[chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        pair=f"{_START} $A {_END} $B:1 {_END}:1",
        special_tokens=[(sign, tokenizer.token_to_id(sign)) for sign in (_START, _END)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        cls_token=_START,
        sep_token=_END,
        mask_token=_MASK,
        model_max_length=_LONGEST,
    )
