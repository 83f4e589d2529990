/**
 * Runs the search on made-up step models, without a browser: reads a JSON list of cases from standard input and
 * prints a list of hypotheses for each. A case holds `table` (M x V log-probabilities, or logits beside
 * `normalizer`, M), the options of the search, and `top`, how many best tokens the model tells, or 0.
 *
 * A row of the model remembers all it was fed in one number, `(31 * number + token + 1) % M`, which chooses its
 * scores; the attention of a row is [number, step].
 */
import {json} from 'node:stream/consumers';

import {Scores} from '../src/worker/scores.js';
import {search} from '../src/worker/search.js';

class TableState {
  constructor({table, normalizer, top}) {
    Object.assign(this, {table, normalizer, top, rows: [0], steps: 0});
  }

  select(rows) {
    this.rows = rows.map((row) => this.rows[row]);
  }

  alignment(row) {
    return [this.rows[row], this.steps];
  }

  async step(tokens) {
    this.rows = this.rows.map((number, row) => (31 * number + tokens[row] + 1) % this.table.length);
    this.steps += 1;
    const rows = this.rows.map((number) => this.table[number]);
    const best = this.top
      ? rows.map((row) => row.map((_, token) => token).sort((one, other) => row[other] - row[one] || one - other))
        .map((tokens) => tokens.slice(0, this.top))
      : null;
    return new Scores({
      logits: Float32Array.from(rows.flat()),
      vocabulary: rows[0].length,
      normalizer: this.normalizer ? Float32Array.from(this.rows, (number) => this.normalizer[number]) : null,
      topTokens: best && Int32Array.from(best.flat()),
      topLogits: best && Float32Array.from(best.flatMap((tokens, i) => tokens.map((token) => rows[i][token]))),
      top: this.top,
    });
  }
}

const found = [];
for (const {table, normalizer, top, options} of await json(process.stdin)) {
  const state = new TableState({table, normalizer, top});
  const hypotheses = await search(state, {...options, suppress: new Set(options.suppress), alignments: true});
  found.push(hypotheses);
}
console.log(JSON.stringify(found));
