"""How a Korean report puts it."""

from nightread.made_up.korean import sentences
from nightread.made_up.korean.findings import FINDINGS
from nightread.made_up.wording import Tongue

KOREAN = Tongue(
    findings=FINDINGS,
    slots=sentences.SLOTS,
    frames=sentences.FRAMES,
    later=sentences.LATER,
    at="{}에",
    of="{}의",
    item="{of} {seen}",
    joiner=(" 및 ", ", "),
    joiner_absent=(" 및 ", ", ", " 또는 "),
    check=("{} 있음", "{} 없음", ", "),
    alone=sentences.ALONE,
    normal=sentences.NORMAL,
    incidental=sentences.INCIDENTAL,
    indications=sentences.INDICATIONS,
    nothing=sentences.NOTHING,
    no_prior=("없음", "비교할 검사 없음"),
    prior=("{date} 흉부 CT", "{date} CT"),
    addendum="[추가 판독] 임상 정보가 정정됨. 판독 내용의 변화는 없음.",
    found="[추가 판독] 재판독 결과, {said}",
    corrected="[정정 판독] 이전에 보고된 판독을 대체함.",
    later_incidental=(
        "저선량 분광 검사로 심장동맥 협착은 평가하지 않음.",
        "근감소 지수는 검진 기준 미만임.",
        "액와부 림프절은 mRNA 백신 접종 후 반응성으로 {small_node}이며 정상 형태임.",
        "대사이상 지방간 소견 있음.",
        "인공지능이 늑골을 {size} 결절로 표시함.",
    ),
    later_indications=("저선량 폐암 검진", "코로나19 후유증", "CAR-T 치료 전 검사"),
)
