"""Made-up reports in Korean, English and both, small enough to learn in seconds."""

import numpy as np
from numpy.typing import NDArray

LABELS = ("Pleural effusion", "Lung nodule", "폐렴 소견")
STATEMENTS = (
    ("Bilateral pleural effusion is observed.", "우측에 흉수가 관찰됨.", "양측 pleural effusion 있음."),
    ("A 7 mm nodule is seen in the right upper lobe.", "좌하엽에 3.5 cm 결절이 있습니다.", "RUL에 nodule 보임."),
    ("Consolidation suggests pneumonia.", "폐렴을 시사하는 경화가 있습니다.", "좌측에 pneumonia 의심됨."),
)
NORMAL = (
    "The heart is normal.",
    "Trachea and both main bronchi are open.",
    "심장 크기는 정상임.",
    "대동맥 직경은 정상입니다.",
    "No lymph node is enlarged.",
    "림프절 종대 없음.",
)


def made_up_reports(count: int, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """Bilingual reports of a few sentences, and which of LABELS they state: (count, 3)."""
    random = np.random.default_rng(seed)
    truth = (random.random((count, len(LABELS))) < 0.3).astype(np.int64)
    texts = []
    for row in truth:
        sentences = [str(random.choice(STATEMENTS[label])) for label in np.flatnonzero(row)]
        sentences += [str(sentence) for sentence in random.choice(NORMAL, 4, replace=False)]
        texts.append(" ".join(random.permutation(sentences)))
    return texts, truth
