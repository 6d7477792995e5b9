"""Patients' names, and their relatives': behind a label, or with what only a person has.

* **Behind a label**: "환자명:", "성명:", "보호자:", "Patient name:", "Patient:", "Name:" and the like. Behind one
  that says whose name it is, whatever is no mask counts; behind the others ("이름:", "환자:") only what looks like a
  full name, for a diagnosis may follow as well.
* **With a title, sex and age, or a relation**: 홍길동 님, 홍길동 씨, 홍길동(M/65), 홍길동 65세 남자,
  Hong Gildong (65/M), 보호자 홍길순(배우자), Mr. Smith. These are labels too.

What only stands where a name was does not count: masks (홍**, 홍O동, OOO, [NAME]), words (익명, anonymous,
de-identified) and pseudonyms, which are told by their digits (환자001, P-0017).

Staff does not count (판독의: 김영수, Radiologist: ..., Dr. Kim, 담당의 성명: ...): nearly every report is signed,
and the guard protects patients. Whoever wants signatures gone has to cut them off before the feed.
"""

import re

from pipeline.identifying.seen import Seen, Sought, either, exactly, hangul, small_like, text_like, words

# --- what a name looks like

# The first words of a value, which ends where the next field begins.
_VALUE = re.compile(r"[^\s,;:|/()\[\]{}<>]{1,40}(?: (?![■□●○◆▶※] )[^\s,;:|/()\[\]{}<>]{1,40}){0,2}")
_MASK = re.compile(
    r"[*○●◯◎□■△▲_…]|\.{2,}|(?<![A-Za-z])[XxOo0]{2,}(?![A-Za-z])"
    r"|[가-힣][OoXx0]{1,3}(?![A-Za-z])|(?<![A-Za-z])[OoXx0]{1,3}[가-힣]"
)
_NO_NAME = re.compile(
    r"(?:익명|비공개|비밀|미상|없음|비식별|가명|삭제|무명|무기명|해당|불명|모름|기재|미기재|미등록|미확인|공란|생략|확인"
    r"|정보|환자|보호|수진자|성명|이름|남자|여자|남아|여아|남성|여성|신생아|오류|정정|변경|수정|조회|전달|전송|표시|이상|동일"
    # a table's next heading
    r"|등록 ?번호|환자 ?번호|병록|생년|성별|(?:나이|연령|주소|연락처)(?![가-힣])|검사|병원|진료"
    r"|주민|전화|판독|의뢰|촬영|정상(?:임|입니다)?(?![가-힣])"
    r"|(?:study|exam|modality|accession|birth|gender|address|record|referring)(?![a-z])"
    r"|(?:unknown|anon|de-?ident|redact|remov|withheld|none|mask|hidden|not|n/?a|see|same|blank|test|confidential"
    r"|pseudonym|patient|subject|deleted|unnamed|omitted|name|date|age|sex|dob|id|mrn)(?![a-z])"
    r"|anonym|de-?identif|redacted|removed|masked|pseudonym)",
    re.IGNORECASE,
)
# The hundred surnames that nearly everybody bears.
_SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구나민진지엄채원천방공"
    "현함변염여추도소석선설마길연위표명기반라왕금옥육인맹제모탁국은편용예경봉사부가복태목형두감음빈동온호범좌팽승간"
)
_TWO_SYLLABLE_SURNAMES = "남궁|황보|제갈|사공|선우|서문|독고|동방"
_PARTICLE = r"(?:입니다|이며|이고|님|씨|임)?(?:[은는이가의])?"
_KOREAN_NAME = re.compile(
    r"(?:[가-힣]{2,5}|[가-힣]{1,2} {1,2}[가-힣]{1,3}|[가-힣] [가-힣] [가-힣]|[가-힣]{3}입니다)(?![가-힣])"
)
_KOREAN_FULL_NAME = re.compile(
    rf"(?:(?:{_TWO_SYLLABLE_SURNAMES}|[{_SURNAMES}]) ?[가-힣]{{1,2}}|[{_SURNAMES}] [가-힣] [가-힣])"
    rf"{_PARTICLE}(?![가-힣])"
)
_CHINESE_NAME = re.compile(r"[一-鿿]{2,4}(?![一-鿿])")
_LATIN_NAME = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’^.-]{1,30}(?![A-Za-zÀ-ɏ0-9])")
_TWO_LATIN_WORDS = r"[A-Z][A-Za-z'’-]{1,20},? [A-Z][A-Za-z'’-]{1,20}"
# Two words, or three with a particle; one alone may be a drug or a protocol.
_LATIN_FULL_NAME = re.compile(
    r"(?:(?:Mr|Mrs|Ms|Dr)\.? ?)?(?:(?:de|van|von|der|la|al|el|di|da) ){0,2}"
    r"[A-ZÀ-Þ](?:[A-Za-zÀ-ɏ'’.-]{0,30}(?:,? |, ?|\^)[A-ZÀ-Þ][A-Za-zÀ-ɏ'’^.-]{0,30})(?![A-Za-zÀ-ɏ0-9])"
)

# Three syllables that begin like a surname and are a finding, a word of the trade, another field's label or a title, or
# end like a verb. The words are those of the reports, in Korean and code-mixed, that could stand where a name does.
_NO_THREE = """
    가능성 간경변 간경화 간유리 간질병 간질성 감염성 감염증 경미한 고령자 고혈압 기관지 기흉이 남성암 동맥류 동맥벽
    동반한 두개골 반점상 방사선 백혈구 부정맥 석회화 선천성 설상엽 소량의 소엽간 신경계 신부전 신우염 신장암 심근염
    심낭강 심낭염 심부전 심비대 안정적 양측성 여성암 염증성 오래된 온전한 우상엽 우심방 우심실 우중엽 우하엽 원통형
    위선암 유방암 유행성 이전과 이전에 이형성 인후통 임산부 장폐색 전립선 전염병 전염성 전이성 정상인 정신병 조영제
    조현병 좌상엽 좌하엽 지방간 천식이 하엽에 호흡기 호전된
    방문일 소견서 연락처 이송일 임상과 전원일 주소지 주진단 주호소 진단명 진료과 진료일 현병력
    이사장 전공의 전문의 주치의
    기관명 임상력 고령의 고령인 연령은 연령이 나이는 나이가 진단시 남성인 여성인 성인인 한국인 장애인 노숙인 노숙자
    노인인 조선족 이주민 유학생 공무원 간호사 변호사 소방관 경찰관 용접공 노동자
"""
_THREE = (
    rf"(?!{'|'.join(_NO_THREE.split())})[{_SURNAMES}][가-힣]"
    r"(?!수님|장님|생님|사님|객님|원님|의님|교수|과장|원장|선생)[가-힣]"
)
# Without "님" behind them they may be an ending or a disease.
_THREE_BARE = rf"{_THREE}(?<![함됨임음증암염])"

# --- labels

# Whose name it is: these labels say so themselves, so that whatever follows and is no mask is taken for a
# name.
_PERSON = (
    r"(?:환자(?:분|의)? ?(?:이름|성명|성함|명)|(?:수진자|수검자|피검자|검진자)(?: ?(?:이름|성명|성함|명))?"
    r"|(?:보호자|대상자|고객) ?(?:이름|성명|성함|명)"
    r"|(?<![A-Za-z])(?:patient|pt)(?:'s|’s|\.)?[ _]?(?:full |first |last |family )?name"
    r"|(?<![A-Za-z])name of (?:the )?patient"
    r"|(?<![A-Za-z])(?:full|first|last|family|given) name|(?<![A-Za-z])surname)"
)
# Beside what the labels themselves are: 환자명, 보호자 명 and the like.
_LABEL_WORDS = words(
    *("name", "이름", "이 름", "성명", "성 명", "성함", "수진자", "수검자", "피검자", "검진자"),
    *(
        who + between + "명"
        for who in ("환자", "환자분", "환자의", "보호자", "대상자", "고객")
        for between in ("", " ")
    ),
)
_ASIDE = r"[ \t]{0,4}(?:\([^()\n]{1,16}\))?[ \t]{0,4}"
_SEPARATOR = r"(?:[:=|\t]| - |(?<= )is )[ \t]{0,8}"
_PERSON_LABEL = Sought(re.compile(_PERSON + _ASIDE + _SEPARATOR, re.IGNORECASE), _LABEL_WORDS)
# "Name:" is also a file's, a drug's or a protocol's: it counts where no word stands before it, and like
# "성명" and "이름" only with what looks like a full name.
_OPEN_LABEL = Sought(
    re.compile(
        r"(?<![가-힣A-Za-z])(?<!(?:판독의|담당의|주치의|의뢰의|전문의|조영제|검사자) )"
        r"(?:성 ?명|성함|이 ?름|(?<![A-Za-z]{2}[ _-])name)" + _ASIDE + _SEPARATOR,
        re.IGNORECASE,
    ),
    _LABEL_WORDS,
)
_LINE = r"(?:^|(?<=[■□●○▶※•,;/|\])]) ?|(?<=[.:] ))"
_WHOSE = rf"(?:(?i:{_PERSON})|{_LINE}(?:성 ?명|성함|이 ?름))"
_THREE_OR_COMPOUND = rf"(?:{_THREE_BARE}|(?:{_TWO_SYLLABLE_SURNAMES})[가-힣])"
# Without a separator, or with one that also parts headings: three syllables that are a name, or two capitalised words.
_UNSEPARATED = Sought(
    re.compile(
        rf"{_WHOSE}[은는]?{_ASIDE}(?:[/-][ \t]{{0,2}}|(?<=[ \t)]))"
        rf"(?P<name>{_THREE_OR_COMPOUND}{_PARTICLE}(?![가-힣])|{_TWO_LATIN_WORDS}(?![A-Za-z]))",
        re.MULTILINE,
    ),
    _LABEL_WORDS,
)
# On the next line, as a table's cells come out of a PDF.
_NEXT_LINE = Sought(
    re.compile(rf"{_WHOSE}[ \t]{{0,4}}:?[ \t]{{0,4}}\n\s{{0,3}}(?P<name>{_THREE_OR_COMPOUND})[ \t]*$", re.MULTILINE),
    hangul,
    _LABEL_WORDS,
)
# 환자: 홍길동, alone on its line, for "환자: 고혈압, 당뇨" goes on.
_BARE = Sought(
    re.compile(
        r"(?:환자|보호자|배우자|수진자"
        r"|(?<![A-Za-z])(?i:pt|patient|guardian|next of kin|mother|father|wife|husband|spouse))\.? ?[:=] ?"
        rf"(?:{_THREE_BARE}[ \t]*(?:$|/)|(?P<latin>{_TWO_LATIN_WORDS}(?: [A-Z][A-Za-z'’-]{{1,20}})?)"
        r"(?:[ \t]*(?:$|[,;(/|])| (?:was|is|has) ))",
        re.MULTILINE,
    ),
    words(":", "="),
    small_like("(?:환자|보호자|배우자|수진자|pt|patient|guardian|kin|mother|father|wife|husband|spouse)\\.? ?[:=]"),
)
_NO_NAME_WORD = re.compile(
    r"\b(?:male|female|man|woman|boy|girl|year|years|old|chest|pain|status|post|history|known|shortness|breath|cough"
    r"|fever|dyspnea|cancer|portable|upright|supine|prone|intubated|rotated|motion|position|head|feet|first|inpatient"
    r"|outpatient|emergency|room|ward|icu|er|ed|unknown|not|no|none|seen|stable|normal|acute|chronic|left|right|lung"
    r"|pneumonia|follow|up|trauma|injury|fall|with|without|for|and|of|in|on|is|the|deceased|healthy|ct|mri|xray|s/p"
    r"|hypertension|diabetes|mellitus|heart|failure|disease|surgery|transplant|clinic|hospital|radiology|department"
    r"|birth|date|sex|gender|age|study|exam|examination|number|id|address|accession|modality|referring|physician|report"
    r"|contrast|protocol|thorax|thoracic|abdomen|abdominal|pelvis|pelvic|brain|neck|spine|cervical|lumbar|liver|kidney"
    r"|lungs|pulmonary|cardiac|coronary|aorta|aortic|artery|vein|breast|bone|angiography|angio|enhanced|enhancement"
    r"|low|high|dose|scan|screening|series|image|axial|coronal|sagittal|recon|delayed|arterial|portal|venous|phase"
    r"|phantom|routine|pet|cta|hrct|ldct|xr|nodule|mass|effusion|carcinoma|adenocarcinoma|lymphoma|metastasis|metastatic"
    r"|tumor|tuberculosis|emphysema|edema|embolism|fibrosis|syndrome|infection|sepsis|stroke|hemorrhage|fracture"
    r"|clinical|information|info|indication|impression|findings?|comparison|technique|conclusion|diagnosis|dx|hx|ca"
    r"|upper|lower|middle|lobe|bilateral|multiple|small|large|mild|moderate|severe|suspected|possible|probable|old"
    r"|injection|iodine|iohexol|saline|version|software|scanner|medical|center|service|unit|team)\b",
    re.IGNORECASE,
)

# --- sex and age, titles

_SEX = r"(?:[MF](?![A-Za-z])|남[자성]?|여[자성]?|[Mm]ale|[Ff]emale)"
_SEX_AND_AGE = (
    rf"[ \t]{{0,2}}[(\[,/|]?[ \t]{{0,2}}(?:{_SEX}[ \t]{{0,2}}[/,|·-]?[ \t]{{0,2}}(?:만 ?)?[0-9]{{1,3}}(?![0-9.])"
    rf"|[0-9]{{1,3}}(?:세|살|[Yy]o?)?[ \t]{{0,2}}[/,|]?[ \t]{{0,2}}{_SEX})"
)
# The other way round: 65/M, 65세/남, 65세 남자. Without the brackets it has to say that it is an age, and what stands
# before it must not be a noun with its particle (모습은 60세 남자), which 은 and 이 are behind most syllables.
_AGE_AND_SEX = (
    rf"(?: ?[(\[] ?(?:만 ?)?[0-9]{{1,3}}(?:세|살|[Yy]o?)? ?[/,|] ?{_SEX}"
    r"|(?<![는된의에가시])(?<!(?<![지하예나다시가소고주영정혜서성경채세희유도보태승윤재미선수])은)"
    rf"(?<!(?<![순영옥명연남춘말필복금])이) (?:만 ?)?[0-9]{{1,3}}(?:세|살) ?[/,]? ?(?:남|여)(?:자|성)?(?![가-힣]))"
)
_RELATION = (
    r"(?:배우자|남편|아내|부인|처|아들|딸|자녀|자|부|모|부친|모친|아버지|어머니|형|누나|오빠|언니|동생|며느리|사위|손자|손녀"
    r"|형제|자매|친구|지인|본인)"
)
_PATIENT = r"(?:환자|(?<![A-Za-z])(?i:pt|patient))[\]).]{0,2}[ :]{1,3}"
_PERSONAL = Sought(
    re.compile(
        # Nothing before it: 홍길동 님, 홍길동 씨, 홍길동(M/65), 홍길동 M/65
        rf"(?<![가-힣])(?:{_THREE}(?: ?님| 씨)(?:[은는이가의께]|(?![가-힣]))"
        rf"|{_THREE_BARE}(?: ?[(\[]? ?{_SEX}/ ?[0-9]{{1,3}}(?![0-9.])|{_AGE_AND_SEX}))"
        # Alone at the head of a line: 홍길동 / M / 65
        rf"|^[ \t]{{0,4}}{_THREE_BARE} ?[/,|] ?{_SEX} ?[/,|] ?[0-9]{{1,3}}(?![0-9.])"
        rf"|{_PATIENT}(?:{_THREE_BARE}{_SEX_AND_AGE}|{_THREE} ?(?:님|씨))"
        rf"|보호자[ :]{{1,3}}{_THREE_BARE} ?\( ?{_RELATION} ?\)",
        re.MULTILINE,
    ),
    hangul,
    either(
        exactly("님", "씨", "보호자"),
        text_like(
            r"(?:[MF남여자성]|ale)[ \t/,|·-]{0,5}(?:만 ?)?[0-9]"
            r"|[0-9](?:세|살|[Yy]o?)?[ \t/,|]{0,5}(?:[MF남여]|[Mm]ale|[Ff]emale)"
        ),
    ),
)
_LATIN_PERSONAL = Sought(
    re.compile(rf"{_PATIENT}(?P<latin>{_TWO_LATIN_WORDS}){_SEX_AND_AGE}"),
    either(
        words("환자"),
        small_like(
            r"p(?:t|atient)[\]).]{0,2}[ :]{1,3}[a-z][a-z'’-]{1,20},? [a-z][a-z'’-]{1,20}[ \t(\[,/|]{0,5}"
            r"(?:[0-9]|(?:[mf남여]|[남여][자성]|(?:fe)?male)[ \t/,|·-]{0,5}(?:만 ?)?[0-9])"
        ),
    ),
)
# Hong Gildong (M/65), Hong Gildong (65/M): both signs in brackets, for a disease may be two words as well.
_LATIN_WITH_SEX_AND_AGE = Sought(
    re.compile(
        rf"(?<![A-Za-z'’-])(?P<latin>{_TWO_LATIN_WORDS}) ?[(\[] ?"
        rf"(?:[MF] ?/ ?[0-9]{{1,3}}|[0-9]{{1,3}}(?: ?[Yy]o?)? ?/ ?[MF]) ?[)\]]"
    ),
    exactly("/"),
    exactly("M/", "M /", "/M", "/ M", "F/", "F /", "/F", "/ F"),
)
_TITLED = Sought(
    re.compile(
        rf"(?<![A-Za-z])(?:Mr|Mrs|Ms)(?:\. ?| )"
        rf"(?:(?!X)[A-Z]['’]?[A-Za-z]?[a-z][A-Za-z'’-]{{0,30}}|{_THREE}|[{_SURNAMES}](?![가-힣]))(?![A-Za-z])"
    ),
    text_like("M[rs]"),
)


def found_in(seen: Seen) -> bool:
    return (
        (_LABEL_WORDS(seen) and _labelled(seen))
        or _TITLED.is_in(seen)
        or any(
            match["latin"] is None or not _NO_NAME_WORD.search(match["latin"])
            for sought in (_BARE, _LATIN_PERSONAL, _LATIN_WITH_SEX_AND_AGE)
            for match in sought.all_in(seen)
        )
        or _PERSONAL.is_in(seen)
    )


def _labelled(seen: Seen) -> bool:
    text = seen.text
    return (
        any(_is_name(text, match.end(), _ANY) for match in _PERSON_LABEL.all_in(seen))
        or any(_is_name(text, match.end(), _FULL, no_words=True) for match in _OPEN_LABEL.all_in(seen))
        or any(
            _is_name(text, match.start("name"), _FULL) and not _NO_NAME_WORD.search(match["name"])
            for match in _UNSEPARATED.all_in(seen)
        )
        or any(_is_name(text, match.start("name"), _FULL) for match in _NEXT_LINE.all_in(seen))
    )


_ANY = (_KOREAN_NAME, _CHINESE_NAME, _LATIN_NAME)
_FULL = (_KOREAN_FULL_NAME, _CHINESE_NAME, _LATIN_FULL_NAME)


def _is_name(text: str, start: int, shapes: tuple[re.Pattern[str], ...], *, no_words: bool = False) -> bool:
    """Whether a name begins there. `no_words`: none of its words may be one of the trade."""
    value = _VALUE.match(text, start)
    if value is None or _NO_NAME.match(text, start) or _MASK.search(value[0]):
        return False
    found = (shape.match(text, start) for shape in shapes)
    return any(match is not None and not (no_words and _NO_NAME_WORD.search(match[0])) for match in found)
