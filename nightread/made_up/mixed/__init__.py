"""How Korean radiologists write: English terms, Korean grammar, abbreviations of both."""

from nightread.made_up.mixed import sentences
from nightread.made_up.mixed.findings import FINDINGS
from nightread.made_up.wording import Tongue

MIXED = Tongue(
    findings=FINDINGS,
    slots=sentences.SLOTS,
    frames=sentences.FRAMES,
    later=sentences.LATER,
    at="{}에",
    of="{}의",
    item="{of} {seen}",
    joiner=(", ", " 및 ", ", "),
    joiner_absent=(", ", " or ", " 및 "),
    check=("{} (+)", "{} (-)", ", "),
    alone=sentences.ALONE,
    normal=sentences.NORMAL,
    incidental=sentences.INCIDENTAL,
    indications=sentences.INDICATIONS,
    nothing=sentences.NOTHING,
    no_prior=("없음", "None"),
    prior=("{date} chest CT", "Previous CT, {date}"),
    addendum="Addendum) C/I 정정됨. 판독 내용 변화 없음.",
    found="Addendum) 재판독 결과, {said}",
    corrected="Corrected report) 이전 판독을 대체함.",
    later_incidental=(
        "Low-dose spectral CT로 coronary stenosis는 평가하지 않음.",
        "Sarcopenia index는 screening 기준 미만임.",
        "Both axilla의 LN들은 mRNA vaccination 후 reactive change로 {small_node}이며 benign함.",
        "MASLD 소견 있음.",
        "AI-CAD가 rib을 {size} nodule로 mark함.",
    ),
    later_indications=("LDCT screening", "Long COVID", "CAR-T 전 baseline"),
)
