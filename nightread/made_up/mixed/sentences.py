"""How code-mixed reports put their sentences together: English nouns, Korean particles and verbs, shorthand of both."""

from nightread.made_up.wording import Frames, Region

MEDIASTINUM, LUNG, PLEURA, DEVICE = Region

FRAMES = Frames(
    present=(
        "{at} {seen} 있음.",
        "{at} {seen:이} 관찰됨.",
        "{at} {seen} 보임.",
        "{seen}, {place}.",
        "{place} {seen} (+).",
        "{place} lesion, c/w {noun}.",
    ),
    partial=(
        "{at} {seen} 있고 그 외 {noun:은} 없음.",
        "{of} {seen} 외에 {noun} 없음.",
        "{of} {seen} 이외의 {noun:은} 보이지 않음.",
        "No {noun} except {seen}, {place}.",
        "{seen}, {place}; no other {noun}.",
    ),
    suspected=(
        "{at} {noun} 의심됨.",
        "{place} lesion, r/o {noun}.",
        "{of} {noun} 가능성 있음.",
        "{of} {noun} 가능성 높음.",
        "{place} lesion, {noun} > artifact.",
        "{of} {noun:은} exclude할 수 없음.",
    ),
    changed=(
        "{seen}, {place}, no interval change.",
        "{of} {seen:은} {date} CT와 비교하여 큰 변화 없음.",
        "{date} CT에서 보이던 {of} {seen:이} 현재도 보임.",
        "{of} {seen:은} {date} CT에 비해 increase됨.",
        "Known {seen}, {place}, stable; no new {noun}.",
        "No change of {seen}, {place}, since {date}.",
    ),
    lessened=(
        "{of} {seen:은} decrease되었으나 남아 있음.",
        "{of} {seen:은} 아직 resolve되지 않음.",
        "{seen}, {place}, improving but not resolved.",
    ),
    confirmed=(
        "{date} 판독의 {of} {seen} 확인됨.",
        "{date}에 의심되었던 {of} {noun:은} 맞는 것으로 확인됨.",
        "임상적으로 의심된 {noun:이} {at} 확인됨.",
    ),
    absent=(
        "{noun} 없음.",
        "{noun:은} 보이지 않음.",
        "No {noun}.",
        "{place} {noun} (-).",
        "{at} {noun:은} 없음.",
        "Definite {noun} 소견 없음.",
        "{at} {noun:은} 관찰되지 않음.",
    ),
    unlikely=(
        "{of} {noun} 가능성 없음.",
        "{of} {noun} 가능성 낮음.",
        "{place} lesion, artifact > {noun}.",
        "{place}, {noun:은} unlikely.",
        "{of} {noun:은} exclude됨.",
    ),
    gone=(
        "{seen}, {place}, interval disappearance.",
        "{of} {seen:은} {date} CT와 비교하여 보이지 않음.",
        "{date} CT에서 보이던 {of} {seen:은} 현재 없음.",
        "{of} {seen:은} {date} CT에 비해 improve되어 남아 있지 않음.",
        "{of} {seen:은} resolve됨.",
        "Known {seen}, {place}, resolved; no new {noun}.",
        "S/P tx for {seen}, {place}, no residual lesion.",
    ),
    unconfirmed=(
        "{date} 판독의 {of} {seen:은} 확인되지 않음.",
        "{date}에 의심되었던 {of} {noun:은} 아닌 것으로 확인됨.",
        "임상적으로 의심된 {noun:은} {at} 확인되지 않음.",
    ),
    pair=(
        "{at} {seen} 있으나 {xnoun:은} 없음.",
        "{xnoun:은} 없으나 {at} {seen} 있음.",
        "{xnoun:은} 보이지 않으나 {at} {seen:이} 관찰됨.",
        "{at} {seen} (+), {xnoun} (-).",
        "{xnoun} (-), {at} {seen} (+).",
        "{seen} without {xnoun}, {place}.",
        "{at} {xnoun} 없이 {seen} 보임.",
    ),
    pair_changed=(
        "{date} CT와 비교하여 {xof} {xseen:은} 없어지고 {of} {seen:은} 남아 있음.",
        "{date} CT와 비교하여 {of} {seen:은} 남아 있고 {xof} {xseen:은} 없어짐.",
        "{of} {seen:은} no change, {xof} {xseen:은} resolved.",
        "{xof} {xseen:은} resolved, {of} {seen:은} no change.",
    ),
    present_list=("{list} 있음.", "{list:이} 관찰됨.", "{list} 보임.", "{list} (+)."),
    mixed_list=(
        "{list} 있으나 {nouns:은} 없음.",
        "{nouns:은} 없으나 {list} 있음.",
        "{list} (+), {nouns} (-).",
        "{nouns} (-), {list} (+).",
    ),
    absent_list=(
        "{nouns} 없음.",
        "{nouns:은} 보이지 않음.",
        "No {nouns}.",
        "{nouns} 소견은 관찰되지 않음.",
        "{nouns} (-).",
    ),
    summary=("{seen}, {place}.", "{noun}, {place}.", "{place} {seen}."),
    summary_suspected=("R/O {noun}, {place}.", "Probable {noun}."),
    summary_changed=("Remaining {seen}, {place}.", "{seen}, {place}, since {date}."),
    summary_gone=("Resolved {seen}, {place}.", "{seen}, {place}, not seen since {date}."),
    summary_absent=("No {noun}, {place}.", "{noun} 소견 없음.", "임상적으로 의심된 {noun:은} 없음."),
    asked=(
        "Fever, cough, r/o {noun}",
        "CXR상 {noun} 의심",
        "{place} {seen} f/u",
        "Dyspnea, {noun} 여부",
        "Hemoptysis, r/o {noun}",
        "Hx of {noun}",
    ),
    quoted=(
        "{date} chest CT ({at} {seen} 있었음)",
        "{date} 외부 CT, 판독: {seen}, {place}",
        "{date} CT, 당시 r/o {noun}",
    ),
    advised=(
        "{noun} 의심 시 f/u CT 권함.",
        "{noun} 발생 시 f/u 요망.",
        "{noun} 여부는 clinical correlation 요망.",
    ),
)

LATER = Frames(
    present=("{at} {seen}, AI-CAD (+), 실제 병변임.", "PCCT에서 {at} {seen} 보임."),
    suspected=("{of} {noun:은} AI-CAD mark에 동의함.",),
    unlikely=("{of} {noun:은} AI-CAD false positive임.",),
    gone=("{seen}, {place}, complete regression되어 남아 있지 않음.",),
    changed=("{seen}, {place}, longitudinal하게 안정적임.",),
    absent=("{noun} negative.", "AI-CAD상 {noun} 없음."),
    asked=("Long COVID, r/o {noun}", "ICI 사용 중, {noun} 여부", "LDCT screening, previous {noun}"),
    summary=("{noun}, {place}, code positive.",),
    summary_absent=("{noun}, code negative.",),
)

ALONE = {
    MEDIASTINUM: (
        "{of} {seen} 외에 mediastinum에 이상 소견 없음.",
        "{seen}, {place}; otherwise unremarkable mediastinum.",
    ),
    LUNG: (
        "{of} {seen} 외에 both lung에 이상 소견 없음.",
        "{of} {seen:을} 제외하면 both lung은 clear함.",
        "{seen}, {place}; otherwise no abnormality in both lung.",
    ),
    PLEURA: ("{of} {seen} 외에 pleura에 이상 소견 없음.",),
    DEVICE: (),
}

SLOTS = {
    "lobe": (
        "RUL",
        "RML",
        "RLL",
        "LUL",
        "LLL",
        "lingular segment",
        "LUL apicoposterior segment",
        "RLL superior segment",
    ),
    "lower": ("RLL", "LLL"),
    "zones": ("both lung", "both upper lobe", "both lower lobe", "Rt. lung", "Lt. lung"),
    "side": ("Rt.", "Lt."),
    "station": (
        "Rt. lower paratracheal area",
        "subcarinal area",
        "mediastinum",
        "Rt. hilum",
        "Lt. hilum",
        "prevascular space",
    ),
    "aorta": ("aortic arch", "descending aorta", "thoracic aorta"),
    "coronary": ("LAD", "RCA", "LCX"),
    "small": ("small amount", "minimal", "moderate amount", "소량의"),
    "extent": ("mild", "moderate", "extensive"),
    "patchy": ("patchy", "multifocal", "diffuse", "peripheral"),
    "smooth": ("smooth", "mild", "diffuse"),
    "emphysema_kind": ("centrilobular", "paraseptal", "panlobular"),
    "nodule_kind": ("solid", "subsolid", "GG", "well-defined", "calcified"),
    "bronchi_kind": ("cylindrical", "varicose", "cystic"),
}

NORMAL = {
    MEDIASTINUM: (
        "Mediastinal great vessel들은 normal caliber임.",
        "Pulmonary trunk는 normal caliber임.",
        "Esophagus에 wall thickening 없음.",
        "Thoracic aorta diameter는 {aortic_width}로 normal range임.",
        "Non-contrast CT로 mediastinum 평가에 제한이 있음.",
    ),
    LUNG: ("Trachea와 both main bronchus는 patent함.", "Endobronchial lesion 없음.", "No endotracheal lesion."),
    PLEURA: ("Pneumothorax 없음.", "Pleural thickening은 보이지 않음.", "No pneumothorax."),
    DEVICE: (
        "Upper abdomen에 ascites 없음.",
        "Pancreas는 normal임.",
        "T-spine의 vertebral height는 유지되어 있음.",
        "Bony lesion 없음.",
    ),
}

INCIDENTAL = (
    "Lt. thyroid에 {size} low density nodule이 관찰됨.",
    "Liver S8에 {big} cyst 있음.",
    "Lt. adrenal에 adenoma에 합당한 {big} nodule 보임.",
    "GB stone 있음.",
    "Spleen에 {size} coarse calcification이 관찰됨.",
    "{side} 6th rib의 old fracture 보임.",
    "T-spine에 degenerative change 있음.",
    "GB에 mild wall thickening이 관찰됨.",
    "{side} kidney에 {big} simple cyst 보임.",
    "Fatty liver 소견 있음.",
    "Both axilla의 LN들은 {small_node}로 benign한 모양임.",
    "{side} breast에 calcification 있음.",
    "{side} chest wall에 subcutaneous emphysema 있음.",
    "{side} diaphragm에 small Bochdalek hernia 보임.",
    "Costal cartilage calcification 보임.",
    "T8 body에 {size} sclerotic nodule, r/o bone island.",
    "S/P TACE, liver에 {big} lipiodol uptake 보임.",
    "Liver에 {size} calcified granuloma 있음.",
)

INDICATIONS = (
    "Cough, sputum",
    "Pre-op evaluation",
    "건강검진",
    "Chest pain",
    "COPD, dyspnea 악화",
    "Heart failure",
    "Weight loss",
    "Family Hx: lung cancer, emphysema",
    "S/P appendectomy",
)

NOTHING = ("No significant abnormality.", "Chest에 특이소견 없음.", "No active lung lesion.")
