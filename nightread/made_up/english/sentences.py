"""How English reports put their sentences together."""

from nightread.made_up.wording import Frames, Region

MEDIASTINUM, LUNG, PLEURA, DEVICE = Region

FRAMES = Frames(
    present=(
        "{seen:a} {is} seen {at}.",
        "{seen:a} {is} observed {at}.",
        "There {is} {seen:a} {at}.",
        "{seen} {at}.",
    ),
    partial=(
        "{seen:a} {at}, but no {noun} elsewhere.",
        "No {noun} except for {seen:a} {at}.",
        "Apart from {seen:a} {at}, no {noun} is seen.",
        "There is no {noun} other than {seen:a} {at}.",
        "{seen:a} {is} seen {at}; no {noun} elsewhere.",
    ),
    suspected=(
        "{noun:a} {at} is suspected.",
        "Findings {at} suggest {noun:a}.",
        "Probable {noun} {at}.",
        "The appearance {at} is {noun:a} rather than an artefact.",
        "{noun:a} {at} cannot be excluded.",
        "{noun:a} {at} is likely.",
    ),
    changed=(
        "{seen:the} {at} {has} not changed since {date}.",
        "Compared with {date}, {seen:the} {at} {has} increased.",
        "{seen:the} {at} {is} still visible.",
        "No interval change of {seen:the} {at}.",
        "Known {seen} {at}, unchanged since {date}; no new {noun}.",
    ),
    lessened=(
        "{seen:the} {at} {has} decreased since {date} but {is} still seen.",
        "{seen:the} {at} seen on {date} {has} not resolved.",
        "Incomplete resolution of {seen:the} {at}.",
    ),
    confirmed=(
        "{seen:the} {at} described on {date} {is} confirmed.",
        "What was called {seen:a} {at} on {date} is no artefact.",
        "The {noun} in question is confirmed {at}.",
    ),
    absent=(
        "No {noun}.",
        "No evidence of {noun}.",
        "{noun:a} is not seen.",
        "There is no {noun} {at}.",
        "{noun:a} {at} was not observed.",
    ),
    unlikely=(
        "{noun:a} {at} is considered unlikely.",
        "Findings {at} do not suggest {noun:a}.",
        "The appearance {at} is an artefact rather than {noun:a}.",
        "{noun:a} {at} is not likely.",
        "{noun:a} {at} can be excluded.",
    ),
    gone=(
        "{seen:the} {at} {has} resolved since {date}.",
        "Compared with {date}, {seen:the} {at} {has} disappeared.",
        "{seen:the} {at} seen on {date} {is} no longer visible.",
        "{seen:the} {at} seen on {date} {has} resolved; no new {noun}.",
        "Interval resolution of {seen:the} {at}.",
        "Known {seen} {at}, no longer seen.",
        "History of {seen} {at}, treated in {year}, without residue.",
    ),
    unconfirmed=(
        "{seen:the} {at} described on {date} {is} not confirmed.",
        "What was called {seen:a} {at} on {date} is an artefact.",
        "The {noun} in question is not confirmed {at}.",
    ),
    pair=(
        "{seen:a} {at} without {xnoun}.",
        "{seen:a} {at}, but no {xnoun}.",
        "No {xnoun}, but {seen:a} {at}.",
        "There is no {xnoun}; {seen:a} {is} seen {at}.",
        "{seen:a} {is} seen {at}, whereas {xnoun:a} is not.",
        "{xnoun:a} is not seen, whereas {seen:a} {is} seen {at}.",
    ),
    pair_changed=(
        "Since {date}, {xseen:the} {xat} {xhas} resolved, while {seen:the} {at} {has} not.",
        "Since {date}, {seen:the} {at} {has} not resolved, while {xseen:the} {xat} {xhas}.",
        "Compared with {date}, {seen:the} {at} {is} unchanged and {xseen:the} {xat} {xhas} resolved.",
        "Compared with {date}, {xseen:the} {xat} {xhas} resolved and {seen:the} {at} {is} unchanged.",
        "{seen:the} {at} {has} increased; {xseen:the} {xat} {xis} no longer seen.",
    ),
    present_list=(
        "There {are} {list:a}.",
        "{list:a} {are} seen.",
        "{list:a} {are} observed.",
        "The examination shows {list:a}.",
    ),
    mixed_list=(
        "{list:a} {are} seen, but no {nouns}.",
        "No {nouns}, but {list:a}.",
        "The examination shows {list:a} and no {nouns}.",
        "{nouns_and} {nouns_are} not seen, while {list:a} {are}.",
        "{list:a} {are} seen, while {nouns_and} {nouns_are} not.",
    ),
    absent_list=(
        "No {nouns}.",
        "There is no {nouns}.",
        "{nouns_and} {nouns_are} not seen.",
        "{nouns_and} {nouns_are} not observed.",
        "The examination shows no {nouns}.",
    ),
    summary=(
        "{seen} {at}.",
        "{noun} {at}.",
        "{noun:a}, as described.",
        "{noun} {at}, see above.",
    ),
    summary_suspected=("{noun} {at} suspected.", "Probable {noun}."),
    summary_changed=("Persistent {seen} {at}.", "{seen} {at}, as on {date}."),
    summary_gone=("Resolved {seen} {at}.", "{seen} {at}, resolved since {date}."),
    summary_absent=(
        "No {noun} {at}.",
        "No evidence of {noun}, the clinical question.",
        "{noun:a}, as suspected clinically, is not seen.",
    ),
    asked=(
        "Fever and cough, rule out {noun}",
        "{noun:a} on chest radiograph",
        "Follow-up of {seen} {at}",
        "Dyspnea, {noun:a} in question",
        "Hemoptysis; {noun:a}?",
        "History of {noun}",
    ),
    quoted=(
        "Chest CT of {date}, which showed {seen:a} {at}",
        "Outside CT of {date} (report: {seen} {at})",
        "Chest CT of {date}; {noun:a} was suspected then",
    ),
    advised=(
        "If {noun:a} is suspected clinically, a follow-up CT is recommended.",
        "Follow-up CT should {noun:a} develop.",
        "Clinical correlation as to {noun} is advised.",
    ),
)

LATER = Frames(
    present=("{seen:a} {at}, marked by the AI software.", "Photon-counting CT depicts {seen:a} {at}."),
    suspected=("{noun:a} {at}, AI score 0.87, agreed by the reader.",),
    unlikely=(
        "The AI mark {at} is a false positive for {noun:a}.",
        "{noun:a} {at}, AI score 0.64, rejected by the reader.",
    ),
    gone=("{seen:the} {at} {has} regressed completely since {date}.",),
    changed=("{seen:the} {at} {is} longitudinally stable since {date}.",),
    absent=("Negative for {noun}.", "The AI software marks no {noun}."),
    asked=("Long COVID, {noun:a}?", "Immunotherapy, {noun:a} as adverse event?", "Low-dose screening, prior {noun}"),
    summary=("{noun} {at}, structured code positive.",),
    summary_absent=("{noun}: structured code negative.",),
)

ALONE = {
    MEDIASTINUM: (
        "The mediastinum is unremarkable except for {seen:a} {at}.",
        "Apart from {seen:a} {at}, no mediastinal abnormality.",
    ),
    LUNG: (
        "Both lungs are clear except for {seen:a} {at}.",
        "No abnormality of the lungs other than {seen:a} {at}.",
        "Apart from {seen:a} {at}, the lungs are normal.",
    ),
    PLEURA: ("The pleura is unremarkable except for {seen:a} {at}.",),
    DEVICE: (),
}

SLOTS = {
    "lobe": (
        "right upper lobe",
        "right middle lobe",
        "right lower lobe",
        "left upper lobe",
        "left lower lobe",
        "lingula",
        "apex of the right lung",
        "posterobasal segment of the left lower lobe",
    ),
    "lower": ("right lower lobe", "left lower lobe"),
    "zones": ("both lungs", "both upper lobes", "both lower lobes", "the right lung", "the left lung"),
    "side": ("right", "left"),
    "station": (
        "right lower paratracheal station",
        "subcarinal station",
        "mediastinum",
        "right hilum",
        "left hilum",
        "prevascular space",
    ),
    "aorta": ("aortic arch", "descending aorta", "thoracic aorta"),
    "coronary": ("left anterior descending coronary artery", "right coronary artery", "circumflex coronary artery"),
    "small": ("small", "minimal", "moderate", "large"),
    "extent": ("mild", "moderate", "extensive"),
    "patchy": ("patchy", "multifocal", "diffuse", "peripheral"),
    "smooth": ("smooth", "mild", "diffuse"),
    "emphysema_kind": ("centrilobular", "paraseptal", "panlobular"),
    "nodule_kind": ("solid", "subsolid", "ground-glass", "well-defined", "calcified"),
    "bronchi_kind": ("cylindrical", "varicose", "cystic"),
}

NORMAL = {
    MEDIASTINUM: (
        "Mediastinal vascular structures are of normal calibre.",
        "The pulmonary trunk is of normal calibre.",
        "The esophagus shows no wall thickening.",
        "The thoracic aorta measures {aortic_width} and is not dilated.",
        "Mediastinal structures cannot be evaluated optimally without contrast material.",
    ),
    LUNG: (
        "The trachea and both main bronchi are open.",
        "No endobronchial lesion is seen.",
        "No occlusive pathology was detected in the trachea.",
    ),
    PLEURA: ("No pneumothorax.", "No pleural thickening is seen.", "Pleural surfaces are smooth."),
    DEVICE: (
        "No free fluid is seen in the upper abdomen.",
        "The pancreas is of normal size.",
        "Vertebral corpus heights are preserved.",
        "No lytic or destructive bone lesion.",
    ),
}

INCIDENTAL = (
    "A {size} hypodense nodule is seen in the left lobe of the thyroid.",
    "A {big} cyst is observed in the right lobe of the liver.",
    "A {big} nodule in the left adrenal gland, compatible with adenoma.",
    "Stones are seen in the gallbladder.",
    "A coarse calcification of {size} is noted in the spleen.",
    "Old fracture of the {side} 6th rib.",
    "Degenerative changes with osteophytes in the thoracic spine.",
    "Mild wall thickening of the gallbladder.",
    "Simple cortical cyst of {big} in the {side} kidney.",
    "Hepatic steatosis is observed.",
    "Axillary lymph nodes up to {small_node} with fatty hilum are normal.",
    "Benign calcification in the {side} breast.",
    "Subcutaneous emphysema in the {side} chest wall.",
    "A small fat-containing Bochdalek hernia on the {side}.",
    "Calcification of the costal cartilages.",
    "A sclerotic nodule of {size} in the T8 vertebral body, compatible with bone island.",
    "The liver shows an opacity of {big} after embolisation.",
    "Calcified granuloma of {size} in the liver.",
)

INDICATIONS = (
    "Cough and sputum",
    "Preoperative evaluation",
    "Health screening",
    "Chest pain",
    "COPD, worsening dyspnea",
    "Heart failure",
    "Weight loss",
    "Family history of lung cancer and emphysema",
    "Status post appendectomy",
)

NOTHING = (
    "No significant abnormality in the chest.",
    "Chest CT within normal limits.",
    "No active lung lesion.",
)
