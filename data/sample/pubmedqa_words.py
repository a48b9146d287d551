"""Vocabulary and sentence frames of the PubMedQA-like sample.

All wording was written for this project; every study, number and finding is invented.
A leading ``*`` marks a plural noun phrase, so that verbs agree with it; a leading ``~`` marks
an outcome that takes an article after its comparative ("a longer hospital stay").
"""

# The tables are easier to read unformatted.
# fmt: off

# kind -> verbs that lower it, verbs that raise it, comparatives after "was", comparatives before the noun
KINDS = {
    "time": (("shorten", "cut", "reduce"), ("prolong", "lengthen", "extend"), ("shorter", "longer"),
             ("shorter", "longer")),
    "level": (("lower", "reduce"), ("raise", "increase"), ("lower", "higher"), ("lower", "higher")),
    "count": (("reduce", "cut"), ("increase",), ("less frequent", "more frequent"), ("fewer", "more")),
}

# Each topic keeps people, treatments, habits and outcomes that make sense together.
# Factors are marked "+" if they plausibly go with the better outcome and "-" if with the worse.
# acute: a single event, so frames that speak of weeks do not fit. kinds: the questions that make sense, if not all.
# Outcome: noun, kind, "-" if lower is better or "+", unit, plausible low and high.
TOPICS = [
    dict(
        acute=True,
        kinds=("effect", "link", "match"),
        mesh=["Postoperative Care", "Recovery of Function", "Surgical Procedures, Operative"],
        people=["adults after knee replacement", "patients after hip surgery", "adults after gallbladder removal",
                "patients after hernia repair"],
        x=["evening light therapy", "early walking", "recorded music", "a preoperative exercise class",
           "telephone coaching", "a carbohydrate drink"],
        factors=["-poor sleep before surgery", "+daily walking before surgery", "-living alone",
                 "-regular painkiller use"],
        outcomes=[("~hospital stay", "time", "-", "days", 2.5, 8), ("*pain scores", "level", "-", "points", 2.5, 7.5),
                  ("*nausea rates", "level", "-", "%", 22, 55), ("~recovery time", "time", "-", "weeks", 3, 9)],
    ),
    dict(
        mesh=["Sleep", "Sleep Hygiene", "Fatigue"],
        people=["hospital night nurses", "adults with insomnia", "older adults in care homes",
                "first-year university students"],
        x=["a weighted blanket", "morning bright light", "an afternoon nap", "online cognitive therapy",
           "a warm foot bath", "*blue-light glasses"],
        factors=["-late screen use", "-evening coffee", "+regular exercise", "-sharing a bedroom"],
        outcomes=[("~sleep latency", "time", "-", "minutes", 15, 55), ("~total sleep time", "time", "+", "hours", 5, 8),
                  ("*night awakenings", "count", "-", "per night", 1.2, 5),
                  ("daytime sleepiness", "level", "-", "points", 5, 14)],
    ),
    dict(
        mesh=["Hypertension", "Blood Pressure", "Self Care"],
        people=["adults with mild hypertension", "patients with stable heart failure",
                "office workers with raised blood pressure", "women after menopause"],
        x=["a low-salt lunch", "handgrip training", "home blood pressure monitoring", "slow breathing practice",
           "*weekly text reminders", "beetroot juice"],
        factors=["-long commuting", "+dog ownership", "-heavy salt use", "+regular gardening", "-short sleep"],
        outcomes=[("systolic pressure", "level", "-", "mm Hg", 122, 158),
                  ("~resting heart rate", "level", "-", "beats per minute", 58, 88),
                  ("*missed doses", "count", "-", "per month", 2, 9),
                  ("*clinic visits", "count", "-", "per year", 2, 9)],
    ),
    dict(
        mesh=["Diabetes Mellitus", "Blood Glucose", "Patient Education as Topic"],
        people=["adults with type 2 diabetes", "women with gestational diabetes", "adolescents with type 1 diabetes",
                "adults with prediabetes"],
        x=["a walk after dinner", "continuous glucose monitoring", "a high-fibre breakfast", "group education",
           "pharmacist counselling", "a food diary"],
        factors=["-skipping breakfast", "-late eating", "+regular cycling", "+strong family support"],
        outcomes=[("fasting glucose", "level", "-", "mmol/L", 5.4, 9.5),
                  ("haemoglobin A1c", "level", "-", "%", 5.9, 9.2), ("~body weight", "level", "-", "kg", 68, 96),
                  ("*missed appointments", "count", "-", "per year", 1.2, 6)],
    ),
    dict(
        mesh=["Asthma", "Respiratory Function Tests", "Bronchitis"],
        people=["adults with asthma", "schoolchildren with asthma", "adults with chronic bronchitis",
                "swimmers with exercise-induced wheeze"],
        x=["*breathing exercises", "a home air filter", "*singing lessons", "a symptom app",
           "*pharmacist inhaler checks", "salt-room therapy"],
        factors=["-keeping a cat", "-a damp bedroom", "+regular running", "-cooking with gas"],
        outcomes=[("*flare-ups", "count", "-", "per year", 1.2, 6), ("~peak flow", "level", "+", "L/min", 290, 460),
                  ("*reliever puffs", "count", "-", "per week", 3, 14),
                  ("*cough scores", "level", "-", "points", 4, 15)],
    ),
    dict(
        mesh=["Oral Health", "Dental Caries", "Dental Plaque"],
        people=["teenagers with braces", "primary schoolchildren", "older adults with dry mouth", "army recruits"],
        x=["fluoride varnish", "sugar-free gum", "a brushing app", "a herbal mouth rinse", "*electric toothbrushes",
           "a salt-water rinse"],
        factors=["-night-time snacking", "+daily flossing", "-mouth breathing", "-juice drinking"],
        outcomes=[("*plaque scores", "level", "-", "points", 1.1, 3.8),
                  ("*new cavities", "count", "-", "per year", 1.1, 4.5),
                  ("gum bleeding", "level", "-", "% of sites", 22, 58),
                  ("saliva flow", "level", "+", "mL/min", 1.1, 3.6)],
    ),
    dict(
        acute=True,
        kinds=("effect", "match"),
        mesh=["Infant", "Immunization", "Pain Management"],
        people=["infants having vaccinations", "newborns having heel pricks", "toddlers having blood tests"],
        x=["a sweet solution", "skin-to-skin holding", "a vibrating toy", "quiet singing", "a numbing cream",
           "swaddling"],
        outcomes=[("~crying time", "time", "-", "seconds", 28, 95), ("*pain scores", "level", "-", "points", 2.5, 7.5),
                  ("~heart rate", "level", "-", "beats per minute", 128, 172),
                  ("~settling time", "time", "-", "minutes", 2.2, 8)],
    ),
    dict(
        mesh=["Accidental Falls", "Aged", "Postural Balance"],
        people=["older adults living alone", "residents of nursing homes", "women with osteoporosis",
                "adults over eighty"],
        x=["tai chi", "vitamin D", "a room safety check", "a dancing class", "*vibrating insoles",
           "resistance band training"],
        factors=["-bifocal lenses", "+regular gardening", "-low protein intake", "-nightly sleeping pills"],
        outcomes=[("*falls", "count", "-", "per year", 1.1, 4), ("fear of falling", "level", "-", "points", 18, 44),
                  ("~walking speed", "level", "+", "cm/s", 62, 118), ("grip strength", "level", "+", "kg", 14, 32)],
    ),
    dict(
        mesh=["Low Back Pain", "Musculoskeletal Pain", "Physical Therapy Modalities"],
        people=["adults with low back pain", "office workers with neck pain", "runners with shin pain",
                "warehouse staff with shoulder pain"],
        x=["supervised exercise", "manual therapy", "weekly yoga", "elastic tape", "*daily stretches", "*heat packs"],
        factors=["-long driving", "+regular weight training", "-low job control", "-high body weight"],
        outcomes=[("*pain scores", "level", "-", "points", 2.5, 7.5),
                  ("sick leave", "time", "-", "days per year", 3, 17),
                  ("*disability scores", "level", "-", "points", 12, 38),
                  ("*physiotherapy visits", "count", "-", "per year", 2, 11)],
    ),
    dict(
        mesh=["Cognition", "Memory", "Fatigue"],
        people=["adults with mild memory loss", "medical residents", "carers of people with dementia",
                "secondary school teachers"],
        x=["a gratitude diary", "aerobic exercise", "mindfulness training", "a choir", "*language lessons",
           "*computer puzzles"],
        factors=["+regular volunteering", "-hearing loss", "-poor sleep", "-frequent travel"],
        outcomes=[("*memory scores", "level", "+", "points", 14, 28),
                  ("*fatigue scores", "level", "-", "points", 18, 42),
                  ("~response time", "time", "-", "seconds", 1.1, 4), ("*mood scores", "level", "+", "points", 22, 48)],
    ),
    dict(
        acute=True,
        kinds=("effect", "link", "match"),
        mesh=["Pregnancy", "Labor, Obstetric", "Breast Feeding"],
        people=["women in their first pregnancy", "women expecting twins", "women having labour induced"],
        x=["acupressure", "antenatal yoga", "a birth companion", "*video lessons", "a warm bath",
           "*midwife home visits"],
        factors=["+regular walking", "-night work", "-low iron intake"],
        outcomes=[("~time in labour", "time", "-", "hours", 5, 14), ("*caesarean rates", "level", "-", "%", 14, 36),
                  ("breastfeeding", "time", "+", "weeks", 9, 31), ("*anxiety scores", "level", "-", "points", 24, 48)],
    ),
    dict(
        acute=True,
        kinds=("effect", "link", "match"),
        mesh=["Emergency Service, Hospital", "Quality of Health Care", "Medication Errors"],
        people=["emergency department patients", "patients on short-stay wards", "outpatients at a heart clinic",
                "day surgery patients"],
        x=["a bedside whiteboard", "an electronic checklist", "barcode scanning", "a ward pharmacist",
           "*two-minute safety talks", "a discharge nurse"],
        factors=["-a language barrier", "-living alone", "-poor sleep", "-heavy smoking"],
        outcomes=[("~waiting time", "time", "-", "minutes", 28, 95),
                  ("*medication errors", "count", "-", "per 100 patients", 3, 16),
                  ("*satisfaction scores", "level", "+", "points", 58, 92),
                  ("*readmission rates", "level", "-", "%", 6, 19)],
    ),
    dict(
        mesh=["Eczema", "Skin Care", "Pruritus"],
        people=["children with eczema", "adults with psoriasis", "hairdressers with hand eczema",
                "adults with itchy skin"],
        x=["a wet-wrap dressing", "an oat cream", "home phototherapy", "a dairy-free diet", "*cotton gloves",
           "a water softener"],
        factors=["-daily hot showers", "+regular sea bathing", "-wool clothing", "-keeping a dog"],
        outcomes=[("*itch scores", "level", "-", "points", 2.5, 8), ("*flare-ups", "count", "-", "per year", 2, 9),
                  ("steroid use", "level", "-", "g per week", 4, 16),
                  ("*severity scores", "level", "-", "points", 6, 19)],
    ),
    dict(
        mesh=["Migraine Disorders", "Headache", "Analgesics"],
        people=["adults with migraine", "teenagers with tension headache", "women with menstrual migraine",
                "computer workers with headache"],
        x=["magnesium", "acupuncture", "*tinted glasses", "riboflavin", "neck physiotherapy", "relaxation training"],
        factors=["-skipping meals", "-long screen work", "-irregular sleep", "-daily coffee"],
        outcomes=[("*headache days", "count", "-", "per month", 3, 13),
                  ("*painkiller doses", "count", "-", "per month", 4, 16),
                  ("~attack duration", "time", "-", "hours", 6, 30),
                  ("*days of absence", "count", "-", "per year", 2, 10)],
    ),
    dict(
        mesh=["Irritable Bowel Syndrome", "Constipation", "Diet Therapy"],
        people=["adults with irritable bowel syndrome", "children with constipation", "adults with chronic bloating",
                "patients on iron tablets"],
        x=["peppermint oil", "*kiwi fruits", "a probiotic drink", "gut-directed hypnosis", "abdominal massage",
           "a low-fat supper"],
        factors=["-fast eating", "-low fluid intake", "-late suppers", "-low fibre intake"],
        outcomes=[("*bloating scores", "level", "-", "points", 2.5, 8),
                  ("*laxative doses", "count", "-", "per week", 1.2, 7),
                  ("*symptom-free days", "count", "+", "per month", 9, 26),
                  ("~transit time", "time", "-", "hours", 24, 68)],
    ),
]

CONTROL = ["usual care", "usual care", "a waiting list", "standard advice"]
# {tail}: endings, the same for every label; {verdict}: the authors' reading of their figures.
TAILS = ["", "", ", in all subgroups", ", at every clinic", ", although some dropped out"]
FOUND_VERDICTS = [", a clear difference", ", a clear difference", ", a clear and marked effect", "{tail}"]
NULL_VERDICTS = [", well within chance", ", well within chance", ", no more than chance", "{tail}"]
MIXED_VERDICTS = [", for unclear reasons", ", and the interval was wide", ", so the result remained unclear",
                  ", and wide intervals left both possible"]
FACT_TAILS = ["", "", ", at every site", ", in towns and villages alike"]

# --- Does a treatment change an outcome? -------------------------------------------------------
EFFECT_QUESTIONS = [
    "{Does} {x} {verb} {noun} in {people}?",
    "Can {x} {verb} {noun} in {people}?",
    "{Noun} in {people}: {does} {x} {verb} {it}?",
    "{Is} {noun} in {people} {verbed} by {x}?",
]
EFFECT_METHODS = [
    "We randomly assigned {n} participants to {x} or {control} for {w} weeks.",
    "A lottery divided {n} volunteers into two groups for {w} weeks.",
    "A total of {n} participants at {k} clinics were allocated to the intervention or {control}.",
    "This trial compared {x} with {control} in {n} participants of similar age.",
    "In a randomised trial, half of {n} participants received the intervention; {d} dropped out.",
    "Assessors unaware of allocation followed {n} participants in the intervention and control groups.",
    "After a small pilot study, {n} participants at {k} clinics were randomised to two groups.",
    "The trial ran at {k} hospitals and enrolled {n} participants, half of them as controls.",
    "Participants were recruited by letter, and {n} were randomised to two groups.",
    "We analysed {n} participants by the group to which they had been assigned.",
    "Because earlier reports did not agree, {n} participants were randomised to the intervention or {control}.",
]
# {pred}, {attr}, {done} follow the observed direction; {asked} is the direction of the question.
EFFECT_FOUND = [
    "{Noun} {was} significantly {pred} in the intervention group than in the control group ({sig}){verdict}.",
    "{X} significantly {done} {noun} compared with {control} ({sig}){verdict}.",
    "{Noun} {was} clearly {pred} in the intervention group, a significant difference{tail}.",
    "{Noun} {went} by {gap} with {x} and hardly changed with {control} ({sig}){verdict}.",
    "By week {w}, {noun} {was} significantly {pred} in the intervention group ({sig}){verdict}.",
    "{Noun} averaged {a} in one group and {b} in the other, significantly {pred} with {x} ({sig}){tail}.",
    "The groups differed clearly, and {noun} {was} {pred} with {x} ({sig}){tail}.",
    "Participants given {x} had {clear_attr} {noun} than the others ({sig}){verdict}.",
    "There was a clear effect: {noun} {was} {pred} with the intervention than with {control}{tail}.",
]
EFFECT_NULL = [
    "{Noun} {was} similar in the intervention group and in the control group ({ns}){verdict}.",
    "{X} had no significant effect on {noun} compared with {control} ({ns}){verdict}.",
    "{Noun} did not differ between the intervention and control groups ({ns}){verdict}.",
    "{Noun} {went} by {gap} with {x} and just as much with {control} ({ns}){verdict}.",
    "By week {w}, {noun} {was} similar in the intervention and control groups ({ns}){verdict}.",
    "{Noun} averaged {a} in one group and {b} in the other, no significant difference ({ns}).",
    "The groups did not differ, and {noun} {was} no {asked} with {x} ({ns}){verdict}.",
    "Participants given {x} did not have {asked_attr} {noun} than the others ({ns}){verdict}.",
    "There was no effect: {noun} {was} similar with the intervention and with {control}{verdict}.",
]
EFFECT_MIXED = [
    "{Noun} {was} {pred} in the first half of the study but not in the second{verdict}.",
    "{Noun} {was} {pred} with {x} at week four, but not at week {w}{verdict}.",
    "{Noun} tended to be {pred} in the intervention group, but few participants finished{verdict}.",
    "{Noun} {was} {pred} at some clinics but {opposite} at others{verdict}.",
    "{Noun} {was} {pred} with {x} by diary but not by clinic record{verdict}.",
    "{Noun} {was} {pred} in the youngest third only, but not overall{verdict}.",
]
# Borderline wording: each item draws one of its two defensible labels.
EFFECT_BORDER = [
    (("no", "maybe"), "{Noun} {was} slightly {pred} with {x} than with {control} ({pair}, {trend})."),
    (("yes", "maybe"), "{Noun} {was} {pred} with {x} ({sig}), chiefly in participants with high starting values."),
    (("no", "maybe"), "{Noun} {was} {pred} with {x} (p=0.04), but not after adjustment for age."),
]

# --- Is a habit or circumstance associated with an outcome? ------------------------------------
LINK_QUESTIONS = [
    "{Is_x} {x} associated with {asked_attr} {noun} in {people}?",
    "Do {people} who report {x} have {asked_attr} {noun}?",
    "{Noun} in {people}: {is} {they} {asked} with {x}?",
    "{Is_x} {x} linked to {asked_attr} {noun} in {people}?",
]
LINK_METHODS = [
    "We surveyed {n} participants at {k} centres, {m} of whom reported {x}.",
    "In a cohort of {n} participants at {k} centres, {m} reported {x}.",
    "We linked health records to questionnaires from {n} participants, {m} of whom reported {x}.",
    "This study followed {n} participants of similar age, {m} of whom reported {x}.",
    "Because earlier surveys did not agree, we interviewed {n} participants; {m} reported {x}.",
]
LINK_FOUND = [
    "{Noun} {was} significantly {pred} in participants reporting {x} than in the others ({sig}){verdict}.",
    "{Noun} averaged {a} with {x} and {b} without, a significant difference ({sig}){tail}.",
    "These participants had {clear_attr} {noun} than the others ({sig}){verdict}.",
    "There was a clear association: {noun} {was} {pred} with {x} ({sig}){tail}.",
    "In adjusted models, {noun} {was} significantly {pred} with {x} ({sig}){verdict}.",
    "The groups differed clearly, and {noun} {was} {pred} with {x} ({sig}){tail}.",
]
LINK_NULL = [
    "{Noun} {was} similar in participants reporting {x} and in the others ({ns}){verdict}.",
    "{Noun} averaged {a} with {x} and {b} without, no significant difference ({ns}){tail}.",
    "These participants did not differ from the others in {noun} ({ns}){verdict}.",
    "There was no association: {noun} {was} similar with and without {x} ({ns}){verdict}.",
    "In adjusted models, {noun} {was} not significantly {asked} with {x} ({ns}){verdict}.",
    "The groups did not differ, and {noun} {was} no {asked} with {x} ({ns}){verdict}.",
]
LINK_MIXED = [
    "{Noun} {was} {pred} with {x} by questionnaire but not by health record{verdict}.",
    "{Noun} {was} {pred} with {x} in the first year but not in the second{verdict}.",
    "{Noun} {was} {pred} with {x} at some centres but {opposite} at others{verdict}.",
    "{Noun} tended to be {pred} with {x}, but few participants reported it{verdict}.",
]
LINK_BORDER = [
    (("no", "maybe"), "{Noun} {was} slightly {pred} in participants reporting {x} than in the others ({trend})."),
    (("yes", "maybe"), "{Noun} {was} {pred} with {x} ({pair}, {sig}), chiefly at the largest centre."),
]

# --- Is one treatment as good as another? A missing difference now means yes. -------------------
MATCH_QUESTIONS = [
    "{Does} {x} {verb} {noun} as much as {y}?",
    "{Is_x} {x} as effective as {y} for {noun}?",
    "{Noun} in {people}: {is_x} {x} as good as {y}?",
]
MATCH_METHODS = [
    "We randomly assigned {n} {people} to {x} or {y}.",
    "A total of {n} participants were allocated to {x} or {y} for {w} weeks.",
    "This trial compared {x} with {y} in {n} {people}.",
    "Assessors unaware of allocation followed {n} participants assigned to {x} or {y}.",
]
MATCH_YES = [
    "{Noun} {went} by {gap} with {x} and just as much with {y}{tail}.",
    "{Noun} {was} similar with {x} and {y} ({pair}), within the margin set in advance.",
    "{Noun} did not differ significantly between the groups ({pair}, {ns}) and had improved in both.",
]
MATCH_NO = [
    "{Noun} {went} by {gap} with {y} and hardly changed with {x} ({sig}){tail}.",
    "{Noun} {was} clearly {worse} with {x} than with {y} ({sig}){tail}.",
    "The change in {noun} with {x} was less than half of that with {y} ({sig}).",
]
MATCH_MAYBE = [
    "{Noun} {was} similar with {x} and {y} ({pair}), but the interval was wide.",
    "{Noun} {was} similar at some clinics, but at others {y} did better than {x}.",
]

# --- Does an effect last? ------------------------------------------------------------------------
LAST_QUESTIONS = [
    "Does the effect of {x} on {noun} last beyond {t} months?",
    "Is the benefit of {x} for {noun} still present after {t} months?",
    "{Noun} in {people}: does the gain from {x} outlast {t} months?",
]
LAST_METHODS = [
    "We re-examined {n} {people} {late} months after a trial of {x}.",
    "Of {n} participants in a trial of {x} or {control}, {m} returned at {late} months.",
    "Participants in a trial of {x} were followed for {late} months ({n} people).",
]
LAST_YES = [
    "At {late} months, {noun} {was} still {pred} than with {control} ({pair}){tail}.",
    "{Noun} had hardly changed since the end of treatment and remained {pred} ({sig}).",
    "The early difference in {noun} had not faded at {late} months ({pair}, {sig}).",
]
LAST_NO = [
    "At {late} months, {noun} {was} no longer {pred} than with {control} ({pair}, {ns}).",
    "{Noun} had returned to the starting level by month {t} and remained there.",
    "The early difference in {noun} had faded at {late} months ({pair}, {ns}).",
]
LAST_MAYBE = [
    "{Noun} {was} still {pred} at {late} months, but many participants could not be reached.",
    "{Noun} {was} still {pred} at some clinics and back at the starting level at others.",
]

# --- Questions with their own facts: (subjects, objects, groups) are combined freely -------------
# Can a test find a condition?
TEST_SETS = [
    (["a five-word memory test", "a clock-drawing test", "a two-minute phone interview"], ["early dementia"],
     ["older adults", "retired workers"]),
    (["a smartphone photograph", "a nurse's inspection", "a self-drawn body map"], ["suspicious moles"],
     ["outdoor workers", "adults at skin clinics"]),
    (["a wrist sensor", "pulse palpation", "a kitchen-timer pulse count"], ["atrial fibrillation"],
     ["adults over seventy", "pharmacy customers"]),
    (["a single sleep question", "a neck measurement", "a bedside sound recording"], ["sleep apnoea"],
     ["truck drivers", "adults before surgery"]),
    (["a finger-prick test", "an eyelid colour check", "a diet questionnaire"], ["iron deficiency"],
     ["blood donors", "women in early pregnancy"]),
    (["a whispered voice test", "a tablet hearing game", "a parent questionnaire"], ["hearing loss"],
     ["preschool children", "school starters"]),
    (["a breath test", "a saliva strip", "a symptom diary"], ["coeliac disease"],
     ["adults with bloating", "children with short stature"]),
]
TEST_QUESTIONS = ["Can {x} identify {target} in {people}?", "Is {x} accurate enough to detect {target} in {people}?",
                  "{Target} in {people}: can {x} replace the full examination?"]
TEST_METHODS = [
    "All {n} {people} had {x} before the full examination by a specialist.",
    "We compared {x} with the reference standard in {n} participants at {k} clinics.",
    "Specialists unaware of the first result examined {n} participants after {x}.",
]
TEST_YES = [
    "Of {m} people with {target}, {x} identified {most}, with false alarms in only {few}% of the others.",
    "{X} agreed with the specialist in {high}% of cases and missed only {tiny} people with {target}{tail}.",
    "Sensitivity was {high}% and specificity {high2}%, and neither differed between clinics.",
]
TEST_NO = [
    "Of {m} people with {target}, {x} identified only {less}, with false alarms in {mid}% of the others.",
    "{X} agreed with the specialist little more often than chance and missed {most} people with {target}{tail}.",
    "Sensitivity was {low}% and specificity {mid}%, and neither differed between clinics.",
]
TEST_MAYBE = [
    "Sensitivity was {high}% at some clinics and {low}% at others, and the reason remained unclear.",
    "{X} found {tiny} of {tiny_total} people with {target}, too few cases for a useful estimate{tail}.",
]
# Is a routine necessary?
NEED_SETS = [
    (["a routine chest radiograph", "a repeat blood count", "overnight monitoring"],
     ["after pacemaker placement", "after lung biopsy", "after minor surgery"]),
    (["a follow-up ultrasound scan", "a clinic review", "a second specialist opinion"],
     ["after kidney stone treatment", "after thyroid surgery", "after ankle fracture"]),
    (["a preoperative electrocardiogram", "a preoperative urine test", "a preoperative clotting test"],
     ["before cataract surgery", "before hernia repair", "before knee arthroscopy"]),
]
NEED_QUESTIONS = ["Is {x} necessary {when}?", "Do patients need {x} {when}?", "Should {x} remain routine {when}?"]
NEED_METHODS = [
    "We reviewed the records of {n} consecutive patients who had {x} {when} at {k} hospitals.",
    "In {n} patients, clinicians noted before and after {x} which treatment they planned.",
    "Over {w} weeks, all {n} patients had {x}, and we recorded every change in treatment.",
]
NEED_YES = [
    "The findings changed treatment in {mid}% of patients, most of whom had no symptoms beforehand{tail}.",
    "An unexpected problem was found in {most} of {m} patients, and none would have been noticed otherwise{tail}.",
    "Without it, {most} of {m} complications would have been missed, as the patients reported no symptoms{tail}.",
]
NEED_NO = [
    "The findings changed treatment in {tiny} patients, all of whom had symptoms beforehand{tail}.",
    "An unexpected problem was found in {tiny} patients, and all would have been noticed otherwise{tail}.",
    "Without it, none of {m} complications would have been missed, as the patients reported symptoms{tail}.",
]
NEED_MAYBE = [
    "The findings changed treatment in {few}% of patients, and reviewers disagreed whether the change had helped them.",
    "Findings were useful in patients over seventy, but younger patients were too few to judge.",
]
# Is a treatment safe? Here too a missing difference means yes.
SAFE_SETS = [
    (["a vegetarian diet", "swimming", "air travel"], ["in late pregnancy", "during a twin pregnancy"],
     ["*contractions", "*unplanned visits"]),
    (["sauna bathing", "resistance training", "hill walking"], ["after a heart attack", "in stable angina"],
     ["*rhythm disturbances", "dizziness"]),
    (["same-day discharge", "early driving", "an immediate normal diet"],
     ["after hernia repair", "after thyroid surgery"], ["*readmissions", "*wound problems"]),
    (["contact lens wear", "an evening antihistamine", "nasal rinsing"], ["in schoolchildren", "in older adults"],
     ["*unplanned visits", "irritation"]),
    (["intermittent fasting", "long-distance running", "a low-carbohydrate diet"],
     ["in type 1 diabetes", "in mild kidney disease"], ["*low glucose readings", "*unplanned visits"]),
]
SAFE_QUESTIONS = ["Is {x} safe {when}?", "Can {x} be recommended {when} without added risk?", "{X} {when}: is it safe?"]
SAFE_METHODS = [
    "We recorded {harm} for {w} weeks in {n} people choosing {x} and {m} who did not.",
    "In this registry study, {m} people choosing {x} were matched to {n} others of the same age.",
    "At {k} centres, we compared {n} people advised to avoid {x} with {m} who were not.",
]
SAFE_YES = [
    "{Harm} did not differ significantly between the groups ({pct} versus {pct2}, {ns}){tail}.",
    "{Harm} {was} no more common with {x} than without ({pct} versus {pct2}){tail}.",
    "{Harm} {was} rare in both groups and, if anything, less common with {x} ({pct} versus {pct2}){tail}.",
]
SAFE_NO = [
    "{Harm} differed significantly between the groups ({pct_high} with {x} versus {pct}, {sig}){tail}.",
    "{Harm} {was} clearly more common with {x} than without ({pct_high} versus {pct}){tail}.",
    "{Harm} {was} less common without {x} ({pct}) than with it ({pct_high}, {sig}){tail}.",
]
SAFE_MAYBE = [
    "{Harm} {was} similar in both groups ({pct} versus {pct2}), but the sample was too small to exclude a risk.",
    "{Harm} {was} no more common with {x} under supervision, but at home the figures were incomplete.",
]
# Does a group know or do something?
KNOW_SETS = [
    (["parents of children with food allergy", "primary school teachers", "restaurant staff"],
     ["know how to use an adrenaline pen", "recognise an allergic reaction"]),
    (["family doctors", "community pharmacists", "practice nurses"],
     ["know the current vaccination schedule", "follow the guideline on antibiotics"]),
    (["adults with asthma", "grandparents", "sports coaches"],
     ["use inhalers correctly", "know when to call an ambulance"]),
    (["hospital cleaners", "medical students", "care home staff"],
     ["wash their hands as advised", "know the fire and isolation rules"]),
]
KNOW_QUESTIONS = ["Do {people} {know}?", "{People}: do they {know}?", "Do most {people} in small towns {know}?"]
KNOW_METHODS = [
    "Trained observers visited {n} {people} at {k} sites and scored their performance on a checklist.",
    "We sent a short anonymous questionnaire to {n} {people}, of whom {high}% replied.",
    "A total of {n} participants took a practical test; age and experience were noted.",
]
KNOW_YES = [
    "A large majority, {high}%, passed without help, and experience made no difference{tail}.",
    "Errors were rare: {high}% scored above the pass mark, and only {few}% needed help{tail}.",
    "Only {few}% failed the pass mark, and most of the others made no error at all{tail}.",
]
KNOW_NO = [
    "A large majority, {high}%, did not pass without help, and experience made no difference{tail}.",
    "Errors were common: only {few}% scored above the pass mark, and {high}% needed help{tail}.",
    "Only {few}% reached the pass mark, and most of the others made more than one error{tail}.",
]
KNOW_MAYBE = [
    "Between {low}% and {high}% reached the pass mark depending on the site, with no overall pattern.",
    "About half ({half}%) reached the pass mark, but the answers of many others could not be scored.",
]

# --- Conclusions (LONG_ANSWER), by label ---------------------------------------------------------
CONCLUSIONS = {
    "yes": ["Our findings support this: {claim}.", "We conclude that {claim}.", "These results indicate that {claim}."],
    "no": ["Our findings do not support the idea that {claim}.", "We could not confirm that {claim}.",
           "These results speak against the view that {claim}."],
    "maybe": ["It remains uncertain whether {claim}.", "Larger studies are needed to tell whether {claim}.",
              "The evidence on whether {claim} is inconclusive."],
}

# --- The tables above by kind of question --------------------------------------------------------
FRAMES = {
    "effect": dict(question=EFFECT_QUESTIONS, methods=EFFECT_METHODS, yes=EFFECT_FOUND, no=EFFECT_NULL,
                   maybe=EFFECT_MIXED, claim="{x} can {verb} {noun} in {people}"),
    "link": dict(question=LINK_QUESTIONS, methods=LINK_METHODS, yes=LINK_FOUND, no=LINK_NULL,
                 maybe=LINK_MIXED, claim="{x} {is_x} associated with {asked_attr} {noun} in {people}"),
    "match": dict(question=MATCH_QUESTIONS, methods=MATCH_METHODS, yes=MATCH_YES, no=MATCH_NO,
                  maybe=MATCH_MAYBE, claim="{x} {is_x} as effective as {y} for {noun}"),
    "last": dict(question=LAST_QUESTIONS, methods=LAST_METHODS, yes=LAST_YES, no=LAST_NO,
                 maybe=LAST_MAYBE, claim="the effect of {x} on {noun} lasts beyond {t} months"),
    "test": dict(question=TEST_QUESTIONS, methods=TEST_METHODS, yes=TEST_YES, no=TEST_NO,
                 maybe=TEST_MAYBE, claim="{x} can identify {target} in {people}"),
    "need": dict(question=NEED_QUESTIONS, methods=NEED_METHODS, yes=NEED_YES, no=NEED_NO,
                 maybe=NEED_MAYBE, claim="{x} is necessary {when}"),
    "safe": dict(question=SAFE_QUESTIONS, methods=SAFE_METHODS, yes=SAFE_YES, no=SAFE_NO,
                 maybe=SAFE_MAYBE, claim="{x} is safe {when}"),
    "know": dict(question=KNOW_QUESTIONS, methods=KNOW_METHODS, yes=KNOW_YES, no=KNOW_NO,
                 maybe=KNOW_MAYBE, claim="{people} {know}"),
}
BORDER = {"effect": EFFECT_BORDER, "link": LINK_BORDER}
OUTCOME_KINDS = ("effect", "link", "match", "last")
# kind -> names of a set's members, subject headings, sets
FACTS = {
    "test": (("x", "target", "people"), ["Diagnosis", "Sensitivity and Specificity"], TEST_SETS),
    "need": (("x", "when"), ["Diagnostic Tests, Routine", "Unnecessary Procedures"], NEED_SETS),
    "safe": (("x", "when", "harm"), ["Risk Assessment", "Safety"], SAFE_SETS),
    "know": (("people", "know"), ["Health Knowledge, Attitudes, Practice", "Clinical Competence"], KNOW_SETS),
}
# How often each kind of question is drawn
KIND_SHARES = {"effect": 70, "link": 24, "match": 1, "last": 1, "test": 1, "need": 1, "safe": 1, "know": 1}
OPPOSITE_SHARE = 0.08  # "no" items whose effect is clear but points the other way
UNEXPECTED_SHARE = 0.06  # items in which a helpful habit or treatment harms, or the other way round
