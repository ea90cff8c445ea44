// A list of messages with a window on it: at most WINDOW rows are in the document, whatever the channel holds, so a post
// costs the same at 10 and at 10,000 messages. It stays at its end until the reader scrolls up; then nothing moves under
// them and a pill counts what came meanwhile.
import { h, icon, setText } from "./dom.js";
import { Row } from "./row.js";

const FIRST = 120;
const STEP = 120;
const WINDOW = 480;
const NEAR = 600;

export class Timeline {
  /** `context` goes to the rows. `intro()` is drawn above the first message, `tail()` (pending, status) below the last. */
  constructor(scroller, { context, label, intro, tail, onBottom, author }) {
    Object.assign(this, { scroller, context, intro, tail, onBottom, author });
    this.rows = [];
    this.byTs = new Map();
    this.pinned = true;
    this.unseen = 0;
    this.newAfter = "";
    this.newest = "";
    this.order = [];
    this.list = h("div", { class: "rows", role: "log", "aria-label": label, "aria-relevant": "additions" });
    this.head = h("div", { class: "rows-head" });
    this.foot = h("div", { class: "rows-foot" });
    this.pill = h("button", { type: "button", class: "new-pill", hidden: true, on: { click: () => this.toEnd(true) } });
    scroller.append(h("div", { class: "rows-wrap" }, this.head, this.list, this.foot));
    scroller.after(this.pill);
    scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    new ResizeObserver(() => this.pinned && this.stick()).observe(scroller);
    new ResizeObserver(() => this.pinned && this.stick()).observe(scroller.firstElementChild);
  }

  /** Shows another list: `orderOf()` is its sorted ts array, `get(ts)` a message. */
  open(orderOf, get, newAfter = "") {
    const order = orderOf();
    Object.assign(this, { orderOf, order, get, newAfter, unseen: 0, pinned: true });
    this.list.setAttribute("aria-busy", "true");
    this.list.replaceChildren();
    this.rows = [];
    this.byTs.clear();
    this.reconcile(order.slice(-FIRST));
    this.drawEnds();
    this.stick();
    this.drawPill();
    requestAnimationFrame(() => this.list.setAttribute("aria-busy", "false"));
  }

  /** Brings rows in line with the list. `changed` is a set of ts, or nothing for all. */
  sync(changed) {
    if (!this.orderOf) return;
    this.order = this.orderOf();
    const atTail = !this.rows.length || this.tailShown;
    const last = this.rows.at(-1)?.ts || "";
    for (const row of this.rows) if (!changed || changed.has(row.ts)) this.refresh(row);
    const wanted = atTail ? this.wantedTail() : this.order.filter((ts) => ts >= this.rows[0].ts && ts <= last);
    const added = this.order.slice(-STEP * 2).filter((ts) => ts > this.newest);
    this.reconcile(wanted);
    this.drawEnds();
    if (this.pinned) this.stick();
    else this.unseen += added.filter((ts) => this.author(this.get(ts))).length;
    this.drawPill();
  }

  wantedTail() {
    const from = this.rows.length ? lowerBound(this.order, this.rows[0].ts) : Math.max(0, this.order.length - FIRST);
    const size = this.order.length - from;
    return this.order.slice(this.pinned && size > WINDOW ? this.order.length - FIRST * 2 : from);
  }

  refresh(row) {
    const message = this.get(row.ts);
    if (message) row.update(message);
  }

  // The usual case, rows appended or dropped at the ends, touches only those; a middle insertion is put in its place.
  reconcile(wanted) {
    const keep = new Set(wanted);
    for (const row of this.rows) if (!keep.has(row.ts)) this.dropRow(row);
    let node = this.list.firstElementChild;
    this.rows = wanted.map((ts) => {
      const row = this.byTs.get(ts) || this.makeRow(ts);
      if (row.el === node) node = node.nextElementSibling;
      else this.list.insertBefore(row.el, node);
      return row;
    });
    let before = this.rows.length ? this.get(this.order[lowerBound(this.order, this.rows[0].ts) - 1]) : null;
    for (const row of this.rows) {
      row.decorate(before, this.newAfter);
      before = row.message;
    }
    this.tailShown = !this.rows.length || this.rows.at(-1).ts === this.order.at(-1);
    this.newest = this.order.at(-1) || "";
    this.ensureCurrent();
  }

  makeRow(ts) {
    const row = new Row(this.get(ts), this.context);
    row.settleTabs(false);
    this.byTs.set(ts, row);
    return row;
  }

  dropRow(row) {
    row.el.remove();
    this.byTs.delete(row.ts);
  }

  drawEnds() {
    const atStart = !this.rows.length || this.rows[0].ts === this.order[0];
    this.head.replaceChildren(...(atStart ? [this.intro()].flat().filter(Boolean) : []));
    this.foot.replaceChildren(...(this.tailShown ? this.tail().flat().filter(Boolean) : []));
  }

  onScroll() {
    const { scroller } = this;
    if (!this.rows.length) return;
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    const wasPinned = this.pinned;
    this.pinned = below < 40 && this.tailShown;
    if (this.pinned && !wasPinned) {
      this.unseen = 0;
      this.drawPill();
      this.onBottom?.();
    }
    if (!this.pinned && scroller.scrollTop < NEAR) this.older();
    else if (below < NEAR && !this.tailShown) this.newer();
    this.drawPill();
  }

  older() {
    const first = lowerBound(this.order, this.rows[0]?.ts || "");
    if (first === 0) return;
    const from = Math.max(0, first - STEP);
    const { scroller } = this;
    const [top, height] = [scroller.scrollTop, scroller.scrollHeight];
    const foot = this.bottomOffset();
    this.reconcile([...this.order.slice(from, first), ...this.rows.map((row) => row.ts)]);
    this.drawEnds();
    scroller.scrollTop = top + scroller.scrollHeight - height - (this.bottomOffset() - foot);
    if (this.rows.length > WINDOW) {
      this.reconcile(this.rows.slice(0, WINDOW).map((row) => row.ts));
      this.drawEnds();
    }
  }

  newer() {
    const last = lowerBound(this.order, this.rows.at(-1).ts) + 1;
    this.reconcile([...this.rows.map((row) => row.ts), ...this.order.slice(last, last + STEP)]);
    this.drawEnds();
    if (this.rows.length <= WINDOW) return;
    const { scroller } = this;
    const anchor = this.rows.at(-WINDOW);
    const before = anchor.el.getBoundingClientRect().top;
    this.reconcile(this.rows.slice(-WINDOW).map((row) => row.ts));
    this.drawEnds();
    scroller.scrollTop += anchor.el.getBoundingClientRect().top - before;
  }

  bottomOffset() {
    return this.foot.offsetHeight;
  }

  stick() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** To the newest message, from wherever the window is. */
  toEnd(focus = false) {
    if (!this.tailShown) this.reconcile(this.order.slice(-FIRST));
    this.pinned = true;
    this.unseen = 0;
    this.drawEnds();
    this.stick();
    this.drawPill();
    this.onBottom?.();
    if (focus) this.rows.at(-1)?.article.focus({ preventScroll: true });
  }

  drawPill() {
    const away = !this.pinned && (this.unseen > 0 || !this.tailShown);
    this.pill.hidden = !away;
    const text = this.unseen ? `${this.unseen} new` : "Newest";
    if (this.pill.dataset.text === text) return;
    this.pill.dataset.text = text;
    this.pill.replaceChildren(icon("down", 15), h("span", { text }));
    this.pill.setAttribute(
      "aria-label",
      this.unseen ? `${text} messages, go to the newest` : "Go to the newest message",
    );
  }

  // ---- the keyboard's place in the list

  // The newest message, as long as nobody walks the list.
  ensureCurrent() {
    if (!this.rows.length) return;
    const follows = this.pinned && !this.list.contains(document.activeElement);
    if (!follows && this.byTs.has(this.current)) return;
    this.setCurrent(this.rows.at(-1).ts);
  }

  setCurrent(ts) {
    if (this.current === ts && this.byTs.get(ts)?.article.tabIndex === 0) return;
    this.byTs.get(this.current)?.settleTabs(false);
    this.current = ts;
    this.byTs.get(ts)?.settleTabs(true);
  }

  focusRow(ts) {
    const row = this.byTs.get(ts);
    if (!row) return;
    this.setCurrent(ts);
    row.article.focus({ preventScroll: true });
    row.article.scrollIntoView({ block: "nearest" });
  }

  step(ts, by) {
    const at = this.rows.findIndex((row) => row.ts === ts);
    const next = this.rows[at + by];
    if (next) this.focusRow(next.ts);
    return Boolean(next);
  }

  /** Makes sure that a message is in the window and in view. */
  reveal(ts) {
    if (!this.byTs.has(ts)) {
      const at = lowerBound(this.order, ts);
      if (this.order[at] !== ts) return false;
      this.pinned = false;
      this.reconcile(this.order.slice(Math.max(0, at - STEP), at + STEP));
      this.drawEnds();
    }
    this.byTs.get(ts).article.scrollIntoView({ block: "center" });
    this.focusRow(ts);
    return true;
  }
}

export function lowerBound(list, ts) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < ts) low = middle + 1;
    else high = middle;
  }
  return low;
}
