"""How an English report puts it."""

from nightread.made_up.english import sentences
from nightread.made_up.english.findings import FINDINGS
from nightread.made_up.wording import Tongue

ENGLISH = Tongue(
    findings=FINDINGS,
    slots=sentences.SLOTS,
    frames=sentences.FRAMES,
    later=sentences.LATER,
    at="{}",
    of="{}",
    item="{seen:a} {at}",
    joiner=(" and ",),
    joiner_absent=(" or ",),
    check=("{}: present", "{}: absent", "; "),
    alone=sentences.ALONE,
    normal=sentences.NORMAL,
    incidental=sentences.INCIDENTAL,
    indications=sentences.INDICATIONS,
    nothing=sentences.NOTHING,
    no_prior=("None available", "No prior examination"),
    prior=("Chest CT of {date}", "CT of {date}"),
    addendum="ADDENDUM: The clinical information has been corrected. The interpretation is unchanged.",
    found="ADDENDUM after second reading: {said}",
    corrected="CORRECTED REPORT: Replaces the version issued earlier.",
    later_incidental=(
        "Coronary stenosis was not assessed on this low-dose spectral examination.",
        "Sarcopenia index below the threshold of the screening programme.",
        "Axillary lymph nodes up to {small_node}, reactive after mRNA vaccination, are normal.",
        "Steatotic liver disease (MASLD).",
        "The AI software marked a rib as a {size} nodule.",
    ),
    later_indications=("Annual low-dose lung cancer screening", "Long COVID", "CAR-T therapy, baseline"),
)
