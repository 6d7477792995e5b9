"""How an English report puts it."""

from nightread.made_up.wording import Layout, Region, Tongue, Wording

MEDIASTINUM, LUNG, PLEURA, DEVICE = Region

_FINDINGS = {
    "Medical material": Wording(
        DEVICE,
        nouns=("implanted device", "surgical material"),
        present=(
            "A central venous catheter is seen with its tip in the superior vena cava.",
            "A pacemaker is seen in the left anterior chest wall with leads in the right heart.",
            "Sternotomy wires and mediastinal surgical clips are noted.",
            "A stent is seen in the {coronary}.",
            "A chemoport is present in the right chest wall.",
            "The endotracheal tube ends {cm} cm above the carina.",
            "A nasogastric tube passes into the stomach.",
        ),
        absent=("No catheter, tube or implanted device is seen.", "No surgical material is seen in the chest."),
        gone=("The central venous catheter seen on the previous examination has been removed.",),
        summary=("Medical device in situ.", "Indwelling or implanted medical material."),
        listed=False,
    ),
    "Arterial wall calcification": Wording(
        MEDIASTINUM,
        nouns=("aortic wall calcification", "arterial wall calcification"),
        present=(
            "Calcified atherosclerotic plaques are seen in the wall of the aortic arch.",
            "There is {extent} calcification of the thoracic aorta.",
            "Calcific atheroma plaques are observed in the aorta and its branches.",
            "Wall calcification of the descending aorta without aneurysm.",
        ),
        absent=("No calcified plaque is seen in the thoracic aorta.",),
        summary=("Atherosclerotic calcification of the aorta.", "Calcified aortic plaques."),
        where="in the aortic arch",
        lasting=True,
    ),
    "Cardiomegaly": Wording(
        MEDIASTINUM,
        nouns=("cardiomegaly", "cardiac enlargement"),
        present=(
            "The heart is enlarged.",
            "Heart size is increased, with a cardiothoracic ratio of 0.{ctr}.",
            "The left atrium and left ventricle are enlarged.",
            "The heart is larger than normal, without wall motion artefact.",
        ),
        absent=(
            "Heart size is normal.",
            "The heart is not enlarged.",
            "The cardiothoracic ratio is within normal limits.",
        ),
        summary=("Cardiomegaly.", "Enlarged heart."),
        lasting=True,
    ),
    "Pericardial effusion": Wording(
        MEDIASTINUM,
        nouns=("pericardial effusion",),
        present=(
            "Pericardial effusion measuring {mm} mm in thickness is observed.",
            "There is a {small} pericardial effusion.",
            "Fluid is seen in the pericardial space, {mm} mm at its widest point.",
            "A {small} pericardial effusion is present without signs of tamponade.",
        ),
        absent=("Pericardial effusion or thickening was not observed.", "No fluid in the pericardial space."),
        summary=("{Small} pericardial effusion.", "Pericardial effusion."),
        doubtful=True,
        lasting=True,
    ),
    "Coronary artery wall calcification": Wording(
        MEDIASTINUM,
        nouns=("coronary artery calcification", "coronary calcification"),
        present=(
            "{Extent} calcification of the {coronary} is seen.",
            "Calcified atherosclerotic changes are observed in the coronary arteries.",
            "Coronary artery calcifications are present, most marked in the {coronary}.",
            "Calcific plaques in the {coronary}.",
        ),
        absent=("No calcified plaque is seen in the coronary arteries.",),
        summary=("Coronary artery calcification.", "Coronary atherosclerosis with calcified plaques."),
        where="in the {coronary}",
        lasting=True,
    ),
    "Hiatal hernia": Wording(
        MEDIASTINUM,
        nouns=("hiatal hernia", "sliding hiatal hernia"),
        present=(
            "A {small} hiatal hernia is seen at the lower end of the esophagus.",
            "Sliding type hiatal hernia is observed.",
            "Part of the stomach herniates through the esophageal hiatus.",
            "There is a hiatal hernia measuring {cm} cm, without obstruction.",
        ),
        absent=("The esophageal hiatus is of normal width, without herniation.",),
        summary=("Hiatal hernia.", "{Small} sliding hiatal hernia."),
        lasting=True,
    ),
    "Lymphadenopathy": Wording(
        MEDIASTINUM,
        nouns=("lymphadenopathy", "enlarged lymph node", "mediastinal lymphadenopathy"),
        present=(
            "Enlarged lymph nodes are seen in the {station}, the largest measuring {node} mm in short axis.",
            "A {node} mm lymph node is observed in the {station}.",
            "There is {station} lymphadenopathy, up to {node} mm.",
            "Multiple lymph nodes in the {station}, the largest {node} mm, without necrosis.",
        ),
        absent=(
            "No enlarged lymph nodes were detected in the mediastinal, hilar or axillary regions.",
            "Lymph nodes in the {station} are not pathologically enlarged.",
            "Mediastinal lymph nodes are below 1 cm in short axis.",
        ),
        summary=("Mediastinal lymphadenopathy.", "Enlarged lymph nodes in the {station}."),
        where="in the {station}",
        doubtful=True,
        lasting=True,
    ),
    "Emphysema": Wording(
        LUNG,
        nouns=("emphysema", "emphysematous change"),
        present=(
            "{Emphysema_kind} emphysema is seen in {zones}.",
            "Emphysematous changes are observed in {zones}.",
            "There is {extent} {emphysema_kind} emphysema, without bullae larger than 1 cm.",
            "Bullae and emphysematous areas are present in {zones}.",
        ),
        absent=("No emphysematous change or bulla is seen.",),
        summary=("{Emphysema_kind} emphysema.", "Emphysema in {zones}.", "Pulmonary emphysema."),
        where="in {zones}",
        lasting=True,
    ),
    "Atelectasis": Wording(
        LUNG,
        nouns=("atelectasis", "volume loss"),
        present=(
            "Linear atelectasis is seen in the {lobe}.",
            "Subsegmental atelectasis in the {lobe}.",
            "Compressive atelectasis is observed in the {lower}.",
            "Plate-like atelectatic changes in the {lobe}, without bronchial obstruction.",
        ),
        absent=("Both lungs are fully expanded, without volume loss.",),
        summary=("Subsegmental atelectasis in the {lobe}.", "Linear atelectasis."),
        where="in the {lobe}",
        doubtful=True,
    ),
    "Lung nodule": Wording(
        LUNG,
        nouns=("lung nodule", "pulmonary nodule"),
        present=(
            "A {mm} mm {nodule_kind} nodule is seen in the {lobe}.",
            "There is a {nodule_kind} nodule in the {lobe}, measuring {mm} x {mm2} mm.",
            "A few nodules, the largest {mm} mm, are observed in {zones}.",
            "A {cm} cm nodule with spiculated margin in the {lobe}.",
            "A nonspecific nodule of {mm} mm in the {lobe}, without calcification.",
        ),
        absent=("No nodule or mass was detected in either lung.", "No nodular lesion is seen in the {lobe}."),
        summary=("Nodule in the {lobe}.", "Lung nodule; follow-up CT is recommended."),
        where="in the {lobe}",
        doubtful=True,
        lasting=True,
    ),
    "Lung opacity": Wording(
        LUNG,
        nouns=("ground-glass opacity", "ground-glass density"),
        present=(
            "{Patchy} ground-glass opacities are seen in {zones}.",
            "Ground-glass density increases are observed in the {lobe}.",
            "There are {patchy} opacities in {zones}, compatible with infection.",
            "An ill-defined ground-glass opacity of {cm} cm in the {lobe}, without cavitation.",
        ),
        absent=("No ground-glass density is observed.", "Lung density shows no ground-glass increase."),
        gone=("The ground-glass opacities in {zones} have cleared since the previous examination.",),
        summary=(
            "{Patchy} ground-glass opacities, suggestive of infection.",
            "Opacity in the {lobe}.",
            "Ground-glass opacity.",
        ),
        where="in the {lobe}",
        doubtful=True,
    ),
    "Pulmonary fibrotic sequela": Wording(
        LUNG,
        nouns=("fibrotic sequela", "sequela change", "fibrotic scar"),
        present=(
            "Pleuroparenchymal sequelae are seen in both lung apices.",
            "Fibrotic bands are observed in the {lobe}.",
            "Sequela fibrotic changes in the {lobe}, without active lesion.",
            "Scarring with traction is noted in the {lobe}, compatible with old infection.",
        ),
        absent=("No scar or fibrotic band is seen.",),
        summary=("Sequela changes in the {lobe}.", "Fibrotic sequela."),
        where="in the {lobe}",
        lasting=True,
    ),
    "Pleural effusion": Wording(
        PLEURA,
        nouns=("pleural effusion",),
        present=(
            "There is a {small} {side} pleural effusion.",
            "Pleural effusion measuring {cm} cm in its deepest part is observed on the {side} side.",
            "Bilateral pleural effusion is seen, more on the {side}.",
            "Fluid is seen in the {side} pleural space.",
            "{Side} pleural effusion without loculation.",
        ),
        absent=(
            "No pleural effusion or thickening is seen on either side.",
            "Both pleural spaces are free of fluid.",
            "Pleural effusion was not detected in either hemithorax.",
        ),
        gone=("The {side} pleural effusion seen on the previous examination has resolved.",),
        summary=("{Small} {side} pleural effusion.", "Pleural effusion on the {side}.", "Pleural effusion."),
        where="on the {side} side",
        doubtful=True,
        lasting=True,
    ),
    "Mosaic attenuation pattern": Wording(
        LUNG,
        nouns=("mosaic attenuation", "mosaic attenuation pattern", "air trapping"),
        present=(
            "A mosaic attenuation pattern is seen in {zones}.",
            "Mosaic attenuation is observed, compatible with small airway disease.",
            "There are areas of decreased attenuation in {zones}, forming a mosaic pattern.",
            "Mosaic perfusion of both lungs, without vessel occlusion.",
        ),
        absent=("Attenuation of both lungs is homogeneous.",),
        summary=("Mosaic attenuation; small airway disease is considered.", "Mosaic attenuation pattern."),
        where="in {zones}",
        doubtful=True,
    ),
    "Peribronchial thickening": Wording(
        LUNG,
        nouns=("peribronchial thickening", "bronchial wall thickening"),
        present=(
            "Peribronchial thickening is seen in {zones}.",
            "The bronchial walls are thickened in the {lobe}.",
            "Bronchial wall thickening is observed in {zones}, compatible with bronchitis.",
            "Diffuse thickening of the bronchial walls, without mucus plugging.",
        ),
        absent=("Bronchial walls are of normal thickness.",),
        summary=("Bronchial wall thickening.", "Peribronchial thickening in {zones}."),
        where="in {zones}",
        doubtful=True,
    ),
    "Consolidation": Wording(
        LUNG,
        nouns=("consolidation", "airspace consolidation"),
        present=(
            "Consolidation with air bronchogram is seen in the {lobe}.",
            "A {cm} cm area of consolidation is observed in the {lobe}.",
            "There is {patchy} consolidation in the {lower}, compatible with pneumonia.",
            "Segmental consolidation of the {lobe}, without abscess.",
        ),
        absent=("No airspace consolidation is seen in either lung.",),
        gone=("The consolidation in the {lobe} on the previous examination has resolved.",),
        summary=("Consolidation in the {lobe}; pneumonia.", "Pneumonic consolidation."),
        where="in the {lobe}",
        doubtful=True,
    ),
    "Bronchiectasis": Wording(
        LUNG,
        nouns=("bronchiectasis", "bronchiectatic change"),
        present=(
            "Bronchiectasis is seen in the {lobe}.",
            "{Bronchi_kind} bronchiectatic changes are observed in the {lobe}.",
            "The bronchi are dilated in {zones}.",
            "Traction bronchiectasis in the {lobe}, without mucus impaction.",
        ),
        absent=("The bronchi are of normal calibre.",),
        summary=("Bronchiectasis in the {lobe}.", "{Bronchi_kind} bronchiectasis.", "Bronchiectasis."),
        where="in the {lobe}",
        doubtful=True,
        lasting=True,
    ),
    "Interlobular septal thickening": Wording(
        LUNG,
        nouns=("interlobular septal thickening", "septal thickening"),
        present=(
            "Interlobular septal thickening is seen in {zones}.",
            "The interlobular septa are thickened, most marked in the {lower}.",
            "Smooth septal thickening is observed in {zones}, compatible with interstitial edema.",
            "Thickened interlobular septa in the {lobe}, without nodularity.",
        ),
        absent=("The interlobular septa are not thickened.",),
        summary=("Interlobular septal thickening, suggestive of edema.", "Septal thickening in {zones}."),
        where="in {zones}",
        doubtful=True,
    ),
}


def _sections(indication: str, findings: list[list[str]], impression: list[str]) -> str:
    body = "\n".join(" ".join(region) for region in findings if region)
    listed = "\n".join(f"{number}. {line}" for number, line in enumerate(impression, 1))
    return (
        f"CLINICAL INFORMATION: {indication}\nTECHNIQUE: Chest CT without contrast.\n\n"
        f"FINDINGS:\n{body}\n\nIMPRESSION:\n{listed}"
    )


def _prose(indication: str, findings: list[list[str]], impression: list[str]) -> str:
    body = " ".join(sentence for region in findings for sentence in region)
    return f"{body} Impression: {' '.join(impression)}"


def _organs(indication: str, findings: list[list[str]], impression: list[str]) -> str:
    names = ("Mediastinum", "Lungs", "Pleura", "Other")
    body = "\n".join(f"{name}: {' '.join(region)}" for name, region in zip(names, findings, strict=False) if region)
    listed = "\n".join(f"- {line}" for line in impression)
    return f"Indication: {indication}\nFindings\n{body}\nImpression\n{listed}"


_LAYOUTS: tuple[Layout, ...] = (_sections, _prose, _organs)

ENGLISH = Tongue(
    findings=_FINDINGS,
    slots={
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
        "lower": ("right lower lobe", "left lower lobe", "dependent parts of both lower lobes"),
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
        "coronary": ("left anterior descending artery", "right coronary artery", "circumflex artery"),
        "small": ("small", "minimal", "moderate", "large"),
        "extent": ("mild", "moderate", "extensive"),
        "patchy": ("patchy", "multifocal", "diffuse", "peripheral"),
        "emphysema_kind": ("centrilobular", "paraseptal", "panlobular"),
        "nodule_kind": ("solid", "subsolid", "ground-glass", "well-defined", "calcified"),
        "bronchi_kind": ("cylindrical", "varicose", "cystic"),
        "ctr": ("54", "56", "58", "61"),
        "mm": tuple(str(size) for size in range(3, 10)),
        "mm2": ("2", "3"),
        "node": tuple(str(size) for size in range(11, 24)),
        "cm": tuple(f"{size / 10:.1f}" for size in range(11, 42)),
    },
    absent=(
        "No {noun}.",
        "No evidence of {noun}.",
        "{Noun} was not observed.",
        "There is no {noun}.",
        "{Noun} is not seen.",
        "No {noun} {where}.",
    ),
    absent_list=(
        "No {nouns}.",
        "There is no {nouns}.",
        "No evidence of {nouns} was detected.",
        "The examination shows no {nouns}.",
    ),
    last_joiner=(" or ",),
    suspected=(
        "{Noun} is suspected {where}.",
        "Findings {where} are suspicious for {noun}.",
        "Probable {noun} {where}.",
        "{Noun} {where} is considered likely.",
    ),
    unlikely=(
        "{Noun} {where} is considered unlikely.",
        "The appearance {where} is artefactual rather than {noun}.",
        "Findings {where} do not suggest {noun}.",
    ),
    stable=(
        "The known {noun} {where} shows no significant change.",
        "No interval change of the {noun} {where}.",
        "{Noun} {where}, unchanged from the previous examination.",
    ),
    gone=(
        "The {noun} seen {where} on the previous examination is no longer visible.",
        "Interval resolution of the {noun} {where}.",
        "Previously noted {noun} {where} has resolved.",
    ),
    contrasts=((".", ""),),
    contrast_ends=(", without {noun}.", ", but no {noun}.", ", with no evidence of {noun}."),
    normal={
        MEDIASTINUM: (
            "Mediastinal vascular structures are of normal calibre.",
            "The pulmonary trunk is of normal calibre.",
            "The esophagus shows no wall thickening.",
            "Thoracic aorta diameter is normal.",
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
    },
    incidental=(
        "A {mm} mm hypodense nodule is seen in the left lobe of the thyroid.",
        "A {cm} cm cyst is observed in the right lobe of the liver.",
        "A {cm} cm nodule in the left adrenal gland, compatible with adenoma.",
        "Stones are seen in the gallbladder.",
        "A coarse calcification is noted in the spleen.",
        "Old fracture of the {side} 6th rib.",
        "Degenerative changes with osteophytes in the thoracic spine.",
        "Accessory spleen is noted.",
        "Mild wall thickening of the gallbladder.",
        "Simple cortical cyst in the {side} kidney.",
        "Hepatic steatosis is observed.",
        "Small axillary lymph nodes with fatty hilum are normal.",
        "Calcification is present in the {side} breast.",
    ),
    indications=(
        "Cough and sputum.",
        "Fever, rule out pneumonia.",
        "Dyspnea, rule out pleural effusion.",
        "Follow-up of a lung nodule.",
        "Preoperative evaluation.",
        "Health screening.",
        "Chest pain.",
        "Known emphysema, worsening dyspnea.",
        "Hemoptysis, rule out bronchiectasis.",
        "Weight loss, rule out lymphadenopathy.",
        "Heart failure, rule out pericardial effusion.",
    ),
    nothing=(
        "No significant abnormality in the chest.",
        "Thoracic CT examination within normal limits.",
        "No active lung lesion.",
    ),
    addendum="ADDENDUM: The clinical information has been corrected. The interpretation is unchanged.",
    layouts=_LAYOUTS,
)
