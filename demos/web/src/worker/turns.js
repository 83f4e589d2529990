/** Calls of a model, one after the other: it has one memory, and gives way to messages while it computes. */
export class Turns {
  asked = 0;
  stopped = 0; // the last call that is not wanted any more
  current = 0;
  last = Promise.resolve();

  /**
   * Makes a call when all those before it have ended.
   * @template T
   * @param {() => T | Promise<T>} call
   * @returns {Promise<T>} rejected where the call fails, or is stopped
   */
  take(call) {
    const number = ++this.asked;
    const turn = this.last.then(() => {
      this.current = number;
      this.check();
      return call();
    });
    this.last = turn.catch(() => {});
    return turn;
  }

  /** Stops the call that is being made, and those that wait. */
  stop() {
    this.stopped = this.asked;
  }

  /** @throws {Error} the call that is being made was stopped */
  check() {
    if (this.current <= this.stopped) throw Object.assign(new Error('Stopped.'), {name: 'Stopped'});
  }
}
