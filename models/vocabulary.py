"""A bilingual WordPiece vocabulary, trained on Korean and English text."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

from models.errors import ModelError

_PAD, _UNKNOWN, _START, _END, _MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
# As many tokens as BERT-like encoders have positions.
_LONGEST = 512
# The 2,350 syllables of KS X 1001 write nearly all Korean. They cost two pieces each, at the start of a word and
# within one, and a vocabulary of this size has room for that.
_COMMON_SYLLABLES = tuple(
    bytes((row, cell)).decode("euc_kr") for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF)
)
_ROOM_FOR_SYLLABLES = 7_500
# The units of measures are pieces whether the texts hold them or not; digits part from them ("3.5cm").
_UNITS = ("mm", "cm", "ml", "cc", "mg", "kg", "hu", "mgy")
_SPECIAL = (_PAD, _UNKNOWN, _START, _END, _MASK)
_KOREAN = re.compile(r"[\uac00-\ud7a3\u3131-\u318e]")
_LATIN = re.compile(r"[a-z]")
# What stands once is a name or a slip of the pen as often as a word; a piece has to be seen twice.
_LEAST_SEEN = 2
# Below this share a language is too small for its half of the pieces.
_ONE_SIDED = 0.05


class VocabularyError(ModelError):
    """The texts cannot make the vocabulary that was asked for; `supported` is the most that they can, if it is that."""

    def __init__(self, message: str, *, supported: int | None = None) -> None:
        super().__init__(message)
        self.supported = supported


@dataclass(frozen=True)
class Vocabulary:
    """A trained tokenizer, and what it was trained on."""

    tokenizer: PreTrainedTokenizerFast
    words: int  # of all languages, and numbers and signs
    korean: float  # share of Korean words among those that are Korean or in Latin letters
    english: float

    @property
    def one_sided(self) -> bool:
        """Whether the corpus is in one language, so that no balance could be had."""
        return min(self.korean, self.english) < _ONE_SIDED


def build(texts: Iterable[str], size: int) -> Vocabulary:
    """A vocabulary of exactly `size` pieces, balanced: Korean and English words weigh the same, however much there
    was of either.

    Everything else is as in `train_wordpiece`. Raises VocabularyError, with the size that would do, if the texts hold
    no words, if there are fewer than `size` pieces that occur twice, or if `size` has no room for the letters.
    """
    backend = _backend()
    words = _count_words(backend, texts)
    counts = {"ko": 0, "en": 0}
    for word, count in words.items():
        if (spoken := _language(word)) is not None:
            counts[spoken] += count
    total = sum(counts.values())
    if total == 0:
        raise VocabularyError("the corpus holds no word in Korean or Latin letters; add text to it")
    balanced = _balanced(words, counts)
    tokenizer = _train(backend, balanced, size, least_seen=_LEAST_SEEN)
    if len(tokenizer) < size:
        # A smaller vocabulary has fewer letters, so what was reached is not yet what can be had.
        asked = size
        while len(tokenizer) < asked:
            asked = len(tokenizer)
            tokenizer = _train(_backend(), balanced, asked, least_seen=_LEAST_SEEN)
        raise VocabularyError(
            f"the corpus supports only {asked:,} pieces that occur at least twice, not {size:,}; add text, or ask for "
            f"--size {asked}",
            supported=asked,
        )
    if len(tokenizer) > size:
        raise VocabularyError(
            f"{size:,} pieces have no room for the letters of the corpus; ask for --size {len(tokenizer)} or more"
        )
    return Vocabulary(tokenizer, words.total(), counts["ko"] / total, counts["en"] / total)


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
    backend = _backend()
    return _train(backend, _count_words(backend, texts), size)


def _backend() -> Tokenizer:
    """Normalizer and pre-tokenizer; the model is still empty."""
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
    return tokenizer


def _train(tokenizer: Tokenizer, words: Counter[str], size: int, *, least_seen: int = 0) -> PreTrainedTokenizerFast:
    # Rare signs must not crowd out words; the commonest 2,000 Hangul syllables cover running text.
    alphabet = _alphabet(words, limit=max(size // 4, 200), syllables=size >= _ROOM_FOR_SYLLABLES)
    # The trainer numbers letters inside words in the order of a hash map and breaks ties by number. Named up front
    # they keep one order; as pieces, not as special tokens, they are then put into a tokenizer of their own.
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=least_seen,
        special_tokens=[*_SPECIAL, *_UNITS, *(f"##{letter}" for letter in alphabet)],
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


def _language(word: str) -> str | None:
    """`ko` or `en`; None for numbers, signs and other scripts. What is both, such as "ct상", is Korean."""
    if _KOREAN.search(word):
        return "ko"
    return "en" if _LATIN.search(word) else None


def _balanced(words: Counter[str], counts: dict[str, int]) -> Counter[str]:
    """The words of the language that has fewer, counted so much more often that both have the same total."""
    most = max(counts.values())
    factors = {spoken: most / count for spoken, count in counts.items() if count}
    weighed: Counter[str] = Counter()
    for word, count in words.items():
        spoken = _language(word)
        # A word that stands once stays one that stands once, however rare its language is.
        weighed[word] = round(count * factors[spoken]) if spoken is not None and count > 1 else count
    return weighed


def _alphabet(words: Counter[str], limit: int, *, syllables: bool) -> list[str]:
    """The commonest letters, all of ASCII and perhaps all common syllables, in the order of Unicode."""
    letters: Counter[str] = Counter()
    for word, count in words.items():
        for letter in word:
            letters[letter] += count
    ranked = sorted(letters, key=lambda letter: (-letters[letter], letter))[:limit]
    always = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    return sorted({*ranked, *always, *(_COMMON_SYLLABLES if syllables else ())})
