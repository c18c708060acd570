"""How people ask, hedge, suppose, report and take back. Data only.

Each way of asking is folded into one marker token before the sentence is split into clauses, so
that the ``if`` of "I was wondering if you could" or the ``and`` of "go ahead and" splits nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from agent_orchestrator.domain.intents.vocabulary import words

#: A request follows, with its verb in the base form or as a gerund.
ASK: Final = "<ask>"
ASK_ING: Final = "<ask-ing>"
#: As above, but the speaker only considers it: worth a question back, not an action.
MAYBE: Final = "<maybe>"
MAYBE_ING: Final = "<maybe-ing>"
#: A politeness without meaning for what is asked.
COURTESY: Final = "<courtesy>"
#: Something is wanted: "I want docs retrained", "we need a training run".
WANT: Final = "<want>"
#: A state is to be brought about: "make sure docs is retrained".
ENSURE: Final = "<ensure>"
MARKERS: Final = frozenset({ENSURE, ASK, ASK_ING, MAYBE, MAYBE_ING, COURTESY, WANT})

_MANNERS: Final[Mapping[str, str]] = {
    ASK: """
        can you | could you | would you | can u | could u | could ya
        would you be able to | would you be so kind as to | would you be so kind to
        be so kind as to | do you think you could | do you think you can | could you possibly
        could i ask you to | can i ask you to | may i ask you to | can i get you to
        i ask you to | i am asking you to | i would ask you to
        i was wondering if you could | i was wondering whether you could
        i am wondering if you could | i wonder if you could | wondering if you could
        i was hoping you could | i was hoping you would | i hope you can
        any chance you could | any chance you can | is there any chance you could
        is there a chance you could | would it be possible to | would it be possible for you to
        i would appreciate it if you could | i would appreciate it if you would
        i would be grateful if you could | i would be glad if you could
        it would be great if you could | it would be nice if you could
        it would be helpful if you could | would be great if you could | if you could | if you would
        i want you to | i need you to | i would like you to | i would love you to
        we want you to | we need you to | we would like you to | i expect you to
        i want to | i need to | i would like to | i would love to | i have to | i must
        we want to | we need to | we would like to | we have to | we must | we ought to | we should
        you should | you need to | you must | you have to | you ought to
        i think it is time to | i guess it is time to
        time to | it is time to | it is high time to | lets | let us
        go ahead and | please go ahead and | go on and | go and | get on and | feel like
        try to | try and | help me | help me to | help us | help us to
        do not forget to | never forget to | remember to | make sure to | make sure you
        make sure that you | be sure to | be sure you | see that you | see to it that you
        do me a favor and | do me a favour and | do us a favor and | do us a favour and
        your task is to | your job is to | the task is to | your next task is to
        ask the infrastructure agent to | tell the infrastructure agent to
        have the infrastructure agent | let the infrastructure agent
        get the infrastructure agent to
    """,
    ASK_ING: """
        would you mind | do you mind | mind | could you start | can you start | please start
        i would appreciate you
    """,
    MAYBE: """
        can we | could we | will you | will you be able to | are you able to | is it possible to
        is it possible for you to | might we
        we could | we can | you can | you could | you may
        feel free to | i think we should | i guess we should | i believe we should
        i suppose we should | i feel we should | i think you should | i think i should
        maybe we should | perhaps we should | maybe you should | perhaps you should
        maybe we could | perhaps we could | maybe you could | perhaps you could
        maybe we can | maybe you can | maybe i should | perhaps i should | probably we should
        we should probably | we should maybe | we should perhaps | you should probably
        it might be time to | it may be time to | it would be good to | it might be good to
        i would suggest to | maybe | perhaps | possibly
    """,
    MAYBE_ING: """
        how about | what about | i suggest | i would suggest | i propose | i recommend
    """,
    WANT: """
        i want | i need | i would like | i would love | we want | we need | we would like
        time for | it is time for | it is high time for
    """,
    ENSURE: """
        make sure | make sure that | ensure | ensure that | see to it that | please ensure
    """,
    COURTESY: """
        if possible | if you can | if you do not mind | if you have time | if you have a moment
        if that is ok | if that is okay | if that is fine | if you please | if you like
        if it is not too much trouble | if it is ok | if it is okay | if you want
        when you can | when you get a chance | when you have a chance | when you have time
        when you have a moment | when you get a moment | when you are ready | when possible
        whenever you can | whenever possible | whenever you have time | whenever you are ready
        at your convenience | at your earliest convenience | no rush | no hurry | no worries
        no problem | no doubt | no matter what | thank you | thank you very much | thanks a lot
        many thanks | thanks in advance | good morning | good afternoon | good evening | hi there
        hello there | hey there | hey chef | hi chef | hello chef | ok chef | okay chef
        with no further ado | without further ado | once and for all | not a problem
    """,
}


def _alternatives(block: str) -> Iterable[tuple[str, ...]]:
    for line in block.strip().splitlines():
        for phrase in line.split("|"):
            if phrase.strip():
                yield tuple(phrase.split())


#: Words → marker.
ASKING: Final[Mapping[tuple[str, ...], str]] = {
    phrase: marker for marker, block in _MANNERS.items() for phrase in _alternatives(block)
}

#: What may stand before a request without changing it.
OPENERS: Final = words(
    "ok okay now then next also actually so well alright right and finally first second third "
    "just quickly again yes yeah yep sure great good perfect excellent nice cool thanks hey hi "
    "hello yo dear folks team guys everyone chef codechef please kindly oh hmm hm um uh ah anyway "
    "meanwhile instead immediately today but still lastly secondly thirdly afterwards done fine "
    "plus urgent urgently important simply"
)
#: A clause of nothing else takes back what was asked before it.
RETRACTIONS: Final = frozenset(
    _alternatives("""
        no | nope | nah | no no | not | not yet | not now | not today | not really | not so fast
        wait | hold your horses | please wait
        hold on | hold off | hang on | hold it | hold that | never mind | nevermind | nvm
        scratch that | strike that | forget it | forget that | forget this | forget about it
        ignore that | ignore this | ignore it | ignore me | disregard | disregard that
        disregard this | just kidding | kidding | jk | just joking | joking | stop | stop that
        cancel that | do not | please do not | on second thought | on second thoughts
        on reflection | or not | maybe not | perhaps not | better not | rather not | not anymore
        no wait | wait no | oh wait | no stop | stop it | abort that | as if | i take it back
        i take that back | i changed my mind | changed my mind | i have changed my mind | psych
        i am joking | i am kidding | i was joking | i was kidding | not really | not yet though
        do nothing | no thanks | no thank you | later | maybe later | not just yet | undo that
    """)
)
#: Verbs whose negation takes back whatever was asked: "do not run it yet".
CARRYING_OUT: Final = words("do run execute act proceed start go perform begin apply")

CONDITIONS: Final = words(
    "if unless once when whenever until till after assuming supposing provided providing"
)
REASONS: Final = words("because since as although though while whereas seeing before")
#: Before ``if`` and the like: they open a question inside the clause, not a condition.
EMBEDDING: Final = words(
    "see check know find out test verify tell determine wonder wondering ask asking decide learn "
    "understand show explain about measure whether long far"
)
#: At the start of a clause: it, and the rest of the text after it, only supposes.
SUPPOSING: Final = words("suppose supposing imagine pretend assume assuming say")
#: Anywhere in a clause.
HYPOTHETICAL: Final = words("hypothetically hypothetical theoretically")
DEFERRING: Final = words(
    "tomorrow tonight later someday eventually monday tuesday wednesday thursday friday saturday "
    "sunday afterwards"
)
#: At the end of a clause they make what follows somebody's words: "he said, …".
SPEAKING: Final = words(
    "say says said saying read reads wrote writes asked asks told tells mentioned mentions claims "
    "claimed suggested suggests recommends recommended shouted replied answered typed types "
    "prints printed"
)
#: Before a colon they make what follows somebody's text: "commit message: …".
LABELS: Final = SPEAKING | words(
    "written titled called labelled labeled named message messages log logs logged error example "
    "examples e.g i.e todo fixme note comment comments commented title label button prompt ticket "
    "issue pr readme runbook changelog string docstring placeholder caption header heading "
    "tooltip menu text sentence quote quoted phrase command commands snippet output feat fix "
    "chore refactor subject headline step docs tests usage help option options"
)
WH: Final = words("what why how when where who whose which whom")
QUESTION_AUX: Final = words(
    "is are was were do does did has have had should shall may might am will would can could must"
)
PERSONS: Final = words("i we you he she they somebody someone everybody everyone")
SUBJECTS: Final = words(
    "i we you he she they it that this these there somebody someone everybody everyone"
)
