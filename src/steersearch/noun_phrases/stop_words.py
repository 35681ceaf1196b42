"""Words that never begin or end a phrase."""

STOP_WORDS = frozenset(
    """a about above after again against all almost along already also although always am among an and another any are
    as at be because been before being below between both but by can cannot could did do does doing done down during
    each either else enough especially et etc even ever every few first for from further given had has have having
    he hence her here hers herself him himself his how however i if in indeed instead into is it its itself just
    last later least less like likely made mainly make makes making many may me might mine more moreover most mostly
    much must my myself near nearly neither never next no none nor not now of off often on once one only onto or
    other others our ours ourselves out over own per perhaps quite rather really s same second see seem seems
    several shall she should show showed shown shows since so some still such t than that the their theirs them
    themselves then there thereby therefore these they this those though three through throughout thus to today
    together tomorrow tonight too toward towards two under until unless up upon us use used uses using various very
    via was we well were what whatever when whenever where whereas whether which while who whom whose why will with
    within without would yesterday yet you your yours yourself three four five six seven eight nine ten eleven
    twelve twenty thirty fifty hundred hundreds thousand longer nothing something anything everything nobody
    somebody anybody everybody everyone someone anyone somewhere anywhere everywhere nowhere whoever whomever
    thousands million millions billion billions trillion dozen dozens quot amp nbsp gt lt""".split()
)
