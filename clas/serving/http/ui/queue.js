// A queue that works on few items at once.

export class Queue {
  #work;
  #concurrency;
  #waiting = [];
  #running = 0;

  /**
   * @param work Called with an item; the promise that it returns never rejects.
   * @param concurrency How many items are worked on at once.
   */
  constructor(work, concurrency) {
    this.#work = work;
    this.#concurrency = concurrency;
  }

  add(items) {
    this.#waiting.push(...items);
    this.#next();
  }

  /** Forget the items that nothing was done about yet. */
  clear() {
    this.#waiting = [];
  }

  #next() {
    while (this.#running < this.#concurrency && this.#waiting.length) {
      this.#running += 1;
      this.#work(this.#waiting.shift()).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }
}
