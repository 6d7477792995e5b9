"""How Korean reports put their sentences together: the verb comes last, and with it whether a finding is there."""

from nightread.made_up.wording import Frames, Region

MEDIASTINUM, LUNG, PLEURA, DEVICE = Region

FRAMES = Frames(
    present=(
        "{at} {seen:이} 관찰됨.",
        "{at} {seen:이} 보임.",
        "{at} {seen} 있음.",
        "{at} {seen} 소견.",
        "{at} {noun}에 해당하는 소견 있음.",
    ),
    partial=(
        "{at} {seen:이} 있으나 그 외 부위에 {noun:은} 없음.",
        "{of} {seen} 외에 {noun:은} 관찰되지 않음.",
        "{of} {seen:을} 제외하면 {noun:은} 없음.",
        "{of} {seen} 이외의 {noun:은} 보이지 않음.",
    ),
    suspected=(
        "{at} {noun:이} 의심됨.",
        "{of} {noun} 가능성이 있음.",
        "{of} {noun} 가능성이 높음.",
        "{of} {noun:을} 배제할 수 없음.",
        "{of} 음영은 인공물보다는 {noun:으로} 생각됨.",
        "{at} {noun:을} 시사하는 소견 있음.",
    ),
    changed=(
        "{of} {seen:은} {date} 검사와 비교하여 변화 없음.",
        "{date} 검사에서 보이던 {of} {seen:이} 현재도 관찰됨.",
        "{of} {seen:은} {date} 검사에 비해 증가함.",
        "{of} {seen:은} 이전과 차이 없음.",
        "이미 알려진 {of} {seen:은} 변화 없고 새로운 {noun:은} 없음.",
    ),
    lessened=(
        "{of} {seen:은} 감소하였으나 남아 있음.",
        "{date} 검사에서 보이던 {of} {seen:은} 소실되지 않음.",
        "{of} {seen:은} 호전되었으나 아직 관찰됨.",
    ),
    confirmed=(
        "{date} 판독에 기술된 {of} {seen:이} 확인됨.",
        "{date}에 의심되었던 {of} {noun:은} 맞는 것으로 확인됨.",
        "임상적으로 의심된 {noun:이} {at} 확인됨.",
    ),
    absent=(
        "{noun} 없음.",
        "{noun:은} 관찰되지 않음.",
        "{noun} 소견 없음.",
        "{noun:은} 보이지 않음.",
        "{at} {noun:은} 없음.",
        "{at} {noun:이} 의심되는 병변 없음.",
        "{at} {noun}에 해당하는 소견 없음.",
    ),
    unlikely=(
        "{of} {noun} 가능성은 없음.",
        "{of} {noun} 가능성은 낮음.",
        "{of} {noun:은} 배제할 수 있음.",
        "{of} 음영은 {noun}보다는 인공물로 생각됨.",
        "{at} {noun:을} 시사하는 소견 없음.",
    ),
    gone=(
        "{of} {seen:은} {date} 검사와 비교하여 소실됨.",
        "{date} 검사에서 보이던 {of} {seen:이} 현재 관찰되지 않음.",
        "{of} {seen:은} {date} 검사에 비해 호전되어 남아 있지 않음.",
        "{of} {seen:은} 감소하여 남아 있지 않음.",
        "{date} 검사에서 보이던 {of} {seen:은} 소실되고 새로운 {noun:은} 없음.",
        "이미 알려진 {of} {seen:은} 소실됨.",
        "{year}년 치료한 {of} {seen:은} 남아 있지 않음.",
    ),
    unconfirmed=(
        "{date} 판독에 기술된 {of} {seen:은} 확인되지 않음.",
        "{date}에 의심되었던 {of} {noun:은} 아닌 것으로 확인됨.",
        "임상적으로 의심된 {noun:은} {at} 확인되지 않음.",
    ),
    pair=(
        "{at} {seen:이} 관찰되나 {xnoun:은} 없음.",
        "{xnoun:은} 없으나 {at} {seen:이} 관찰됨.",
        "{xnoun:은} 관찰되지 않으나 {at} {seen} 있음.",
        "{at} {seen} 있으나 {xnoun:은} 관찰되지 않음.",
        "{xnoun} 없이 {at} {seen:이} 보임.",
        "{at} {seen:이} {xnoun} 없이 보임.",
    ),
    pair_changed=(
        "{date} 검사와 비교하여 {xof} {xseen:은} 소실되고 {of} {seen:은} 남아 있음.",
        "{date} 검사와 비교하여 {of} {seen:은} 남아 있고 {xof} {xseen:은} 소실됨.",
        "{of} {seen:은} 변화 없으나 {xof} {xseen:은} 보이지 않음.",
        "{xof} {xseen:은} 보이지 않으나 {of} {seen:은} 변화 없음.",
    ),
    present_list=("{list:이} 관찰됨.", "{list} 있음.", "{list:이} 보임.", "{list} 소견 있음."),
    mixed_list=(
        "{list:이} 관찰되나 {nouns:은} 없음.",
        "{nouns:은} 관찰되지 않으나 {list} 있음.",
        "{list} 있으나 {nouns:은} 관찰되지 않음.",
        "{nouns:은} 없으나 {list:이} 보임.",
    ),
    absent_list=(
        "{nouns:은} 없음.",
        "{nouns:은} 관찰되지 않음.",
        "{nouns} 소견 없음.",
        "{nouns:은} 보이지 않음.",
    ),
    summary=("{place} {seen}.", "{place} {noun}.", "{noun}, {place}."),
    summary_suspected=("{place} {noun} 의심.", "{noun} 가능성."),
    summary_changed=("{place} {seen}, 남아 있음.", "{date}에 있던 {place} {seen}, 현재도 있음."),
    summary_gone=("{place} {seen}, 소실됨.", "{date}에 있던 {place} {seen}, 현재 없음."),
    summary_absent=("{noun} 소견 없음.", "의심된 {noun:은} 없음.", "{place} {noun} 없음."),
    asked=(
        "발열, 기침. {noun} 감별",
        "흉부 X선에서 {noun} 의심",
        "{place} {seen} 추적 검사",
        "호흡곤란, {noun} 여부",
        "객혈. {noun} 확인 요망",
        "{noun} 과거력",
    ),
    quoted=(
        "{date} 흉부 CT ({at} {seen} 있었음)",
        "{date} 외부 병원 CT, 판독: {place} {seen}",
        "{date} CT, 당시 {noun} 의심",
    ),
    advised=(
        "임상적으로 {noun:이} 의심되면 추적 CT를 권함.",
        "{noun} 발생 시 추적 검사 권고.",
        "{noun} 여부에 대해 임상 소견과 비교 요망.",
    ),
)

LATER = Frames(
    present=("인공지능이 표시한 {at} {seen:이} 확인됨.", "광자계수 CT에서 {at} {seen:이} 관찰됨."),
    suspected=("인공지능이 표시한 {of} {noun:은} 판독의도 동의하는 소견임.",),
    unlikely=("인공지능이 표시한 {of} {noun:은} 위양성임.",),
    gone=("{of} {seen:은} 완전히 퇴축되어 남아 있지 않음.",),
    changed=("{of} {seen:은} 종단 비교에서 안정적으로 남아 있음.",),
    absent=("{noun} 음성.", "인공지능이 표시한 {noun:은} 없음."),
    asked=("코로나19 후유증, {noun} 여부", "면역항암제 투여 중, {noun} 감별", "저선량 폐암 검진, 이전 {noun}"),
    summary=("{place} {noun}, 구조화 코드 양성.",),
    summary_absent=("{noun}, 구조화 코드 음성.",),
)

ALONE = {
    MEDIASTINUM: ("{of} {seen} 외에 종격동에 이상 소견 없음.", "{of} {seen:을} 제외하면 종격동은 정상임."),
    LUNG: (
        "{of} {seen} 외에 양측 폐에 이상 소견 없음.",
        "{of} {seen:을} 제외하면 양측 폐는 정상임.",
        "양측 폐는 {of} {seen} 이외에 특이 소견 없음.",
    ),
    PLEURA: ("{of} {seen} 외에 흉막에 이상 소견 없음.",),
    DEVICE: (),
}

SLOTS = {
    "lobe": ("우상엽", "우중엽", "우하엽", "좌상엽", "좌하엽", "설상엽", "우측 폐첨부", "좌하엽 후기저분절"),
    "lower": ("우하엽", "좌하엽"),
    "zones": ("양측 폐", "양측 상엽", "양측 하엽", "우측 폐", "좌측 폐"),
    "side": ("우측", "좌측"),
    "station": ("우측 하부 기관주위", "기관분기부 하", "종격동", "우측 폐문", "좌측 폐문", "혈관전 공간"),
    "aorta": ("대동맥궁", "하행 대동맥", "흉부 대동맥"),
    "coronary": ("좌전하행지", "우관상동맥", "좌회선지"),
    "small": ("소량의", "미량의", "중등량의", "다량의"),
    "small_size": ("작은", "중등도 크기의", "큰"),
    "extent": ("경미한", "중등도의", "광범위한"),
    "patchy": ("반점상", "다발성", "미만성", "말초성"),
    "smooth": ("매끈한", "경미한", "미만성"),
    "emphysema_kind": ("소엽중심성", "중격주위", "범소엽성"),
    "nodule_kind": ("고형", "아고형", "간유리", "경계가 분명한", "석회화"),
    "bronchi_kind": ("원통형", "정맥류형", "낭성"),
}

NORMAL = {
    MEDIASTINUM: (
        "종격동 대혈관은 정상 크기임.",
        "폐동맥은 정상 크기임.",
        "식도 벽 비후 없음.",
        "흉부 대동맥 직경은 {aortic_width}로 정상임.",
        "비조영 검사로 종격동 평가에 제한이 있음.",
    ),
    LUNG: ("기관과 양측 주기관지는 열려 있음.", "기관 내 폐쇄성 병변 없음.", "주기관지 내경은 정상임."),
    PLEURA: ("기흉 없음.", "흉막 비후는 보이지 않음.", "흉막 표면은 매끈함."),
    DEVICE: (
        "상복부에 복수는 없음.",
        "췌장은 정상 크기임.",
        "흉추체 높이는 유지되어 있음.",
        "골 파괴 병변 없음.",
    ),
}

INCIDENTAL = (
    "갑상선 좌엽에 {size} 저음영 결절이 관찰됨.",
    "간 우엽에 {big} 낭종이 있음.",
    "좌측 부신에 선종에 합당한 {big} 결절이 보임.",
    "담낭 내 결석이 관찰됨.",
    "비장에 {size} 크기의 거친 석회화가 있음.",
    "{side} 6번 늑골의 오래된 골절이 보임.",
    "흉추에 골극을 동반한 퇴행성 변화가 있음.",
    "담낭에 경미한 벽 비후가 있음.",
    "{side} 신장에 {big} 단순 낭종이 보임.",
    "지방간 소견 있음.",
    "액와부 림프절은 {small_node}로 정상 형태임.",
    "{side} 유방에 석회화가 있음.",
    "{side} 흉벽에 피하 기종이 있음.",
    "{side}에 지방을 포함한 작은 보크달렉 탈장이 있음.",
    "늑연골 석회화가 보임.",
    "제8흉추체에 골섬에 합당한 {size} 경화성 결절이 있음.",
    "간에 색전술 후 {big} 크기의 고음영이 있음.",
    "간에 {size} 석회화 육아종이 있음.",
)

INDICATIONS = (
    "기침, 가래",
    "수술 전 검사",
    "건강 검진",
    "흉통",
    "만성폐쇄성폐질환, 호흡곤란 악화",
    "심부전",
    "체중 감소",
    "폐암과 폐기종의 가족력",
    "충수 절제술 후",
)

NOTHING = ("흉부에 특이 소견 없음.", "정상 흉부 CT 소견.", "활동성 폐 병변 없음.")
