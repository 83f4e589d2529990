/** Labels of tokens joined to spans: `keras_attn.device.tasks.label_scheme`. */

const BIO = ['B-', 'I-'], MORE = ['E-', 'S-', 'L-', 'U-'];
const MARKS = {B: 'B', I: 'I', E: 'E', S: 'S', L: 'E', U: 'S'};
const OUTSIDE = 'O';

/** @returns {{kind: string, mark: string}[]} what each label means */
export function readScheme(labels) {
  const kinds = (starts) => new Set(labels.filter((label) => starts.includes(label.slice(0, 2))).map((label) => label.slice(2)));
  const begun = kinds(BIO), more = [...kinds(MORE)].some((kind) => begun.has(kind));
  const marks = more ? [...BIO, ...MORE] : BIO;
  return labels.map((label) =>
    marks.includes(label.slice(0, 2)) && label.length > 2
      ? {kind: label.slice(2), mark: MARKS[label[0]]}
      : {kind: label, mark: 'I'});
}

/**
 * Joins tokens to spans.
 * @param {ArrayLike<number>[]} probabilities of each token's labels
 * @param {{kind: string, mark: string}[]} tags of the labels
 * @returns {{kind: string, first: number, last: number, score: number}[]}
 */
export function findSpans(probabilities, tags) {
  const spans = [];
  let before = null;
  probabilities.forEach((row, token) => {
    const label = Array.prototype.reduce.call(row, (best, value, i) => (value > row[best] ? i : best), 0);
    const tag = tags[label], last = spans.at(-1);
    const goesOn = before && tag.kind === before.kind && 'IE'.includes(tag.mark) && 'BI'.includes(before.mark);
    if (goesOn) {
      last.last = token;
      last.scores.push(row[label]);
    } else {
      spans.push({kind: tag.kind, first: token, last: token, scores: [row[label]]});
    }
    before = tag;
  });
  return spans
    .filter(({kind}) => kind !== OUTSIDE)
    .map(({scores, ...span}) => ({...span, score: scores.reduce((sum, score) => sum + score, 0) / scores.length}));
}
