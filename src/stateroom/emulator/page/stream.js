// The live stream: events in order, resumed after the last one seen. EventSource's own reconnect would repeat the first
// `after`, so each attempt is a new one here, with a growing pause and a way to try at once.

const PAUSES = [300, 700, 1500, 3000, 5000];

export class Stream {
  /** `onEvents(list)` gets a batch per frame; `onState("live" | "lost")`; `onLost()` is asked to reload before going on. */
  constructor({ onEvents, onState, reload }) {
    Object.assign(this, {
      onEvents,
      onState,
      reload,
      after: 0,
      failures: 0,
      batch: [],
      source: null,
      timer: 0,
      due: false,
    });
  }

  start(after) {
    this.after = after;
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(`/_sim/stream?after=${after}`);
    this.source = source;
    source.onopen = () => {
      this.failures = 0;
      this.onState("live");
    };
    source.onmessage = (event) => this.take(event);
    source.onerror = () => this.lost();
  }

  take(event) {
    this.after = Number(event.lastEventId) || this.after;
    this.batch.push(JSON.parse(event.data));
    if (!this.due) {
      this.due = true;
      this.schedule();
    }
  }

  // A hidden page gets no frames, and must still follow.
  schedule() {
    const flush = () => {
      this.due = false;
      const events = this.batch;
      this.batch = [];
      this.onEvents(events);
    };
    if (document.hidden) setTimeout(flush, 50);
    else requestAnimationFrame(flush);
  }

  lost() {
    this.source?.close();
    this.source = null;
    this.onState("lost");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.retry(), PAUSES[Math.min(this.failures++, PAUSES.length - 1)]);
  }

  // The state is read again rather than resumed: the server may be a new one, with another past.
  async retry() {
    clearTimeout(this.timer);
    try {
      this.start(await this.reload());
    } catch {
      this.lost();
    }
  }
}
