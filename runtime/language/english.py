"""The English cues of a request, as data: which words exclude, which wish for more, and where they do not count.

A cue is a pattern of words. A word in capitals names a class of `CLASSES`, a question mark makes a word optional. A
text is compared in lower case, with straight apostrophes. Another language is another file of these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a sentence does. It decides which cues count in it."""

    PHRASE = "names what is looked for: cafés in Rome"
    REQUEST = "asks for it: show me cafés in Rome"
    LIST = "asks which: what are quiet cafés in Rome?"
    QUESTION = "asks for a fact: how old is Rome?"
    DOING = "asks how to do something: how to cook without oil"
    STATEMENT = "says something: oil is not healthy"


ASKED = frozenset({Kind.PHRASE, Kind.REQUEST, Kind.LIST, Kind.QUESTION, Kind.DOING})
"""All but statements."""
NAMED = frozenset({Kind.PHRASE, Kind.REQUEST})
"""Where a bare negation is about what is looked for. In a question it is part of what is asked."""

LISTS = frozenset({Kind.PHRASE, Kind.REQUEST, Kind.LIST})
"""Where a negation may also choose among the things that are asked for."""


@dataclass(frozen=True)
class Cue:
    """Words that say what a person does not want, or wants more."""

    pattern: str
    strength: float | None = None
    """Of the boost; None excludes."""
    kinds: frozenset[Kind] = ASKED
    """Sentences in which it counts."""
    bare: frozenset[Kind] = frozenset()
    """Sentences in which it counts in the middle of a clause too, not only after a comma, a bracket or `but`."""
    opens: bool = False
    """May open a sentence: `apart from X, what ...`."""
    compares: bool = False
    """Stands behind a noun like a preposition, so that what follows X goes on: `actors besides X in the film Y`."""
    other: bool = False
    """Counts only beside one of `OTHER`: it adds otherwise."""
    wants: frozenset[str] = frozenset()
    """Counts only behind one of these words, in the same sentence."""


CLASSES: dict[str, frozenset[str]] = {
    "NOT": frozenset("not don't dont doesn't didn't never without".split()),
    "NEVER": frozenset("specifically explicitly even really actually directly further please any".split()),
    "BE": frozenset("is are was were be being".split()),
    "BENT": frozenset("aren't isn't wasn't weren't".split()),
    "DONT": frozenset("doesn't don't didn't dont".split()),
    "CANNOT": frozenset("cannot can't".split()),
    "DO": frozenset("do does did should must".split()),
    "WHICH": frozenset("that which who".split()),
    "MENTION": frozenset(
        "mention mentioning include including discuss discussing reference referencing cover covering "
        "consider considering involve involving describe describing address addressing incorporate "
        "incorporating quote quoting cite citing reveal revealing spoil spoiling highlight highlighting "
        "emphasize emphasizing emphasise emphasising detail detailing".split()
    ),
    "TALK": frozenset("talk talking refer referring relate relating allude alluding speak speaking think".split()),
    "TELL": frozenset(
        "provide providing give giving show showing tell telling list listing add adding use using".split()
    ),
    "BRING": frozenset("bring bringing".split()),
    "TAKE": frozenset("take taking".split()),
    "TOUCH": frozenset(
        "touch touching focus focusing dwell dwelling draw drawing rely relying go going get getting delve "
        "delving elaborate".split()
    ),
    "ON": frozenset("on upon from about into".split()),
    "TO": frozenset("about to of on".split()),
    "NEWS": frozenset(
        "information info details detail mention mentions reference references discussion anything facts "
        "data context content regard regards".split()
    ),
    "LEAVE": frozenset("leave leaving left rule ruling ruled".split()),
    "REFRAIN": frozenset("refrain refraining".split()),
    "EXCLUDE": frozenset("exclude excludes omit skip ignore disregard avoid block".split()),
    "EXCLUDING": frozenset("omitting skipping ignoring disregarding avoiding".split()),
    "LINKED": frozenset("related connected linked tied".split()),
    "AM": frozenset("i'm am".split()),
    "GIVE": frozenset("give giving".split()),
    "NEED": frozenset("have need require use".split()),
    "HAS": frozenset("has have had".split()),
    "HAVE": frozenset("include contain involve feature mention".split()),
    "EMPHASIS": frozenset("focus emphasis".split()),
    "ESPECIALLY": frozenset("especially particularly preferably ideally".split()),
    "FOCUSING": frozenset("focusing focussing concentrating focused focus concentrate".split()),
}
"""Name -> words that stand in its place."""

AUDIENCE = frozenset(
    "beginners families kids children toddlers teenagers teens adults students experts professionals "
    "researchers developers programmers teachers parents seniors couples women men patients clinicians "
    "doctors nurses dummies laypeople laymen vegetarians vegans tourists travellers travelers groups "
    "dogs cats".split()
)
"""Whom something may be for, at the end of a text and behind a comma."""
COLLECTED = frozenset(
    "recipe recipes dish dishes meal meals dessert desserts snack snacks breakfast breakfasts salad salads soup "
    "soups cake cakes pasta pizza film films movie movies book books novel novels story stories song songs album "
    "albums game games series show shows podcast podcasts hotel hotels hostel hostels cafe cafes café cafés bar "
    "bars restaurant restaurants place places trip trips hike hikes beach beaches tour tours apartment apartments "
    "laptop laptops phone phones camera cameras app apps tool tools library libraries framework frameworks tutorial "
    "tutorials course courses works article articles paper papers review reviews gift gifts exercises workout "
    "workouts toy toys".split()
)
"""What people collect and choose from. `recipes without nuts` chooses; `mice without a gene` is about the absence."""

# With a comma or in brackets these count in every sentence that asks.
_COMPARING = (
    "other than",
    "apart from",
    "aside from",
    "besides",
    "except for",
    "except",
    "excepting",
    "with the exception of",
    "with the exclusion of",
    "to the exclusion of",
    "exclusive of",
    "not counting",
)
_ADDING = ("on top of", "beyond", "outside of", "outside", "beside")
_NOT_MENTIONING = (
    "NOT NEVER? MENTION",
    "NOT NEVER? TALK TO?",
    "NOT NEVER? TOUCH ON",
    "NOT NEVER? BRING up",
    "NOT NEVER? TAKE into account",
    "NOT NEVER? GIVE away",
    "DO not NEVER? MENTION",
    "DO not NEVER? TALK TO?",
    "DO not NEVER? TOUCH ON",
    "DO not NEVER? BRING up",
    "DO not NEVER? TAKE into account",
    "NOT NEVER? making? any? NEWS TO",
    "NOT TELL NEVER? specific? NEWS",
    "not to MENTION",
    "not to TALK TO?",
    "not to TELL",
    "REFRAIN from MENTION",
    "REFRAIN from TALK TO?",
    "REFRAIN from TELL",
    "with no NEWS TO",
    "makes no NEWS of",
    "making no NEWS of",
    "without any? NEWS TO",
    "except as it relates to",
    "except as they relate to",
)
_NOT_WANTED = (
    "DO not NEVER? TELL me?",
    "DO not want to? hear? read? see? find? get?",
    "DO not need",
    "DO not care about",
    "CANNOT NEVER? MENTION",
    "CANNOT NEVER? TALK TO?",
    "CANNOT NEVER? TELL",
    "don't NEVER? TELL me?",
    "don't want to? hear? read? see? find? get?",
    "don't need",
    "don't care about",
    "AM? not interested in",
    "AM? not looking for NEWS? TO?",
    "AM? not asking for? about?",
    "no NEWS about",
    "no NEWS of",
    "no NEWS on",
    "no NEWS regarding",
    "no NEWS concerning",
    "no NEWS related to",
    "no NEWS relating to",
)
_LEAVING_OUT = (
    "EXCLUDE",
    "EXCLUDING",
    "LEAVE out",
    "LEAVE aside",
    "setting aside",
    "putting aside",
    "steer clear of",
    "steering clear of",
    "stay away from",
    "staying away from",
    "nothing about",
    "nothing with",
    "nothing from",
    "minus",
    "sans",
    "barring",
)
_CONTRASTING = ("rather than", "instead of", "as opposed to")
_RELATIVE = (
    "WHICH BE not",
    "WHICH BENT",
    "WHICH DO not HAVE",
    "WHICH DONT HAVE",
    "but BE not",
    "WHICH BE not LINKED to",
    "WHICH BE independent of",
    "WHICH BE unrelated to",
    "WHICH BE other than",
    "WHICH HAS nothing to do with",
    "WHICH DO not belong to",
)
_STATED = ASKED | {Kind.STATEMENT}

CUES: tuple[Cue, ...] = (
    *(Cue(words, bare=ASKED - {Kind.DOING}, opens=True, compares=True) for words in _COMPARING),
    *(Cue(words, bare=ASKED, opens=True, compares=True, other=True) for words in _ADDING),
    Cue("in addition to", kinds=frozenset({Kind.LIST}), bare=frozenset({Kind.LIST}), opens=True, compares=True),
    Cue("in addition to", bare=ASKED, opens=True, compares=True, other=True),
    Cue("excluding", bare=ASKED, opens=True),
    Cue("not including", bare=ASKED, opens=True),
    *(Cue(words, kinds=_STATED, bare=ASKED - {Kind.DOING}, opens=True) for words in _NOT_MENTIONING),
    *(Cue(words, kinds=_STATED) for words in _NOT_WANTED),
    *(Cue(words, opens=True) for words in _LEAVING_OUT),
    *(Cue(words, opens=True, other=True) for words in ("regardless of", "irrespective of")),
    *(Cue(words, kinds=LISTS, bare=LISTS) for words in _RELATIVE),
    # "Countries that do not have an army" is about the absence; "hotels that do not have stairs" chooses.
    Cue("WHICH DO not NEED", kinds=LISTS, bare=LISTS, wants=COLLECTED),
    Cue("WHICH DONT NEED", kinds=LISTS, bare=LISTS, wants=COLLECTED),
    Cue("unrelated to", kinds=LISTS, bare=LISTS, wants=COLLECTED | CLASSES["NEWS"]),
    Cue("but not", kinds=LISTS, bare=NAMED),
    Cue("but not", kinds=LISTS, bare=LISTS, wants=CLASSES["BE"]),
    Cue("not", kinds=LISTS, bare=frozenset({Kind.PHRASE})),
    Cue("not", bare=ASKED, wants=CLASSES["FOCUSING"] | {"interested"}),
    Cue("not LINKED to", bare=ASKED, wants=CLASSES["FOCUSING"] | {"interested"}),
    Cue("not LINKED to"),
    Cue("no", kinds=NAMED),
    Cue("nothing", kinds=NAMED),
    Cue("neither", kinds=NAMED, bare=frozenset({Kind.PHRASE})),
    *(Cue(words, kinds=LISTS, bare=frozenset({Kind.REQUEST})) for words in ("without", "with no")),
    *(Cue(words, kinds=LISTS, bare=LISTS, wants=COLLECTED) for words in ("without", "with no")),
    *(Cue(words, kinds=LISTS) for words in _CONTRASTING),
    *(Cue(words, kinds=NAMED, bare=NAMED, wants=COLLECTED) for words in _CONTRASTING),
    *(Cue(words, bare=ASKED, wants=CLASSES["FOCUSING"] | {"interested"}) for words in _CONTRASTING),
    Cue("ESPECIALLY", strength=1.0),
    Cue("in particular", strength=1.0),
    Cue("FOCUSING only? solely? mainly? on", strength=1.0),
    Cue("only FOCUSING on", strength=1.0),
    Cue("with a? an? special? particular? EMPHASIS on", strength=1.0, bare=LISTS),
    Cue("more about", strength=1.0, kinds=NAMED),
    Cue("more", strength=1.0, kinds=NAMED),
    Cue("less about", strength=-1.0, kinds=NAMED),
    Cue("less", strength=-1.0, kinds=NAMED),
    Cue("fewer", strength=-1.0, kinds=NAMED),
)
"""All cues. Where several match, the longest counts."""

OTHER = frozenset("other others another else additional different further".split())
"""Words that say that what follows `in addition to` is known already."""
ALSO = frozenset("also too".split())
"""Beside these, and no word of `OTHER`, `besides` adds."""

IDIOMS = (
    "not only",
    "not just",
    "not merely",
    "not simply",
    "not necessarily",
    "not solely",
    "not even",
    "not yet",
    "not sure",
    "not so much",
    "not guilty",
    "not null",
    "not equal",
    "not limited to",
    "not including but",
    "whether or not",
    "or not",
    "if not",
    "why not",
    "have not",
    "has not",
    "no longer",
    "no one",
    "no matter",
    "no doubt",
    "no such",
    "no way",
    "no idea",
    "no need",
    "no problem",
    "no thanks",
    "no more",
    "no less",
    "no fewer",
    "no later",
    "no sooner",
    "no wonder",
    "no fault",
    "no go",
    *(
        f"no {lost}"
        for lost in "sound audio signal display picture power response internet connection output access result "
        "results effect change luck wifi".split()
    ),
    "yes or no",
    "nothing but",
    "nothing other than",
    "none other than",
    "no other than",
    "anything but",
    "all but",
    "more than",
    "more or less",
    "more and more",
    "more of",
    "more importantly",
    "more likely",
    "more often",
    "more so",
    "less than",
    "less so",
    "less likely",
    "less often",
    "try except",
    "except clause",
    "except block",
    "not exists",
    "last but not least",
    "no budget",
    "no limit",
    "no limits",
    "exclude from",
    "with or without",
    "without which",
    "without whom",
    "minus sign",
    "minus one",
    "skip list",
    "skip lists",
    "ignore case",
    "sans serif",
    "rather than not",
    "without further ado",
    "life without",
    "world without",
    "without borders",
    "not to be",
    "not to worry",
)
"""Words in which a cue is none. They are found wherever they overlap it."""
FAULTS = frozenset(
    "to be been have do does seen known whether able allowed available enough compatible detected recognized "
    "recognised defined supported possible found installed connected reachable visible present valid known "
    "true false empty equal working responding loading due again ready far out quite eligible resident".split()
)
"""Behind `not` these describe a fault, such as `printer not found`, and exclude nothing."""
UNWISHED = frozenset(
    "known without not because since when if as after before while given where so those these likely".split()
)
"""Behind `more` and `especially` these compare or explain, and wish for nothing."""
EXPLAINING = frozenset("what which who whom whose where when why how that as if".split())
"""Behind `except` and its like these begin a clause."""
BEHIND = frozenset("in by from on at during to that who when while".split())
"""Words behind a name that go on with the query: actors besides X in the film Y."""
TOPICS = frozenset("data content context facts".split())
"""Nouns of `CLASSES["NEWS"]` that may be what is excluded."""
LINKS = frozenset("or nor and".split())
"""Words that join the things of a list."""
PEOPLE = frozenset(
    "people children kids students pupils patients employees workers users adults women men persons individuals "
    "families mothers parents babies infants".split()
)
"""Behind these `not` describes them: students not in school."""
WEAK = frozenset("too very so overly really that particularly especially all much quite".split())
"""Left out before what is excluded."""

JOINING = frozenset(
    "but please and while also just though although yet or specifically let's lets so only temporarily "
    "especially particularly deliberately purposefully intentionally explicitly completely entirely".split()
)
"""Words that belong to the cue behind them."""
_REMARKS = ("keeping in mind that", "keep in mind that", "please note that", "note that", "remember that")
JOINING_PHRASES = (
    *(f"{words} {who}".strip() for words in _REMARKS for who in ("i", "you", "we", "")),
    "provide the information",
    "provide information",
    "provide your answer",
    "provide an answer",
    "answer",
    "i would like you to",
    "i'd like you to",
    "it",
    "can you",
    "could you",
    "remember",
    "making sure to",
    "make sure to",
    "be sure to",
    "make sure you",
    "try to",
    "i am",
    "i",
    "i'm",
    "we",
    "you",
    "ones",
    "something",
)
"""Words before a cue that belong to it, where they stand at the start of their clause."""
ENDINGS = (
    "in your response",
    "in your answer",
    "in the response",
    "in the answer",
    "in this answer",
    "in the process",
    "in the explanation",
    "in your explanation",
    "at the same time",
    "please",
    "thank you",
    "thanks",
    "though",
    "at all",
)
"""Courtesies behind what is excluded, left out."""
OF = frozenset(
    "of about on to from regarding concerning related relating specific associated pertaining with in by "
    "into surrounding involving including specifically".split()
)
"""Words that join a noun of `CLASSES["NEWS"]` to what is excluded."""
BEFORE = frozenset("any some mentioning discussing referring referencing all further specific specialized".split())
"""Words before a noun of `CLASSES["NEWS"]`, left out with it."""
WISHED = (
    "in terms of",
    "in regard to",
    "with regard to",
    "in regards to",
    "with respect to",
    "regarding",
    "concerning",
)
"""Left out before what is wished for."""
LEADING = frozenset(
    "any a an of about on from by in at with to related relating regarding concerning pertaining".split()
)
"""Articles and prepositions left out before what is excluded. `for` stays: not for children."""

ASKING = frozenset("what which who whom whose where when why how".split())
"""Words that open a question."""
LISTING = frozenset("what which who whom whose where".split())
"""Of these, the ones that ask for a thing."""
AUXILIARIES = frozenset(
    "is are was were do does did can could will would should may might must has have had shall isn't aren't "
    "doesn't don't didn't can't couldn't won't wouldn't shouldn't hasn't haven't cannot need ought".split()
)
"""Verbs that open a question, and end what stands before them."""
PERSONS = frozenset("i you we one people someone anyone they it".split())
"""Who does something in a question of how to do it."""
OPERATIONS = frozenset("remove delete drop select replace filter sort match grep copy move rename count".split())
"""Verbs of instructions, such as `sql select all columns except one`: among the first words they ask how to do it."""
HAVING = frozenset("have know sell stock".split())
"""Verbs with which `do you` asks for something."""
REQUESTS = frozenset(
    "tell give list name show find provide describe explain discuss examine explore analyze analyse "
    "investigate compare introduce recommend suggest summarize summarise write search get look help share "
    "outline identify present elaborate detail want need prefer like love enjoy looking searching bring "
    "fetch assess evaluate review offer propose trace highlight consider study walk estimate exclude omit "
    "avoid ignore leave refrain focus remember rank gather talk clarify".split()
)
"""Verbs that open a request."""
REQUEST_PHRASES = ("go over", "go through", "run through", "look up", "fill in")
"""Verbs of two words that open a request."""
GREETINGS = frozenset(
    "but briefly kindly quickly please pls hi hello hey ok okay now i i'd i'm we would just also then "
    "additionally and so".split()
)
"""Words before the verb of a request, or before a question."""
STATING = frozenset(
    "occur occurs occurred leads led induces induced requires required promotes promoted inhibits inhibited "
    "prevents prevented improves improved affects affected exhibits remain remains remained become becomes "
    "became contain contains binds interacts refers regulates depend depends suggests encodes mediates seem "
    "seems seemed appear appears appeared contributes contributed enhances enhanced activates suppresses "
    "predicts arise arises arose differ differs reduces reduced decreases decreased increased says said "
    "argue argues argued conclude concludes concluded allege alleges claims claimed finds forced fits allows "
    "allowed emit emits agree agrees lays casts holds cannot need ought worsens proves proved shows showed "
    "gives gave makes made takes took goes went gets got comes came tells".split()
)
"""Verbs of statements, besides auxiliaries."""
DOUBTFUL = frozenset(
    "show lead cause causes increase increases decrease reduce induce require promote inhibit produce "
    "produces make give play plays prevent improve affect result results form forms work works mean means "
    "stop stops contribute enhance activate suppress predict express experience see support supports upset "
    "progress bind interact regulate found find head heads invest forces influence influences".split()
)
"""Verbs of statements that may be nouns or belong to a request. They count in a sentence with a full stop."""
SUBJECTS = frozenset(
    "it it's there there's this these they they're he she that's because although since if while thus "
    "therefore however yet but".split()
)
"""Words that open a statement."""
CLAUSES = frozenset("who whom whose which where when".split())
"""Of the words that open a question, those that may open a relative clause too."""
RELATIVES = frozenset("that which who whom whose where when if because while".split())
"""Words whose clause describes a thing: a verb in it makes no statement."""
PREPOSITIONS = frozenset(
    "about from in by for on at of with to during between against before after set based involving including "
    "featuring containing located made under over near within".split()
)
"""Words that begin what describes a thing."""
DETERMINERS = frozenset("the a an any all his her its their my our your this that these those one".split())
"""Words that begin a noun phrase."""
ABBREVIATIONS = frozenset(
    "no vs v dr mr mrs ms st inc jr sr rep sen gov prof vol op pt co corp ltd approx e.g i.e etc u.s u.k fig "
    "cf ca al ed eds mt ft lt col gen capt".split()
)
"""Words whose full stop does not end a sentence."""
FOREIGN = frozenset(
    "en una para por que y et les une pour avec dans sur der das und nicht ohne mit für eine von não uma het "
    "een niet zonder voor".split()
)
"""Words of other languages that share `no` or `sans` with English. A text that has them and no `COMMON` is not read."""
SMALL = frozenset("not no without nothing neither more less except besides minus".split())
"""Cues that titles have."""
COMMON = PREPOSITIONS | DETERMINERS | frozenset("and or is are not what which how that to".split())
"""Words that nearly every English text has."""
