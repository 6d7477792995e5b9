"""A bilingual WordPiece vocabulary, trained on Korean and English text."""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

_PAD, _UNKNOWN, _START, _END, _MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
# As many tokens as BERT-like encoders have positions.
_LONGEST = 512
# The 2,350 syllables of KS X 1001 write nearly all Korean. They cost two pieces each, at the start of a word and
# within one, and a vocabulary of this size has room for that.
_COMMON_SYLLABLES = tuple(
    bytes((row, cell)).decode("euc_kr") for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF)
)
_ROOM_FOR_SYLLABLES = 7_500
_SPECIAL = (_PAD, _UNKNOWN, _START, _END, _MASK)


def train_wordpiece(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of at most `size` pieces, trained on `texts`. The same texts give the same
    pieces.

    - Compatibility forms are composed (NFKC): Hangul typed as separate jamo becomes syllables, and "㎜",
      "㎝²" and full-width signs become "mm", "cm2" and ASCII, so that a measure is one thing however it was
      typed.
    - Small letters only: a finding at the start of a sentence, in a heading in capitals or in the middle of
      a line is the same word, and in Korean case says nothing. Accents stay, because stripping them takes
      Hangul apart.
    - From 7,500 pieces on, all common Hangul syllables are pieces, so that a Korean word which the texts do not
      hold is spelt out and not unknown.
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
    words = _count_words(tokenizer, texts)
    # Rare signs must not crowd out words; the commonest 2,000 Hangul syllables cover running text.
    alphabet = _alphabet(words, limit=max(size // 4, 200), syllables=size >= _ROOM_FOR_SYLLABLES)
    # The trainer numbers letters inside words in the order of a hash map and breaks ties by number. Named up front
    # they keep one order; as pieces, not as special tokens, they are then put into a tokenizer of their own.
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*_SPECIAL, *(f"##{letter}" for letter in alphabet)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    scratch = Tokenizer(tokenizer_models.WordPiece(unk_token=_UNKNOWN))
    scratch.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    scratch.train_from_iterator((f"{word} " * count for word, count in sorted(words.items())), trainer)
    tokenizer.model = tokenizer_models.WordPiece(scratch.get_vocab(), unk_token=_UNKNOWN)
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


def _count_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    return words


def _alphabet(words: Counter[str], limit: int, *, syllables: bool) -> list[str]:
    """The commonest letters, all of ASCII and perhaps all common syllables, in the order of Unicode."""
    letters: Counter[str] = Counter()
    for word, count in words.items():
        for letter in word:
            letters[letter] += count
    ranked = sorted(letters, key=lambda letter: (-letters[letter], letter))[:limit]
    always = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    return sorted({*ranked, *always, *(_COMMON_SYLLABLES if syllables else ())})
