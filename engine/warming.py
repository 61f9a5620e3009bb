"""Text and clips on their way to the inference thread: what may take long is done before it gets there.

Enters: captions, from any thread. Leaves: glosses whose clips are ready, handed over in order as commands
for the inference thread. Does not know pacing. A clip that fails to load is reported to its signer and
skipped. Text comes before clips: nobody waits to be understood while clips of an earlier caption load.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from engine.signals import Caption, Gloss
from engine.signer import BacklogFull, Said, Signer

log = logging.getLogger(__name__)

_RETRY_S = 0.02


class Warmers:
    """The threads that understand text and load clips, shared by all signers."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="warming")

    def run(self, job: Callable[[], None]) -> None:
        self._pool.submit(job)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class TextLine:
    """One signer's captions, worked off one after the other. Any thread may call its methods."""

    def __init__(
        self,
        signer: Signer,
        warmers: Warmers,
        call: Callable[[Callable[[], None]], Future[None]],
        captions: int,
    ) -> None:
        self.signer = signer
        self._warmers, self._call, self._limit = warmers, call, captions
        self._lock = threading.Lock()
        self._jobs: deque[tuple[int, Callable[[], Said], Future[Said]]] = deque()
        self._understood: deque[tuple[int, tuple[int, Gloss]]] = deque()
        self._running = False
        self._epoch = 0
        self._gone = False

    def say(self, caption: Caption) -> Future[Said]:
        return self._put(lambda: self.signer.understand(caption))

    def flush(self) -> Future[Said]:
        return self._put(self.signer.finish)

    def forget(self) -> None:
        """Drop what is not yet with the choreography; the next caption starts afresh."""

        def forget_text() -> Said:
            self.signer.forget()
            return Said()

        with self._lock:
            self._epoch += 1
            dropped = [future for _, _, future in self._jobs]
            self._jobs.clear()
            self._understood.clear()
        for future in dropped:
            if future.set_running_or_notify_cancel():
                future.set_result(Said(interrupted=True))  # heard, and dropped before it was understood
        self._put(forget_text)

    def drop(self) -> None:
        """The signer is gone: drop everything, accept nothing more."""
        with self._lock:
            self._gone = True
            self._epoch += 1
            dropped = [future for _, _, future in self._jobs]
            self._jobs.clear()
            self._understood.clear()
        for future in dropped:
            future.cancel()

    def _put(self, job: Callable[[], Said]) -> Future[Said]:
        future: Future[Said] = Future()
        with self._lock:
            if self._gone:
                future.cancel()
                return future
            if len(self._jobs) >= self._limit:
                raise BacklogFull(f"say: {self._limit} captions wait already; send them later", 1.0)
            self._jobs.append((self._epoch, job, future))
            start, self._running = not self._running, True
        if start:
            self._warmers.run(self._work)
        return future

    def _work(self) -> None:
        """One caption, or one clip that must be loaded; then back to the end of the line, so that signers
        take turns.
        """
        with self._lock:
            if not self._jobs and not self._understood:
                self._running = False
                return
            job = self._jobs.popleft() if self._jobs else None
        if job is not None:
            self._understand(*job)
        self._hand_over(load=job is None)
        try:
            self._warmers.run(self._work)
        except RuntimeError:  # closed meanwhile
            self.drop()

    def _understand(self, epoch: int, job: Callable[[], Said], future: Future[Said]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            said = job()
        except BaseException as error:  # it belongs to whoever spoke
            future.set_exception(error)
            return
        future.set_result(said)
        with self._lock:
            if epoch == self._epoch:
                self._understood.extend((epoch, numbered) for numbered in said.glosses)

    def _hand_over(self, load: bool) -> None:
        """Perform what is ready, up to the first clip that is not; `load` that one."""
        ready: list[tuple[int, Gloss]] = []
        epoch = self._epoch
        while True:
            with self._lock:
                if not self._understood or self._understood[0][0] != epoch:
                    break
                index, gloss = self._understood[0][1]
                warmed = self.signer.choreography.warmed(gloss)
                if not warmed and not load:
                    break
                self._understood.popleft()
            if not warmed:
                load = False
                self._post(ready, epoch)
                ready = []
                if not self._load(index, gloss, epoch):
                    continue
            ready.append((index, gloss))
        self._post(ready, epoch)

    def _load(self, index: int, gloss: Gloss, epoch: int) -> bool:
        try:
            self.signer.choreography.warm(gloss)
        except Exception as error:  # a lexicon's file: whatever is wrong with it, signing goes on
            log.warning("gloss %d (%s) is skipped: %s", index, gloss.label, error)
            reason = f"{gloss.label}: {error}"
            self._command(lambda: self.signer.skip(index, reason), epoch)
            return False
        return True

    def _post(self, glosses: list[tuple[int, Gloss]], epoch: int) -> None:
        if glosses:
            self._command(lambda: self.signer.perform(glosses), epoch)

    def _command(self, action: Callable[[], None], epoch: int) -> None:
        """Waits while the mailbox is full: text is ordered, and nothing of it is lost."""

        def unless_interrupted() -> None:
            if epoch == self._epoch:
                action()

        while epoch == self._epoch:
            try:
                self._call(unless_interrupted)
                return
            except RuntimeError:  # the mailbox is full, or the scheduler closes (then `drop` ends this)
                time.sleep(_RETRY_S)
