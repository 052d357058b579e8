"""Jobs: plain ones, odd ones, large ones, many. A worker may refuse what it is given; it has to stay in step."""

from itertools import islice

from protocol.text import quote
from supervisor.conformance import household, payloads
from supervisor.conformance.findings import Fault, NotTried, Outcome, Passed, Warned
from supervisor.conformance.payloads import Sample
from supervisor.conformance.session import QUOTED, Session
from supervisor.conformance.subject import Subject

PLAIN = 20
MANY = 1000
LIMIT = 30.0  # seconds of one trial, whatever there is to do
LIVES = 5  # workers, where each soon asks to be replaced
WARM = 100  # jobs, after which nothing should be opened any more
MANY_MORE = 50  # descriptors, or zombies


async def plain(session: Session) -> Outcome:
    """Jobs that it understands, if somebody said which these are."""
    given = session.settings.payloads
    jobs = [Sample(payload) for payload in islice(session.payloads(), max(PLAIN, len(given)))]
    run = await session.run(jobs, LIMIT)
    found = run.in_words()
    if given:
        for job, answer in zip(jobs, run.answers, strict=False):
            if answer.status != "ok":
                said = f": {answer.message!r}" if answer.message else ""
                return Warned(
                    "refused", f"given {quote(job.payload, QUOTED)}, it replied {answer.status}{said}; {found}"
                )
    return Passed(found)


async def ids(session: Session) -> Outcome:
    run = await session.run(payloads.odd_ids(session.first_payload()), LIMIT)
    if not any(answer.echoed for answer in run.answers):
        return NotTried("it sends no ids, which is accepted unless its pool says require_id = true")
    return Passed(f"each of {len(run.answers)} odd ids came back as it was")


async def unicode(session: Session) -> Outcome:
    return await _odd(session, payloads.unicode())


async def types(session: Session) -> Outcome:
    return await _odd(session, [Sample(text.encode()) for text in payloads.TYPES])


async def numbers(session: Session) -> Outcome:
    """What a double or a 64-bit integer does not hold; what hardly any language has a type for is only warned of."""
    run = await session.run([Sample(text.encode()) for text in payloads.NUMBERS], LIMIT)
    try:
        await session.run([Sample(payload, label) for label, payload in payloads.EXTREME], LIMIT)
    except Fault as fault:
        return Warned(fault.kind, fault.message)
    return Passed(run.in_words())


async def deep(session: Session) -> Outcome:
    """Nesting: as deep as people go, and as deep as the daemon lets through."""
    refused = 0
    shallow = (await session.run([Sample(payloads.nested(payloads.SHALLOW))], LIMIT)).answers[0]
    for levels in (payloads.DEEP, payloads.DEEPEST):
        sample = Sample(payloads.nested(levels), f"a payload nested {levels} levels deep")
        answer = (await session.run([sample], LIMIT)).answers[0]
        if shallow.status == "ok" and answer.status != "ok" and not refused:
            refused = levels
    if refused:
        return Warned(
            "refused", f"it refused a payload nested {refused} levels deep, though not one of {payloads.SHALLOW}"
        )
    return Passed(f"{payloads.DEEP} and {payloads.DEEPEST} levels were answered")


async def large(session: Session) -> Outcome:
    sample = Sample(payloads.large(), "a payload of 1 MiB")
    run = await session.run([sample, Sample(session.first_payload())], LIMIT)
    secs = run.answers[0].secs
    return Passed(f"a payload of 1 MiB was answered after {secs:.3g} s", {"secs": secs})


async def pieces(session: Session) -> Outcome:
    """A request that comes in pieces, cut inside a character and in front of its line feed."""
    payload = '{"text":"é日本語🔥"}'.encode()
    start = len(b'{"id":"","payload":') + 36
    inside = start + payload.index("語".encode()) + 1
    samples = [
        Sample(session.first_payload()),  # so that it waits for the rest, and is not still coming up
        Sample(payload, "a request in pieces, cut inside a character", pieces=(10, inside)),
        Sample(payload, "a request whose line feed comes later", pieces=(-1,)),
    ]
    return await _odd(session, samples)


async def members(session: Session) -> Outcome:
    """Within version 1 the request may get members that today's worker does not know."""
    more = b',"new_member":{"id":"x","payload":[1]},"another":null'
    return await _odd(session, [Sample(session.first_payload(), "a request with members unknown today", more=more)])


async def many(session: Session) -> Outcome:
    """In a row and without a pause: the next request is there as soon as the last reply."""
    count = min(MANY, session.settings.jobs)
    held: dict[int, int] = {}  # jobs done -> descriptors
    zombies = 0

    def look(worker: Subject, done: int) -> None:
        nonlocal zombies
        if done in (WARM, count):
            held[done] = household.descriptors(worker.child)
            zombies = household.zombies(worker.child, session.adopted)

    jobs = (Sample(payload, f"job {n} in a row") for n, payload in enumerate(islice(session.payloads(), count), 1))
    run = await session.run(jobs, LIMIT, look, lives=LIVES)
    found = f"{run.in_words()}, in {run.secs:.3g} s"
    figures = {"jobs": float(len(run.answers)), "secs": run.secs}
    more = held.get(count, 0) - held.get(WARM, 0)
    if run.lives == 1 and more >= MANY_MORE:
        return Warned(
            "descriptors", f"{found}; and then it had {more} descriptors more than after {WARM} jobs", figures
        )
    if zombies >= MANY_MORE:
        return Warned("zombies", f"{found}; and then it had {zombies} children that it had not waited for", figures)
    return Passed(found, figures)


async def _odd(session: Session, samples: list[Sample]) -> Outcome:
    """Whatever it replies, it has to reply, and to do the next job as if nothing had been."""
    jobs: list[Sample] = []
    for sample in samples:
        what = sample.label or f"the payload {quote(sample.payload, QUOTED)}"
        jobs += [sample, Sample(session.first_payload(), f"the next job after {what}")]
    return Passed((await session.run(jobs, LIMIT)).in_words())
