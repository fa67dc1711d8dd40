"""What a schema cannot say of requests, so that schemathesis makes more of those that are taken: see described.rs."""

import schemathesis

QUEUED = {"startDateTime", "expirationDateTime", "maxAttempts", "retry"}
ELSEWHERE = {"percentComplete", "statusDetail", "result", "resourceLocation", "error"}
ENDS = {"Completed": {"error"}, "Failed": {"result", "resourceLocation"}}
TIMES = {"createdDateTime", "lastActionDateTime", "expirationDateTime"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Changes the bodies of submits and of workers' calls in place."""
    if not isinstance(case.body, dict) or case.meta is None:
        return
    if case.operation.path == "/v1.0/work":
        wait_less(case.body.get("claim"))
    elif case.operation.path == "/v1.0/operations" and case.meta.generation.mode.is_positive:
        leave_out(case.body)


def wait_less(claim):
    """A claim that finds nothing waits for as long as it says; a second of that is like thirty."""
    if isinstance(claim, dict) and claim.get("waitSeconds") in range(2, 31):
        claim["waitSeconds"] = 1


def leave_out(body):
    """Some fields are those of operations in a queue, others of those that are carried out elsewhere; times may have passed."""
    status = body.get("status") or "NotStarted"
    unfit = set(TIMES)
    if status != "NotStarted":
        body.pop("isExternal", None)
        unfit |= QUEUED | (ENDS.get(status) or ELSEWHERE - {"percentComplete", "statusDetail"})
    elif body.get("isExternal"):
        unfit |= QUEUED | (ELSEWHERE - {"percentComplete", "statusDetail"})
    else:
        unfit |= ELSEWHERE
    for name in unfit:
        body.pop(name, None)
