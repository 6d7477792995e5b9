"""How a Korean report puts it."""

from nightread.made_up.wording import Layout, Region, Tongue, Wording

MEDIASTINUM, LUNG, PLEURA, DEVICE = Region

_FINDINGS = {
    "Medical material": Wording(
        DEVICE,
        nouns=("삽입된 의료 기구", "수술 재료"),
        present=(
            "중심정맥관이 삽입되어 있으며 끝은 상대정맥에 위치함.",
            "좌측 전흉벽에 심박동기가 관찰됨.",
            "흉골 절개술 후 봉합 철사가 보임.",
            "{coronary}에 스텐트가 있음.",
            "우측 흉벽에 케모포트가 있음.",
            "기관 내 튜브가 기관분기부 {cm} cm 상방에 위치함.",
            "비위관이 위 내로 삽입되어 있음.",
        ),
        absent=("흉부에 삽입된 도관이나 기구는 없음.", "수술 재료는 보이지 않음."),
        gone=("이전 검사에서 보이던 중심정맥관은 제거됨.",),
        summary=("의료 기구 삽입 상태.", "흉부 내 의료 기구."),
        listed=False,
    ),
    "Arterial wall calcification": Wording(
        MEDIASTINUM,
        nouns=("대동맥 벽 석회화", "동맥벽 석회화"),
        present=(
            "대동맥궁 벽에 죽상경화성 석회화가 관찰됨.",
            "흉부 대동맥에 {extent} 석회화가 있음.",
            "대동맥과 그 분지에 석회화 죽상반이 보임.",
            "하행 대동맥 벽의 석회화가 동맥류 없이 관찰됨.",
        ),
        absent=("흉부 대동맥에 석회화 죽상반은 없음.",),
        summary=("대동맥 죽상경화성 석회화.", "동맥벽 석회화."),
        where="대동맥궁의",
        lasting=True,
    ),
    "Cardiomegaly": Wording(
        MEDIASTINUM,
        nouns=("심비대", "심장 비대"),
        present=(
            "심장이 커져 있음.",
            "심흉비 0.{ctr}로 심장 크기가 증가되어 있음.",
            "좌심방과 좌심실의 확장이 관찰됨.",
            "심비대 있음.",
        ),
        absent=("심장 크기는 정상임.", "심장은 커져 있지 않음.", "심흉비는 정상 범위임."),
        summary=("심비대.", "심장 크기 증가."),
        lasting=True,
    ),
    "Pericardial effusion": Wording(
        MEDIASTINUM,
        nouns=("심낭 삼출", "심낭 삼출액"),
        present=(
            "두께 {mm} mm의 심낭 삼출이 관찰됨.",
            "{small} 심낭 삼출액이 있음.",
            "심낭강 내에 최대 {mm} mm의 액체 저류가 보임.",
            "{small} 심낭 삼출이 심낭 압전 소견 없이 관찰됨.",
        ),
        absent=("심낭 삼출이나 비후는 관찰되지 않음.", "심낭강 내 액체 저류 없음."),
        summary=("{small} 심낭 삼출.", "심낭 삼출."),
        doubtful=True,
        lasting=True,
    ),
    "Coronary artery wall calcification": Wording(
        MEDIASTINUM,
        nouns=("관상동맥 석회화", "관상동맥벽 석회화"),
        present=(
            "{coronary}에 {extent} 석회화가 관찰됨.",
            "관상동맥에 석회화 죽상경화반이 있음.",
            "관상동맥 석회화가 {coronary}에서 가장 뚜렷하게 보임.",
        ),
        absent=("관상동맥에 석회화 죽상반은 보이지 않음.",),
        summary=("관상동맥 석회화.", "관상동맥 죽상경화증."),
        where="{coronary}의",
        lasting=True,
    ),
    "Hiatal hernia": Wording(
        MEDIASTINUM,
        nouns=("열공 탈장", "식도 열공 탈장"),
        present=(
            "식도 하단에 작은 열공 탈장이 관찰됨.",
            "활주형 열공 탈장이 있음.",
            "위의 일부가 식도 열공을 통해 흉강 내로 탈장되어 보임.",
            "{cm} cm 크기의 열공 탈장이 폐쇄 소견 없이 관찰됨.",
        ),
        absent=("식도 열공은 정상 넓이임.",),
        summary=("열공 탈장.", "활주형 식도 열공 탈장."),
        lasting=True,
    ),
    "Lymphadenopathy": Wording(
        MEDIASTINUM,
        nouns=("림프절 종대", "림프절 비대", "종격동 림프절 종대"),
        present=(
            "{station}에 단경 {node} mm까지 커진 림프절들이 관찰됨.",
            "{station}에 {node} mm 림프절이 있음.",
            "{station} 림프절 종대가 보이며 최대 {node} mm임.",
            "{station}에 다수의 커진 림프절이 괴사 소견 없이 관찰됨.",
        ),
        absent=(
            "종격동, 폐문 및 액와부에 커진 림프절은 없음.",
            "{station} 림프절은 의미 있게 커져 있지 않음.",
            "종격동 림프절은 모두 단경 1 cm 미만임.",
        ),
        summary=("종격동 림프절 종대.", "{station} 림프절 비대."),
        where="{station}의",
        doubtful=True,
        lasting=True,
    ),
    "Emphysema": Wording(
        LUNG,
        nouns=("폐기종", "폐기종성 변화"),
        present=(
            "{zones}에 {emphysema_kind} 폐기종이 관찰됨.",
            "{zones}에 폐기종성 변화가 있음.",
            "{zones}에 {extent} {emphysema_kind} 폐기종이 보임.",
            "{zones}에 기포와 폐기종이 기흉 없이 관찰됨.",
        ),
        absent=("폐기종성 변화나 기포는 보이지 않음.",),
        summary=("{emphysema_kind} 폐기종.", "{zones} 폐기종.", "폐기종."),
        where="{zones}의",
        lasting=True,
    ),
    "Atelectasis": Wording(
        LUNG,
        nouns=("무기폐", "용적 감소"),
        present=(
            "{lobe}에 선상 무기폐가 관찰됨.",
            "{lobe}에 아분절 무기폐가 있음.",
            "{lower}에 압박성 무기폐가 보임.",
            "{lobe}의 판상 무기폐가 기관지 폐쇄 없이 관찰됨.",
        ),
        absent=("양측 폐는 용적 감소 없이 잘 팽창되어 있음.",),
        summary=("{lobe} 아분절 무기폐.", "선상 무기폐."),
        where="{lobe}의",
        doubtful=True,
    ),
    "Lung nodule": Wording(
        LUNG,
        nouns=("폐결절", "폐 결절"),
        present=(
            "{lobe}에 {mm} mm 크기의 {nodule_kind} 결절이 관찰됨.",
            "{lobe}에 {mm} x {mm2} mm {nodule_kind} 결절이 있음.",
            "{zones}에 최대 {mm} mm의 결절들이 보임.",
            "{lobe}에 {cm} cm 크기의 침상 변연을 가진 결절이 관찰됨.",
            "{lobe}에 {mm} mm 비특이적 결절이 석회화 없이 관찰됨.",
        ),
        absent=("양측 폐에 결절이나 종괴는 없음.", "{lobe}에 결절성 병변은 보이지 않음."),
        summary=("{lobe} 결절.", "폐결절, 추적 CT 권고."),
        where="{lobe}의",
        doubtful=True,
        lasting=True,
    ),
    "Lung opacity": Wording(
        LUNG,
        nouns=("간유리 음영", "젖빛 유리 음영"),
        present=(
            "{zones}에 {patchy} 간유리 음영이 관찰됨.",
            "{lobe}에 간유리 음영 증가가 있음.",
            "{zones}에 감염에 합당한 {patchy} 음영이 보임.",
            "{lobe}에 {cm} cm의 경계가 불분명한 간유리 음영이 공동 없이 관찰됨.",
        ),
        absent=("양측 폐에 간유리 음영은 없음.", "간유리 음영 증가는 관찰되지 않음."),
        gone=("이전 검사에서 보이던 {zones}의 간유리 음영은 호전되어 보이지 않음.",),
        summary=("{patchy} 간유리 음영, 감염 의심.", "{lobe} 간유리 음영.", "간유리 음영."),
        where="{lobe}의",
        doubtful=True,
    ),
    "Pulmonary fibrotic sequela": Wording(
        LUNG,
        nouns=("섬유화 후유증", "섬유성 반흔", "섬유화 병변"),
        present=(
            "양측 폐첨부에 늑막폐 반흔이 관찰됨.",
            "{lobe}에 섬유성 띠가 있음.",
            "{lobe}에 이전 결핵에 의한 섬유화 병변이 보임.",
            "{lobe}의 섬유성 반흔이 활동성 병변 없이 관찰됨.",
        ),
        absent=("반흔이나 섬유성 띠는 보이지 않음.",),
        summary=("{lobe} 섬유성 반흔.", "비활동성 섬유화 병변."),
        where="{lobe}의",
        lasting=True,
    ),
    "Pleural effusion": Wording(
        PLEURA,
        nouns=("흉수", "흉막 삼출"),
        present=(
            "{side} {small} 흉수가 있음.",
            "{side}에 최대 깊이 {cm} cm의 흉수가 관찰됨.",
            "양측 흉수가 보이며 {side}에 더 많음.",
            "{side} 흉막강 내 액체 저류가 관찰됨.",
            "{side} 흉수가 소방 형성 없이 관찰됨.",
        ),
        absent=(
            "양측에 흉수나 흉막 비후는 없음.",
            "양측 흉막강에 액체 저류는 보이지 않음.",
            "흉막 삼출은 양측 모두 관찰되지 않음.",
        ),
        gone=("이전 검사에서 보이던 {side} 흉수는 소실됨.",),
        summary=("{side} {small} 흉수.", "{side} 흉수.", "흉수."),
        where="{side}의",
        doubtful=True,
        lasting=True,
    ),
    "Mosaic attenuation pattern": Wording(
        LUNG,
        nouns=("모자이크 감쇠", "모자이크 음영", "공기 포획"),
        present=(
            "{zones}에 모자이크 감쇠 양상이 관찰됨.",
            "소기도 질환에 합당한 모자이크 감쇠가 보임.",
            "{zones}에 감쇠가 감소된 부분이 모자이크 양상으로 있음.",
            "{zones}의 모자이크 음영이 혈관 폐쇄 없이 관찰됨.",
        ),
        absent=("양측 폐의 감쇠는 균일함.",),
        summary=("모자이크 감쇠, 소기도 질환 의심.", "모자이크 감쇠 양상."),
        where="{zones}의",
        doubtful=True,
    ),
    "Peribronchial thickening": Wording(
        LUNG,
        nouns=("기관지 주위 비후", "기관지벽 비후"),
        present=(
            "{zones}에 기관지 주위 비후가 관찰됨.",
            "{lobe}의 기관지벽이 두꺼워져 보임.",
            "{zones}에 기관지염에 합당한 기관지벽 비후가 있음.",
            "미만성 기관지벽 비후가 점액 저류 없이 관찰됨.",
        ),
        absent=("기관지벽 두께는 정상임.",),
        summary=("기관지벽 비후.", "{zones} 기관지 주위 비후."),
        where="{zones}의",
        doubtful=True,
    ),
    "Consolidation": Wording(
        LUNG,
        nouns=("폐경화", "경화 병변"),
        present=(
            "{lobe}에 공기 기관지 조영을 동반한 폐경화가 관찰됨.",
            "{lobe}에 {cm} cm 범위의 경화가 있음.",
            "{lower}에 폐렴에 합당한 {patchy} 경화가 보임.",
            "{lobe}의 분절성 폐경화가 농양 없이 관찰됨.",
        ),
        absent=("양측 폐에 폐경화는 보이지 않음.",),
        gone=("이전 검사의 {lobe} 폐경화는 소실됨.",),
        summary=("{lobe} 폐경화, 폐렴.", "폐렴성 경화."),
        where="{lobe}의",
        doubtful=True,
    ),
    "Bronchiectasis": Wording(
        LUNG,
        nouns=("기관지 확장증", "기관지 확장"),
        present=(
            "{lobe}에 기관지 확장증이 관찰됨.",
            "{lobe}에 {bronchi_kind} 기관지 확장이 있음.",
            "{zones}의 기관지가 확장되어 보임.",
            "{lobe}의 견인성 기관지 확장이 점액 저류 없이 관찰됨.",
        ),
        absent=("기관지 내경은 정상임.",),
        summary=("{lobe} 기관지 확장증.", "{bronchi_kind} 기관지 확장증.", "기관지 확장증."),
        where="{lobe}의",
        doubtful=True,
        lasting=True,
    ),
    "Interlobular septal thickening": Wording(
        LUNG,
        nouns=("소엽간 중격 비후", "중격 비후"),
        present=(
            "{zones}에 소엽간 중격 비후가 관찰됨.",
            "소엽간 중격이 두꺼워져 있으며 {lower}에서 뚜렷하게 보임.",
            "{zones}에 간질성 부종에 합당한 매끈한 중격 비후가 있음.",
            "{lobe}의 소엽간 중격 비후가 결절성 변화 없이 관찰됨.",
        ),
        absent=("소엽간 중격은 두꺼워져 있지 않음.",),
        summary=("소엽간 중격 비후, 부종 의심.", "{zones} 중격 비후."),
        where="{zones}의",
        doubtful=True,
    ),
}


def _brackets(indication: str, findings: list[list[str]], impression: list[str]) -> str:
    body = "\n".join(f"- {sentence}" for region in findings for sentence in region)
    listed = "\n".join(f"{number}. {line}" for number, line in enumerate(impression, 1))
    return f"[임상 정보] {indication}\n[소견]\n{body}\n[결론]\n{listed}"


def _colons(indication: str, findings: list[list[str]], impression: list[str]) -> str:
    body = "\n".join(" ".join(region) for region in findings if region)
    return f"소견:\n{body}\n\n결론:\n" + "\n".join(impression)


def _prose(indication: str, findings: list[list[str]], impression: list[str]) -> str:
    body = " ".join(sentence for region in findings for sentence in region)
    return f"판독 소견: 비조영 흉부 CT. {body}\n판독 결론: {' '.join(impression)}"


_LAYOUTS: tuple[Layout, ...] = (_brackets, _colons, _prose)

KOREAN = Tongue(
    findings=_FINDINGS,
    slots={
        "lobe": ("우상엽", "우중엽", "우하엽", "좌상엽", "좌하엽", "설상엽", "우측 폐첨부", "좌하엽 후기저분절"),
        "lower": ("우하엽", "좌하엽", "양측 하엽"),
        "zones": ("양측 폐", "양측 상엽", "양측 하엽", "우측 폐", "좌측 폐"),
        "side": ("우측", "좌측"),
        "station": ("우측 하부 기관주위", "기관분기부 하", "종격동", "우측 폐문", "좌측 폐문", "혈관전 공간"),
        "coronary": ("좌전하행지", "우관상동맥", "좌회선지"),
        "small": ("소량의", "미량의", "중등량의", "다량의"),
        "extent": ("경미한", "중등도의", "광범위한"),
        "patchy": ("반점상", "다발성", "미만성", "말초성"),
        "emphysema_kind": ("소엽중심성", "중격주위", "범소엽성"),
        "nodule_kind": ("고형", "아고형", "간유리", "경계가 분명한", "석회화"),
        "bronchi_kind": ("원통형", "정맥류형", "낭성"),
        "ctr": ("54", "56", "58", "61"),
        "mm": tuple(str(size) for size in range(3, 10)),
        "mm2": ("2", "3"),
        "node": tuple(str(size) for size in range(11, 24)),
        "cm": tuple(f"{size / 10:.1f}" for size in range(11, 42)),
    },
    absent=(
        "{noun} 없음.",
        "{noun:은} 관찰되지 않음.",
        "{noun} 소견 없음.",
        "{noun:은} 보이지 않음.",
        "{where} {noun:은} 없음.",
        "{noun:이} 의심되는 병변 없음.",
    ),
    absent_list=(
        "{nouns:은} 없음.",
        "{nouns:은} 관찰되지 않음.",
        "{nouns} 소견 없음.",
        "{nouns:은} 보이지 않음.",
    ),
    last_joiner=(" 및 ", ", ", " 또는 "),
    suspected=(
        "{where} {noun:이} 의심됨.",
        "{where} {noun} 가능성이 있음.",
        "{where} {noun:을} 우선 고려함.",
    ),
    unlikely=(
        "{where} {noun} 가능성은 낮음.",
        "{where} 음영 변화는 {noun:이} 아닌 인공물로 생각됨.",
        "{where} {noun:을} 시사하는 소견은 아님.",
    ),
    stable=(
        "{where} {noun:은} 이전과 큰 변화 없음.",
        "이전부터 보이던 {where} {noun:은} 변화 없이 관찰됨.",
        "{where} {noun:은} 이전 검사와 비교하여 차이 없음.",
    ),
    gone=(
        "이전 검사에서 보이던 {where} {noun:은} 소실됨.",
        "이전에 있던 {where} {noun:은} 더 이상 보이지 않음.",
        "{where} {noun:은} 호전되어 현재 관찰되지 않음.",
    ),
    contrasts=(("관찰됨.", "관찰되나"), ("보임.", "보이나"), ("있음.", "있으나")),
    contrast_ends=(" {noun:은} 없음.", " {noun:은} 관찰되지 않음.", " {noun:은} 동반되지 않음."),
    normal={
        MEDIASTINUM: (
            "종격동 대혈관은 정상 크기임.",
            "폐동맥은 정상 크기임.",
            "식도 벽 비후 없음.",
            "흉부 대동맥 직경은 정상임.",
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
    },
    incidental=(
        "갑상선 좌엽에 {mm} mm 저음영 결절이 관찰됨.",
        "간 우엽에 {cm} cm 낭종이 있음.",
        "좌측 부신에 선종에 합당한 {cm} cm 결절이 보임.",
        "담낭 내 결석이 관찰됨.",
        "비장에 거친 석회화가 있음.",
        "{side} 6번 늑골의 오래된 골절이 보임.",
        "흉추에 골극을 동반한 퇴행성 변화가 있음.",
        "부비장이 관찰됨.",
        "담낭에 경미한 벽 비후가 있음.",
        "{side} 신장에 단순 낭종이 보임.",
        "지방간 소견 있음.",
        "액와부의 작은 림프절은 정상 형태임.",
        "{side} 유방에 석회화가 있음.",
    ),
    indications=(
        "기침, 가래.",
        "발열, 폐렴 감별.",
        "호흡곤란, 흉수 감별.",
        "폐결절 추적 검사.",
        "수술 전 검사.",
        "건강 검진.",
        "흉통.",
        "폐기종 환자, 호흡곤란 악화.",
        "객혈, 기관지 확장증 감별.",
        "체중 감소, 림프절 종대 감별.",
        "심부전, 심낭 삼출 감별.",
    ),
    nothing=("흉부에 특이 소견 없음.", "정상 흉부 CT 소견.", "활동성 폐 병변 없음."),
    addendum="[추가 판독] 임상 정보가 정정됨. 판독 내용의 변화는 없음.",
    layouts=_LAYOUTS,
)
