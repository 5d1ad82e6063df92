"""Run tasks: fork a worker, let it take its time, write down how it ended."""

from collections.abc import Callable, Iterable

from qlop.sim.engine import World
from qlop.sim.faults import Effect
from qlop.sim.state import Task, Worker
from qlop.sim.wire import ApiError, TaskError

_FIRST_STEP_S = 0.01
"""From the fork until the worker does something: the UPID is out before that."""

_SECONDS_PER_TICK = 0.01


def fork(
    world: World,
    *,
    node: str,
    kind: str,
    subject: str,
    user: str,
    work: Callable[[Task], Worker],
) -> str:
    """Start a worker on ``node`` and return its UPID.

    ``kind`` and ``subject`` are the UPID's type and id (``qmstart``, ``101``); ``user``
    carries the token's id. ``work`` yields seconds; a ``TaskError`` it raises is the exit
    status.
    """
    host = world.nodes[node]
    pid = world.new_pid(node)
    pstart = max(1, int((world.now - host.boot_at) / _SECONDS_PER_TICK))
    upid = f"UPID:{node}:{pid:08X}:{pstart:08X}:{world.stamp():08X}:{kind}:{subject}:{user}:"
    task = Task(
        upid=upid,
        node=node,
        pid=pid,
        pstart=pstart,
        start_at=world.stamp(),
        type=kind,
        id=subject,
        user=user,
    )
    world.tasks[upid] = task
    world.forget_old_tasks()
    world.note(node, user, f"starting task {upid}", pid=pid)
    task.worker = work(task)
    _doom(world, task)
    world.schedule(_FIRST_STEP_S, lambda: _step(world, task))
    return upid


def alive(world: World, upids: Iterable[str]) -> list[str]:
    """Return those tasks that have not ended."""
    return [upid for upid in upids if world.tasks[upid].end_at is None]


def _step(world: World, task: Task) -> None:
    if task.end_at is not None or task.worker is None or task.stopped:
        return
    if not world.nodes[task.node].up:
        _end(world, task, "unexpected status")
        return
    if task.fails_at is not None and world.now >= task.fails_at:
        kill(world, task, "interrupted by signal", last_word=task.fails_with)
        return
    try:
        wait_s = next(task.worker)
    except StopIteration:
        _end(world, task, f"WARNINGS: {task.warnings}" if task.warnings else "OK")
    except (TaskError, ApiError) as error:
        _end(world, task, str(error))
    else:
        world.schedule(wait_s, lambda: _step(world, task))


def kill(world: World, task: Task, text: str, *, last_word: str = "") -> None:
    """Interrupt a running worker: it cleans up and dies with ``text`` or its own words.

    ``last_word``, if given, is its exit status whatever it makes of the interruption.
    """
    if task.end_at is not None or task.worker is None:
        return
    task.stopped = True
    try:
        task.worker.throw(TaskError(text))
    except StopIteration:
        _end(world, task, last_word or "OK")
    except (TaskError, ApiError) as error:
        _end(world, task, last_word or str(error))
    else:
        task.worker.close()
        _end(world, task, last_word or text)


def lose(world: World, node: str) -> None:
    """Let every worker of a node vanish with it, cleaning up nothing."""
    for task in list(world.tasks.values()):
        if task.node == node and task.end_at is None:
            if task.worker is not None:
                world.lost.append(task.worker)
            _end(world, task, "unexpected status")


def _end(world: World, task: Task, text: str) -> None:
    if text == "OK" and task.spoiled_with:
        text = task.spoiled_with
    task.end_at = world.stamp()
    task.exit = text
    task.worker = None
    for key in list(task.held):
        world.let_go(task, key)
    is_good = text == "OK" or text.startswith("WARNINGS: ")
    if text == "OK":
        task.log.append("TASK OK")
    elif text.startswith("WARNINGS: "):
        task.log.append(f"TASK {text}")
    elif text != "unexpected status":
        task.say(f"TASK ERROR: {text}")
    if world.nodes[task.node].up:
        priority = 6 if is_good else 3
        world.note(
            task.node, task.user, f"end task {task.upid} {text}", priority=priority, pid=task.pid
        )


def _doom(world: World, task: Task) -> None:
    """Let armed faults decide at a task's birth whether it will die half-way, and when."""
    for fault in world.faults:
        if fault.effect not in {Effect.TASK, Effect.SPOIL}:
            continue
        if not fault.match.strikes_task(task.type, task.id, task.node):
            continue
        if not fault.draws(world.random.random() if fault.share < 1 else 0.0):
            continue
        if fault.effect is Effect.SPOIL:
            task.spoiled_with = fault.text
        else:
            task.fails_at = world.now + fault.seconds
            task.fails_with = fault.text
