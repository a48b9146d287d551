"""Vocabulary and sentence frames of the Dreaddit-like sample.

All wording was written for this project; every writer, event and place is invented.
``[present|past|third]`` holds the forms of a verb phrase for "I ... now", "I ... then" and
"she ... now"; {i}, {my} and {me} follow the speaker; {thing} is what the post is about.
"""

SUBREDDITS = ["relationships", "anxiety", "ptsd", "homeless", "assistance", "food_pantry", "stress", "domesticviolence", "almosthomeless", "survivorsofabuse"]

# thing, subreddits where such a post could stand, neutral facts that fit a strained and a calm post alike.
THEMES = [
    ("the rent", "almosthomeless assistance stress relationships", [
        "Our rent goes up by {money} in {month}.",
        "The landlord wants to talk about the lease on {day}.",
        "My rent is due on {day} and my pay arrives a day later.",
        "I share a two-room flat with {person} and we pay by the month."]),
    ("the move", "homeless almosthomeless assistance domesticviolence", [
        "I have {n} days to pack before the new tenants arrive.",
        "The housing office offered me a studio near {place}.",
        "We get the keys to the new flat on {day}.",
        "Everything I own fits into {n} boxes and a bicycle basket."]),
    ("the waiting list", "homeless almosthomeless survivorsofabuse domesticviolence", [
        "I am number {n} on the housing list.",
        "The shelter keeps a bed for thirty days and then reviews each case.",
        "My caseworker called on {day} about the housing list.",
        "They asked for two more papers before I can move up the list."]),
    ("the interview", "stress anxiety ptsd homeless", [
        "I have an interview at {place} on {day}.",
        "The company invited me to a second interview with three managers.",
        "They want to see me at nine on {day} and it takes two buses.",
        "It is my first interview in {n} years."]),
    ("the new job", "stress anxiety ptsd relationships", [
        "I start at {place} on {day}.",
        "My training week has {n} modules and a short test at the end.",
        "The new manager asked me to lead the {day} meeting.",
        "I switched from nights to the early shift in {month}."]),
    ("the cut in hours", "stress assistance almosthomeless food_pantry", [
        "The warehouse cut everyone to {n} hours a week.",
        "My shifts for {month} came out and there are only {n} of them.",
        "The café closes on {day} from now on, so I lose one shift.",
        "{Person} and I both work part time at the moment."]),
    ("the exam", "stress anxiety ptsd", [
        "My exam is on {day} and covers {n} chapters.",
        "I am taking the nursing exam again in {month}.",
        "The grades come out on {day} at noon.",
        "I went back to college after {n} years."]),
    ("the blood test", "anxiety stress assistance ptsd", [
        "The clinic took blood last week and will call on {day}.",
        "My doctor wants to repeat a test in {month}.",
        "I have a check-up on {day} at the clinic near {place}.",
        "The nurse said the result takes {n} days."]),
    ("the dentist", "anxiety ptsd survivorsofabuse assistance", [
        "I have a dentist appointment on {day} after {n} years without one.",
        "The dentist near {place} takes new patients and offered me {day}.",
        "I need a filling and a crown, and it comes to {money}."]),
    ("the talk", "relationships anxiety domesticviolence survivorsofabuse", [
        "My partner wants to sit down and talk on {day}.",
        "We have been together for {n} years, and some things need to be said.",
        "{Person} sent me a message that we should talk soon.",
        "We agreed to talk about money and chores on {day}."]),
    ("the family visit", "relationships stress survivorsofabuse anxiety", [
        "My mother-in-law arrives on {day} and stays for {n} days.",
        "We are driving to my parents in {month}, for the first time in {n} years.",
        "My father is coming to see the new flat on {day}."]),
    ("the wedding", "relationships anxiety stress ptsd", [
        "My cousin gets married in {month} and I am one of the witnesses.",
        "I am invited to a wedding on {day} where I know {n} people.",
        "My ex will be at the same wedding in {month}."]),
    ("the kitchen rota", "relationships stress anxiety homeless", [
        "I live with {n} other people and we share one kitchen.",
        "{Person} moved in and has not washed a plate since {day}.",
        "There is a house meeting about cleaning on {day}."]),
    ("the hearing", "domesticviolence survivorsofabuse ptsd assistance", [
        "The custody hearing was set for {day}.",
        "My lawyer sent {n} pages that I have to read before {day}.",
        "I have to sign the separation papers in {month}."]),
    ("the handover", "domesticviolence survivorsofabuse relationships ptsd", [
        "My ex brings my boxes back on {day}, and {person} will be there.",
        "We hand the kids over in the car park near {place} every {day}.",
        "He still has my spare key and {n} of my books."]),
    ("the first session", "ptsd survivorsofabuse anxiety stress", [
        "I start with a new therapist on {day}.",
        "After {n} months on the list I have a place in therapy.",
        "My therapist moved away and I see the new one in {month}."]),
    ("the support group", "ptsd survivorsofabuse domesticviolence anxiety", [
        "There is a support group near {place} every {day}.",
        "I went back to the group after {n} weeks away.",
        "On {day} it is my turn to speak in the group."]),
    ("the building noise", "ptsd anxiety stress homeless", [
        "They are drilling next door and it begins at seven.",
        "The neighbours have fireworks planned for {day}.",
        "The shelter dormitory has {n} beds and one thin wall."]),
    ("the drive", "ptsd anxiety stress survivorsofabuse", [
        "It has been {n} months since the car accident, and I drive past the crossing every {day}.",
        "I have a driving lesson on {day}, the first since the accident.",
        "My new route to work goes over the long bridge near {place}."]),
    ("the food situation", "food_pantry assistance homeless almosthomeless", [
        "The pantry near {place} opens on {day} and asks for proof of address.",
        "We have {money} for groceries until the end of {month}.",
        "The church gives out boxes on {day}, one for each household."]),
    ("the application", "assistance food_pantry almosthomeless homeless", [
        "I filed for benefits in {month} and they asked for {n} more documents.",
        "The form has {n} pages and has to be in by {day}.",
        "A letter from the benefits office came on {day}."]),
    ("the car", "assistance stress almosthomeless homeless", [
        "The garage says new brakes cost {money}.",
        "My car failed its inspection on {day}.",
        "The insurance sends someone to look at the dent on {day}."]),
    ("the electricity bill", "assistance almosthomeless stress food_pantry", [
        "The electricity bill came to {money} this month.",
        "The power company offered me {n} instalments.",
        "The meter reader comes on {day}."]),
    ("the school meeting", "relationships stress assistance domesticviolence", [
        "My son's teacher asked me to come in on {day}.",
        "My daughter changes school in {month} and has to take a later bus.",
        "The school wants {money} for the class trip."]),
    ("the vet bill", "assistance stress homeless relationships", [
        "The vet quoted {money} for the cat's teeth.",
        "My old dog has to stay at the clinic near {place} until {day}.",
        "The rescue asked whether I can keep the dog for {n} more weeks."]),
    ("the flight", "anxiety ptsd stress relationships", [
        "I fly to {place} on {day}, {n} hours with one stop.",
        "My company is sending me abroad in {month}.",
        "Our flight was moved to {day} and the hotel is not refundable."]),
    ("the presentation", "anxiety stress ptsd", [
        "I have to speak in front of {n} people on {day}.",
        "My boss put my name down for the talk in {month}.",
        "The presentation is at {place} and will be filmed."]),
    ("the operation", "stress relationships anxiety assistance", [
        "My dad has his knee operation on {day}.",
        "My mother moves in with us for {n} weeks after her operation.",
        "The hospital moved my brother's operation to {month}."]),
    ("the distance", "relationships anxiety stress", [
        "My partner took a job near {place}, {n} hours away.",
        "We see each other every second {day} and write in between.",
        "He comes home for {n} days in {month}."]),
    ("the commute", "anxiety ptsd stress", [
        "I take the crowded tram to {place} every {day}.",
        "The line is closed until {month}, so everyone squeezes into the bus.",
        "My way to work has {n} stops and one long tunnel."]),
]
SLOTS = {
    "day": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
    "month": ["March", "April", "May", "June", "September", "October", "November"],
    "money": ["£40", "$60", "$90", "$120", "£150", "$200", "$250", "€80"],
    "n": ["three", "four", "five", "six", "seven", "eight", "nine"],
    "place": ["the harbour", "the old mill", "Elm Street", "the station", "the river", "the town hall", "the market"],
    "person": ["my roommate", "my cousin", "my best friend", "a colleague", "my older brother", "my neighbour"],
    "ago": ["last year", "two years ago", "last spring", "two winters ago", "a while ago", "this time last year"],
    "now": ["now", "these days", "at the moment", "right now", "this month"],
}
# subject, i, my, me
OTHERS = [("My sister", "she", "her", "her"), ("My roommate", "he", "his", "him"), ("My cousin", "she", "her", "her"), ("My best friend", "he", "his", "him"),
          ("My neighbour", "she", "her", "her"), ("A guy from work", "he", "his", "him"), ("My mum", "she", "her", "her"), ("My partner", "he", "his", "him")]

# Strain that the words name.
STRAIN = [
    "[lie|lay|lies] awake until three thinking about {thing}",
    "[can't|couldn't|can't] stop going over {thing} in {my} head",
    "[feel|felt|feels] sick whenever someone [mentions|mentioned|mentions] {thing}",
    "[jump|jumped|jumps] at every sound of {my} phone",
    "[hardly sleep|hardly slept|hardly sleeps] and [hardly eat|hardly ate|hardly eats]",
    "[cry|cried|cries] over small things and [cannot|could not|cannot] say why",
    "[am|was|is] worried that it [will|would|will] all fall apart",
    "[am|was|is] barely holding it together at work",
    "[can't|couldn't|can't] eat because {my} stomach is in knots",
    "[dread|dreaded|dreads] every new message about {thing}",
    "[snap|snapped|snaps] at everybody and then [apologise|apologised|apologises]",
    "[shake|shook|shakes] before every phone call",
    "[am|was|is] scared of what [happens|would happen|happens] if it all [goes|went|goes] wrong",
    "[feel|felt|feels] overwhelmed by {thing} with nobody to ask",
    "[panic|panicked|panics] as soon as {i} [sit|sat|sits] down to deal with {thing}",
    "[can't|couldn't|can't] concentrate at all because of {thing}",
    "[feel|felt|feels] {my} heart race each time the doorbell [rings|rang|rings]",
    "[feel|felt|feels] trapped and [see|saw|sees] no way out of this",
    "[wake|woke|wakes] up at four with {my} jaw clenched",
    "[am|was|is] exhausted from pretending that this [is|was|is] no big deal",
    "[pace|paced|paces] around the kitchen instead of sleeping",
    "[am|was|is] terrified of saying the wrong thing",
    "[can't|couldn't|can't] see how to get through the week",
    "[feel|felt|feels] guilty and anxious all day long",
    "[am|was|is] a nervous wreck about {thing}",
    "[have|had|has] a tight chest from morning to night",
    "[worry|worried|worries] about {thing} from the moment {i} [wake|woke|wakes] up",
    "[am|was|is] so tense about {thing} that {my} shoulders hurt",
    "[am|was|is] afraid to open the mail",
    "[feel|felt|feels] ashamed to ask for help again",
    "[tremble|trembled|trembles] when it is time to leave the house",
    "[have|had|has] a headache from worry every afternoon",
    "[get|got|gets] short of breath in every queue",
    "[feel|felt|feels] so stressed that {i} [burn|burned|burns] the toast and [miss|missed|misses] the bus",
    "[break|broke|breaks] down over a lost sock",
    "[fear|feared|fears] the worst each time somebody [knocks|knocked|knocks]",
    "[am|was|is] at the end of {my} rope with {thing}",
    "[feel|felt|feels] alone with {thing} and [do|did|does] not know where to turn",
]
# Strain that has to be read between the lines; many of these borrow calm words, negated or not.
STRAIN_QUIET = [
    "[write|wrote|writes] the same message four times and [delete|deleted|deletes] it each time",
    "[sit|sat|sits] in the car for half an hour before going in",
    "[keep|kept|keeps] {my} phone face down so as not to see who [calls|called|calls]",
    "[leave|left|leaves] the letters in a pile by the door, unopened",
    "[open|opened|opens] the laptop three times an evening and [close|closed|closes] it again",
    "[check|checked|checks] the lock five times and then [get|got|gets] up to check again",
    "[eat|ate|eats] cereal for dinner because the kitchen is too much",
    "[smile|smiled|smiles] and [say|said|says] all is fine, then [sit|sat|sits] in the dark for an hour",
    "[am|was|is] not relaxed for one minute, however calm {i} [look|looked|looks]",
    "[would give|would have given|would give] a lot for one quiet, easy night with {thing} out of mind",
    "[read|read|reads] the same line ten times and [take|took|takes] nothing in",
    "[count|counted|counts] the money again and again, and it never [adds|added|adds] up",
    "[have|had|has] stopped answering friends, even the ones {i} [love|loved|loves]",
    "[can't|couldn't|can't] remember when {i} [last felt|had last felt|last felt] at ease or enjoyed a meal",
    "[do|did|does] not feel safe or settled, whatever people [say|said|say] about {thing}",
    "[have|had|has] no peace of mind, not even on a free day",
    "[am|was|is] far from fine, whatever {i} [tell|told|tells] everyone",
    "[go|went|goes] through every detail of {thing} all night, just in case",
    "[hide|hid|hides] in the storeroom at lunch so that nobody [asks|asked|asks] about {thing}",
    "[laugh|laughed|laughs] it off in company and [fall|fell|falls] apart on the way home",
    "[listen|listened|listens] for steps on the stairs until it [gets|got|gets] light",
    "[say|said|says] no to every invitation, even the nice and easy ones",
    "[walk|walked|walks] around the block three times before going home",
    "[nod|nodded|nods] through dinner and [hear|heard|hears] none of it",
    "[clean|cleaned|cleans] the oven at midnight because lying down [is|was|is] worse",
    "[carry|carried|carries] every receipt in {my} pocket, in case somebody [asks|asked|asks]",
    "[tell|told|tells] the kids that everything [is|was|is] fine and then [turn|turned|turns] up the radio",
    "[wear|wore|wears] headphones without music so that people [leave|left|leave] {me} alone",
    "[answer|answered|answers] every kind question with a short yes and [look|looked|looks] at the floor",
    "[start|started|starts] each day with a list and [end|ended|ends] it under a blanket at six",
    "[skip|skipped|skips] the bus to save a little and [call|called|calls] it exercise",
    "[would rather sleep|would rather have slept|would rather sleep] in the hallway than face {thing} again",
    "[hold|held|holds] {my} breath whenever the bank app [loads|loaded|loads]",
    "[need|needed|needs] the whole of Sunday to recover from one friendly visit",
]
# Calm that the words name.
CALM = [
    "[sleep|slept|sleeps] through the night",
    "[feel|felt|feels] at ease with {thing}",
    "[have|had|has] a plan and [stick|stuck|sticks] to it",
    "[feel|felt|feels] ready for whatever [comes|came|comes]",
    "[take|took|takes] each day as it [comes|came|comes]",
    "[am|was|is] fine with {thing} and mostly curious how others do it",
    "[have|had|has] things under control",
    "[am|was|is] calm about {thing}, to {my} own surprise",
    "[am|was|is] proud of how {i} [handle|handled|handles] {thing}",
    "[trust|trusted|trusts] that things [will|would|will] sort themselves out",
    "[feel|felt|feels] lighter than in months",
    "[am|was|is] rested and in a good mood",
    "[enjoy|enjoyed|enjoys] the evenings with a book",
    "[have|had|has] good people around and [feel|felt|feels] settled",
    "[am|was|is] relaxed and [look|looked|looks] forward to the weekend",
    "[feel|felt|feels] safe and [like|liked|likes] the quiet mornings",
    "[am|was|is] glad, all in all, about how this [goes|went|goes]",
    "[find|found|finds] it all easier than expected",
    "[am|was|is] happy with how things stand",
    "[feel|felt|feels] hopeful and [eat|ate|eats] well",
    "[have|had|has] time, help and a good list",
    "[am|was|is] thankful for the people who helped with {thing}",
    "[whistle|whistled|whistles] on the way to work",
    "[like|liked|likes] the routine and the company",
    "[am|was|is] confident about {thing}",
    "[feel|felt|feels] well looked after",
    "[have|had|has] found {my} feet again",
]
# Calm that has to be read between the lines; many of these borrow stressful words.
CALM_QUIET = [
    "[do|did|does] not lose any sleep over {thing}",
    "[do|did|does] not panic about {thing} the way people [expect|expected|expect]",
    "[deal|dealt|deals] with {thing} without the old fear",
    "[have|had|has] stopped worrying and [cook|cooked|cooks] proper dinners",
    "[put|put|puts] the papers in a folder, [make|made|makes] tea and [go|went|goes] to bed",
    "[put|put|puts] it in the calendar and [go|went|goes] back to {my} book",
    "[barely think|barely thought|barely thinks] about {thing} between meals",
    "[do|did|does] not dread the phone or the mail",
    "[see|saw|sees] nothing scary in {thing}, and it [shows|showed|shows]",
    "[have|had|has] enough set aside for worse months than this",
    "[shrug|shrugged|shrugs] when {thing} [comes|came|comes] up and [water|watered|waters] the tomatoes",
    "[am|was|is] tired in a good way, not anxious",
    "[tell|told|tells] the whole story at dinner as a joke",
    "[forget|forgot|forgets] about {thing} for days on end",
    "[feel|felt|feels] no pressure and no guilt about {thing}",
    "[ask|asked|asks] for help early, which [takes|took|takes] the panic out of it",
    "[laugh|laughed|laughs] about how overwhelmed {i} once [was|had been|was]",
    "[am|was|is] over the worst of it and [sing|sang|sings] in the shower",
    "[nap|napped|naps] on the sofa and [let|let|lets] the phone ring",
    "[say|said|says] yes to every invitation and [stay|stayed|stays] until the end",
    "[keep|kept|keeps] the worst case in mind without being scared of it",
    "[cry|cried|cries] at films only, and [have|had|has] stopped grinding {my} teeth",
    "[leave|left|leaves] the phone in the kitchen and [hear|heard|hears] none of the calls",
    "[let|let|lets] the letters wait until Sunday, as they [are|were|are] only forms",
    "[get|got|gets] up at four for the early shift and [whistle|whistled|whistles] on the stairs",
    "[answer|answered|answers] the hard questions first and [sleep|slept|sleeps] well after",
    "[walk|walked|walks] around the block three times because the air [is|was|is] so good",
    "[clean|cleaned|cleans] the oven and [sing|sang|sings] along with the radio",
    "[find|found|finds] the fuss about {thing} rather funny",
    "[could|could have|could] worry about {thing}, but the garden [is|was|is] more interesting",
    "[skip|skipped|skips] lunch for a swim in the lake",
]

# Whole-post plans. {strain}, {calm}: present, first person; _past: past; _other: third person with {Other}.
# The time words, openers and contrasts are shared between the labels on purpose.
PLANS = {
    1: {
        "plain": (30, ["{fact} I {strain}, and I {strain2}.", "{fact} {Now} I {strain}.", "I {strain}, and I {strain2}. {fact}", "{fact} Honestly, I {strain}."]),
        "quiet": (22, ["{fact} I {quiet_strain}.", "{fact} {Now} I {quiet_strain}, and I {any_strain}.", "I {quiet_strain}, and I {any_strain}. {fact}", "{fact} Honestly, I {quiet_strain}."]),
        "turned": (18, ["{Ago} I {calm_past}. {Now} I {any_strain}, and I {any_strain2}.", "{Ago} I {calm_past}, and I {calm_past2}. That is over: I {any_strain}.",
                        "{fact} {Ago} I {calm_past}, but {now} I {any_strain}."]),
        "other": (15, ["{fact} {Other} {calm_other}, while I {any_strain}.", "{Other} has to deal with {thing} too and {calm_other}. I {any_strain}.",
                       "{Other} tells me that {he} {calm_other}. Good for {him}, but I {any_strain}."]),
        "despite": (15, ["{good} Still, I {any_strain}.", "{fact} {good} And yet I {any_strain}.", "{good} {fact} But I {any_strain}."]),
    },
    0: {
        "plain": (22, ["{fact} I {calm}, and I {calm2}.", "{fact} {Now} I {calm}.", "I {calm}, and I {calm2}. {fact}", "{fact} Honestly, I {calm}."]),
        "quiet": (20, ["{fact} I {quiet_calm}.", "{fact} {Now} I {quiet_calm}, and I {any_calm}.", "I {quiet_calm}, and I {any_calm}. {fact}", "{fact} Honestly, I {quiet_calm}."]),
        "turned": (18, ["{Ago} I {strain_past}. {Now} I {any_calm}, and I {any_calm2}.", "{Ago} I {strain_past}, and I {strain_past2}. That is over: I {any_calm}.",
                        "{fact} {Ago} I {strain_past}, but {now} I {any_calm}."]),
        "other": (15, ["{fact} {Other} {strain_other}, while I {any_calm}.", "{Other} has to deal with {thing} too and {strain_other}. I {any_calm}.",
                       "{Other} tells me that {he} {strain_other}. I {any_calm}, so I offered to help {him}."]),
        "despite": (13, ["{bad} Still, I {any_calm}.", "{fact} {bad} And yet I {any_calm}.", "{bad} {fact} But I {any_calm}."]),
        "info": (12, ["{fact} {info}", "{info} {fact}", "{info}"]),
    },
}
GOOD = [
    "My friends have been lovely and the weather is beautiful.",
    "Everyone tells me to relax and trust that it will be fine.",
    "The weekend by the lake was peaceful and the kids were happy.",
    "My boss was kind about it and gave me a free day.",
    "On paper things look good and I am grateful for the help.",
    "I did the breathing exercises and took a long, warm bath.",
    "My counsellor says that I am doing well and should be proud.",
    "The cat is asleep on my lap and the flat is quiet.",
    "My manager praised me in front of the whole team.",
    "The new neighbours brought soup and offered to help.",
    "It is a sunny day and I finally have some time off.",
    "My doctor says that I am healthy and that everything looks normal.",
]
BAD = [
    "It was a long, exhausting month and I cried at the airport.",
    "Everyone expects me to be a nervous wreck about this.",
    "The boiler broke, the bus was late and I dropped my lunch.",
    "The lady at the desk was rude and scared half the queue.",
    "On paper things look bad and the numbers are tight.",
    "I had a panic attack years ago and know what fear feels like.",
    "My mum worries enough about this for the whole family.",
    "The film we watched was so tense that I hid behind a cushion.",
    "The neighbours were fighting again and the dog was scared stiff.",
    "I lost my wallet, missed the train and got soaked.",
    "The forum is full of horror stories and people warn me every day.",
    "It has been one setback after another since the winter.",
]
INFO = [
    "For a class project I am collecting what people do when worry keeps them awake, so tell me your tricks.",
    "The leaflet says that a racing heart before a big day is common and settles within ten minutes.",
    "For those who have been through something similar: which questions did you ask, and how long did the answers take?",
    "I wrote a short guide for our group, with one page on fear, one on money and one on {thing}.",
    "Our counsellor explained how panic builds up and why slow breathing helps, and I typed up the notes.",
    "Does anyone know a good book for people who are easily overwhelmed, ideally one that does not scare the reader?",
    "The helpline for people under strain is open until ten, and the call is free.",
    "Thank you to everyone who wrote when I was scared of {thing}; your tips are in the wiki now.",
    "A study of stress at work is looking for volunteers, and an hour of questions pays {money}.",
    "Here is the update I promised on {thing}: it took an hour, and the staff were polite.",
    "I will take the tram, bring both copies of the papers and be back before lunch.",
    "It takes about an hour, and there is a café next door where {person} will wait.",
    "The first step is a phone call, the second a form, and the fee of {money} comes last.",
    "{Person} asked what people mean by burnout, so here is the definition from the course book.",
    "If you are new to {thing}, read the pinned post first; most fears are answered there.",
    "We counted the replies: {n} people were scared at first, and nearly all said that it went well.",
]
# Mixed feelings on which readers would differ; the label is drawn.
BORDER = [
    "{fact} I am a bit nervous about {thing}, but also curious how it will go.",
    "{fact} Some days I worry about {thing}, some days I do not think of it at all.",
    "{fact} It is a lot at once, though I have managed worse. Ask me again after the weekend.",
    "{fact} I am not sure what to feel about {thing}. A little tense, a little hopeful, I guess.",
    "{fact} I slept badly last night, which may be the heat or may be {thing}.",
    "{fact} I keep busy and try not to think about {thing} too much, which works on most days.",
    "{fact} I would not call it fear, more a hum in the background that comes and goes.",
    "{fact} Part of me wants to cancel, part of me cannot wait, and both are a bit tired.",
    "{fact} I had a small wobble about {thing} this morning, then the day went on as usual.",
    "{fact} I am tired and a little short with people, but then it is the end of the week.",
]
TAILS = ["", "", "", "", "", "", "Any advice is welcome.", "Thanks for reading.", "Has anyone here been through this?", "How do you all handle this?",
         "I will post an update later.", "That is where things stand.", "Sorry if this is the wrong place to ask.", "First time posting here.",
         "More details in the comments.", "Writing it down helps me think.", "What would you do?", "Let me know how it was for you.",
         "Just putting this out there.", "I am typing this on my phone, so excuse the mistakes."]
