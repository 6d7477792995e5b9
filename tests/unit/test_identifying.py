"""The guard: it finds identifying data in Korean, English and mixed sentences, and stays silent on real
reports.
"""

import csv
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identifying import Identifier, kinds, kinds_in_record
from pipeline.identifying.record_numbers import EndlessPattern

DATA = Path(__file__).parents[3] / "shared" / "data"

RESIDENT, FOREIGNER, PHONE, EMAIL, ADDRESS, NAME, BIRTH, RECORD = Identifier


@pytest.mark.parametrize(
    "text",
    [
        "주민등록번호 900101-1234567",
        "주민등록번호: 9001011234567 확인함",
        "RLL에 1.2 cm nodule 있음 (900101 - 2234567).",
        "The patient, 900101 1234567, was scanned twice.",
        "RRN900101-1234567",
        "9001011234567",
        "환자 9001011234567.",
        "번호는 000229-3234567임",  # 2000 was a leap year
        "240229-4000000",  # issued since 2020: no checksum to hold
        "９００１０１－１２３４５６７",
        "900101\u20111234567",
        "9001\u200b01-1234567",
    ],
)
def test_resident_numbers(text: str) -> None:
    assert kinds(text) == (RESIDENT,)


@pytest.mark.parametrize(
    "text", ["외국인등록번호9001015234567", "900101-6234567", "ARC 050101 - 7234567", "050101-8234567"]
)
def test_foreigner_numbers(text: str) -> None:
    assert kinds(text) == (FOREIGNER,)


def test_both_kinds_of_numbers_in_one_text() -> None:
    assert kinds("900101-1234567, 배우자 900101-5234567") == (RESIDENT, FOREIGNER)


@pytest.mark.parametrize("number", ["900101-1234568", "900101-1234560"])  # the first has a valid checksum
def test_the_checksum_decides_nothing(number: str) -> None:
    assert kinds(number) == (RESIDENT,)


@pytest.mark.parametrize(
    "text",
    [
        "901301-1234567",  # no month
        "900230-1234567",
        "000229-1234567",  # 1900 was no leap year
        "230229-3234567",
        "900101-9234567",  # 18xx
        "900101-0234567",
        "900101-1******",
        "900101-123456",
        "900101-12345678",
        "12900101-1234567",
        "20240101-900101-1234567",
        "1.2.840.9001011234567.3",
        "A9001011234567",
        "9001011234567_3",
        "Accession No: 9001011234567",
        "accession number 9001011234567",
        "접수번호 9001011234567",
        "검사번호: 9001011234567",
        "등록번호 9001011234567",
        "19001011234567",
        "90010112345678",
        "120.5 x 130.1 mm, 900101 voxels",
        "HU 900101, 1234567 counts",
    ],
)
def test_no_resident_numbers(text: str) -> None:
    assert kinds(text) == ()


@given(st.dates(), st.sampled_from("12345678"), st.integers(0, 999_999), st.sampled_from(["-", "", " ", " - "]))
def test_every_date_of_the_named_century_counts(day: object, seventh: str, rest: int, between: str) -> None:
    century = 1900 if seventh in "1256" else 2000
    year = getattr(day, "year", 0) % 100
    if f"{day}"[5:] == "02-29" and (century + year) % 4:
        return
    yymmdd = f"{year:02d}" + f"{day}"[5:].replace("-", "")
    if yymmdd == "000229" and century == 1900:
        return
    kind = RESIDENT if seventh in "1234" else FOREIGNER
    assert kind in kinds(f"번호 {yymmdd}{between}{seventh}{rest:06d} 입니다")


@pytest.mark.parametrize(
    "text",
    [
        "010-1234-5678",
        "보호자 01012345678로 연락",
        "010 1234 5678",
        "010.1234.5678",
        "(010) 1234-5678",
        "011-234-5678",
        "02-123-4567",
        "02)1234-5678",
        "(031) 123-4567",
        "070-1234-5678",
        "0505-123-4567",
        "+82 10 1234 5678",
        "+82-2-1234-5678",
        "+82(0)10-1234-5678",
        "+821012345678",
        "Please call 555-234-5678 with questions.",
        "call (555) 234-5678",
        "연락처: 1588-1234",
        "전화번호 : 123-4567",
        "Tel: 1588-1234",
        "Phone no.: +44 20 7946 0958",
        "HP: 010 1234-5678",
    ],
)
def test_phone_numbers(text: str) -> None:
    assert kinds(text) == (PHONE,)


@pytest.mark.parametrize(
    "text",
    [
        "1588-1234",
        "10 x 12 x 34 mm",
        "series 010, image 123",
        "2024-01-10-1234-5678",
        "1.2.840.10008.5.1.4.1.1.2",
        "01012345678901",
        "accession 20240101-0101234567",
        "02-2024",
        "2023-10-11 12:30",
        "H.P: 2 positive",
        "Tel: not given",
        "No. 02-123",
        "kVp 120, mAs 010-200",
    ],
)
def test_no_phone_numbers(text: str) -> None:
    assert kinds(text) == ()


@pytest.mark.parametrize(
    "text",
    ["문의: hong.gildong@hospital.co.kr로", "mail a_b+c@x.org.", "<kim@snu.ac.kr>", "판독의 lee@gmail.com 폐렴"],
)
def test_e_mail(text: str) -> None:
    assert kinds(text) == (EMAIL,)


@pytest.mark.parametrize("text", ["HU @ 120 kVp", "a @-@ b", "***@***.com", "node@host", "5@3.5 mm", "[EMAIL]"])
def test_no_e_mail(text: str) -> None:
    assert kinds(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "환자명: 홍길동",
        "환자명 : 홍 길동 (M/45)",
        "환자성명=홍길동",
        "환자 이름: 남궁민수",
        "성명：김영희 / 여 / 60세",
        "성 명: 이순신",
        "이름: 박보검님, 폐렴?",
        "수진자명: 최민식",
        "환자명\t홍길동",
        "환자명: 洪吉童",
        "환자명: Hong Gildong",
        "Patient name: John Smith",
        "PATIENT NAME : HONG^GILDONG",
        "Patient's name: smith, john",
        "Pt. name: Moore",
        "Patient_Name: Cooper",
        "Name of patient: O'Brien",
        "Name: Jane Doe",
        "Sex: M Name: Kim Chulsoo",
        "Full name: Foo Bar",
        "C/I: cough. Patient name: 김철수. RLL에 nodule 있음.",
        "\u1112\u1169\u11bc환자명: \u1112\u1169\u11bc\u1100\u1175\u11af\u1103\u1169\u11bc",  # decomposed Hangul
    ],
)
def test_patient_names(text: str) -> None:
    assert kinds(text) == (NAME,)


@pytest.mark.parametrize(
    "text",
    [
        "환자명: ***",
        "환자명: 홍**",
        "환자명: 홍*동",
        "환자명: 홍○○",
        "환자명: 홍OO",
        "환자명: 홍O동",
        "환자명: O길O",
        "성명: OOO",
        "성명: ○○○",
        "환자명: XXX",
        "환자명: [NAME]",
        "Patient name: <removed>",
        "Patient name: [**Name**]",
        "환자명: 익명",
        "환자명: 비식별화",
        "이름: 없음",
        "이름: 모름",
        "성명: 남자 55세",
        "환자명:",
        "환자명:\n소견: 흉수 없음",
        "환자명: 환자001",
        "Patient name: Patient 17",
        "Patient name: P-0017",
        "Patient name: anonymous",
        "Patient name: Anonymized",
        "Patient name: de-identified",
        "Patient name: not available",
        "Patient name: N/A",
        "Patient name: XX",
        "Patient name: ____",
        "Patient name:\nFindings: normal",
        "File name: Report",
        "Series Name: Chest",
        "Drug name: Aspirin",
        "Filename: Chest",
        "Name: chest ct without contrast",
        "이름: 폐렴",  # 폐 is no surname
        "The patient's name and birth date were checked.",
        "병변의 이름은 과오종이다",
    ],
)
def test_no_patient_names(text: str) -> None:
    assert kinds(text) == ()


def test_several_kinds_each_once_in_order() -> None:
    text = "이름: 홍길동, 900101-1234567, 010-1234-5678, 010-1234-5679, a@b.kr"
    assert kinds(text) == (RESIDENT, PHONE, EMAIL, NAME)
    assert kinds("") == ()


@given(st.text(max_size=200))
def test_it_never_raises(text: str) -> None:
    assert set(kinds(text)) <= set(Identifier)


@pytest.mark.parametrize(
    ("patient", "accession", "found"),
    [
        ("900101-1234567", None, (RESIDENT,)),
        ("9001011234567", None, (RESIDENT,)),
        ("９００１０１－５２３４５６７", None, (FOREIGNER,)),
        (None, "900101-1234567", (RESIDENT,)),
        (None, "900101 - 5234567", (FOREIGNER,)),
        ("010-1234-5678", "031)123-4567", (PHONE,)),
        (None, "+82 10-1234-5678", (PHONE,)),
        ("hong@naver.com", None, (EMAIL,)),
        ("010-1234-5678", "900101-1234567", (RESIDENT, PHONE)),
        # numbers as they should be
        (None, None, ()),
        ("P-0017", "A-17", ()),
        ("01012345678", "01012345678", ()),
        ("0101234567", "010123456", ()),
        (None, "9001011234567", ()),
        (None, "900101_1234567", ()),
        (None, "20240101-0101234567", ()),
        (None, "240131-0001234", ()),
        ("234-567-8901", "234-567-8901", ()),
        ("1.2.840.9001011234567.3", "1.2.840.10008.5.1.4", ()),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "26-030200412", ()),
    ],
)
def test_identifying_data_beside_the_text(
    patient: str | None, accession: str | None, found: tuple[Identifier, ...]
) -> None:
    assert kinds_in_record(text="흉수 없음.", patient=patient, accession=accession) == found


def test_kinds_of_a_record_come_each_once_in_order() -> None:
    found = kinds_in_record(
        text="환자명: 홍길동, 010-1234-5678, MRN 7",
        patient="900101-1234567",
        accession=None,
        record_numbers=["MRN [0-9]"],
    )
    assert found == (RESIDENT, PHONE, NAME, RECORD)


def test_a_pattern_that_does_not_end_is_given_up_by_name() -> None:
    endless = r"(?:[0-9]|[0-9]{2})+-"
    with pytest.raises(EndlessPattern, match="inside a repetition") as given_up:
        kinds("1" * 60 + " -", record_numbers=[endless])
    assert endless in str(given_up.value)


def test_record_numbers_are_those_of_the_hospital() -> None:
    text = "MRN: ００１２３４５, 폐렴"
    assert kinds(text) == ()
    assert kinds(text, record_numbers=[r"MRN: [0-9]{7}"]) == (RECORD,)
    assert kinds(text, record_numbers=[r"H[0-9]{7}", r"MRN: [0-9]{7}"]) == (RECORD,)
    assert kinds(text, record_numbers=[r"H[0-9]{7}"]) == ()
    assert kinds(f"{text} 010-1234-5678", record_numbers=(r"MRN: [0-9]{7}",)) == (PHONE, RECORD)


def test_a_record_number_is_found_whole_wherever_it_stands() -> None:
    for before in range(360, 540):  # windows begin and end here
        text = " " * before
        assert kinds(f"{text}H1234567{text}", record_numbers=[r"\bH[0-9]{7}\b"]) == (RECORD,)
        assert kinds(f"{text}H12345678{text}", record_numbers=[r"H[0-9]{7}(?![0-9])"]) == ()
        assert kinds(f"{text}MRN 1{text}", record_numbers=[r"MRN.*"]) == (RECORD,)


def test_a_pattern_that_matches_nothing_finds_nothing() -> None:
    assert kinds("폐렴", record_numbers=[r"[0-9]*"]) == ()


PIECES = [
    *("9", "900101-", "9 ", "9 0 ", "010-1234-", "010 12 ", "+1 2 ", "1.", "0-", "Tel: (", "tel 1 ", "("),
    *("a", "a@", "a.", "a@a.", "a at ", "a dot "),
    *(
        "환자명",
        "환자명: ",
        "환자명 ",
        "환자 ",
        "name:",
        "name",
        "성명\n",
        "성명 ( ",
        "Patient: Aa Bb ",
        "Mr. ",
        "Aa Bb ",
    ),
    *(
        "주민번호",
        "주민번호:",
        "900101",
        "900101/",
        "RRN ",
        "김가나 65",
        "김가나 65세 ",
        "Aa Bb (65",
        "보호자 김가나(",
        "성명/",
        "이름-",
    ),
    *("김", "김가나 ", "김가나(", "환자 김가나 ", "김가나 / 남 / "),
    *("가", "가나 ", "서울", "서울 ", "서울 강남구 가로 ", "가로1 ", "가동 1", "주소: ", "주소: 가", "우편번호"),
    *("12 Main ", "1 A ", "Springfield, ", "Address: 1 a ", "lives at 1 A", "1-a", "a-gu, ", "1 a-ro 1-gil, "),
    *("생년월일", "생년월일 1960.", "DOB 1-", "born on ", "1960-03-", "1960년 ", "생", "1 jan ", " ", "\n"),
]


@pytest.mark.parametrize("piece", PIECES)
def test_the_time_is_linear(piece: str) -> None:
    """The time is the process's own, so that others on the machine do not make the test fail."""
    text = piece * (30_000 // len(piece))
    started = time.process_time()
    kinds(text, record_numbers=[r".*MRN ?[0-9]+", r"[A-Z]*-[0-9]{5}"])
    assert time.process_time() - started < 5


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_no_false_alarm_on_real_reports() -> None:
    reports = column(DATA / "chest-ct-reports" / "reports.csv", "report_text")
    assert len(reports) == 793
    assert [number for number, report in enumerate(reports) if kinds(report)] == []


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_no_false_alarm_on_real_sentences() -> None:
    sentences = column(DATA / "radiology-sentences" / "openi_filename_section_sent.csv", "Sentence")
    assert len(sentences) == 22_850
    assert [number for number, sentence in enumerate(sentences) if kinds(sentence)] == []


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_no_false_alarm_on_general_korean() -> None:
    files = [path for path in sorted((DATA / "text" / "ko").iterdir()) if path.name != "LICENSE"]
    assert len(files) == 4
    alarms = [
        f"{path.name}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if kinds(line)
    ]
    assert alarms == []


def column(file: Path, name: str) -> list[str]:
    with file.open(encoding="utf-8", newline="") as stream:
        return [row[name] for row in csv.DictReader(stream)]
