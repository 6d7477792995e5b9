"""The guard: it finds identifying data in Korean, English and mixed sentences, and stays silent on real
reports.
"""

import csv
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identifying import Identifier, kinds

DATA = Path(__file__).parents[3] / "shared" / "data"

RESIDENT, PHONE, EMAIL, NAME = Identifier


@pytest.mark.parametrize(
    "text",
    [
        "주민등록번호 900101-1234567",
        "주민등록번호: 9001011234567 확인함",
        "외국인등록번호9001015234567",
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
    assert RESIDENT in kinds(f"번호 {yymmdd}{between}{seventh}{rest:06d} 입니다")


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
    "piece",
    [
        "9",
        "900101-",
        "010-1234-",
        "a",
        "a@",
        "a.",
        "a@a.",
        "환자명",
        "환자명: ",
        "name:",
        "name",
        " ",
        "Tel: (",
        "가",
        "(",
    ],
)
def test_the_time_is_linear(piece: str) -> None:
    kinds(piece * 10)
    started = time.perf_counter()
    kinds(piece * (300_000 // len(piece)))
    assert time.perf_counter() - started < 5


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_no_false_alarm_on_real_reports() -> None:
    with (DATA / "chest-ct-reports" / "reports.csv").open(encoding="utf-8", newline="") as file:
        reports = [row["report_text"] for row in csv.DictReader(file)]
    assert len(reports) == 793
    assert [number for number, report in enumerate(reports) if kinds(report)] == []


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_no_false_alarm_on_general_text() -> None:
    files = [path for path in sorted((DATA / "text").rglob("*")) if path.is_file() and path.name != "LICENSE"]
    assert len(files) > 5
    alarms = [
        f"{path.name}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if kinds(line)
    ]
    assert alarms == []
