/** Semantic search: passages that mean what is asked, kept as vectors as long as the page is open. */
import {bars, figures} from './answers.js';
import {announce, element} from './dom.js';
import {recall, remember} from './memory.js';

const BEST = 6;
// The names that prompts of questions and of passages have, as sentence-transformers looks for them.
const QUERY = ['query'], PASSAGE = ['document', 'passage', 'corpus'];
const FIRST = [
  'Water boils at a lower temperature in the mountains.',
  'The train to the coast leaves twice a day.',
  'Bread needs flour, water, salt and time.',
  'A telescope gathers light from distant stars.',
  'Plants turn sunlight into sugar.',
  'The museum is closed on Mondays.',
  'He tuned the old piano before the concert.',
  'Interest rates rose for the third time this year.',
].join('\n');

export class PassagesView {
  constructor(device, {manifest}) {
    this.device = device;
    this.vectors = new Map();
    const {prompts, default_prompt: usual, similarity} = manifest.model.config ?? {};
    const [{shape}] = Object.values(manifest.signatures[manifest.buckets[0].encode].outputs), width = shape.at(-1);
    this.dimensions = element('input', {id: 'dimensions', type: 'number', min: 1, max: width, step: 1, value: width});
    this.dimensions.onchange = () => this.vectors.clear();
    this.similarity = SIMILARITIES[similarity] ?? SIMILARITIES.cosine;
    this.prompts = {
      query: choice('Query prompt', 'query-prompt', prompts, usual, QUERY),
      passage: choice('Passage prompt', 'passage-prompt', prompts, usual, PASSAGE),
    };
    this.prompts.passage.onchange = () => this.vectors.clear();
    this.verb = 'Search';
    this.placeholder = 'What are you looking for?';
    this.lead = 'Search the passages by meaning. They never leave this device.';
    this.field = element('textarea', {id: 'passages', dir: 'auto', value: recall('passages', FIRST), 'aria-label': 'Passages, one a line'});
    this.field.oninput = () => remember('passages', this.field.value);
    this.editor = element('details', {class: 'passages card'}, element('summary', {textContent: 'Passages, one a line'}), this.field);
    this.editor.append(element('label', {textContent: `Dimensions of ${width}: `}, this.dimensions));
    if (Object.keys(prompts ?? {}).length) {
      for (const select of Object.values(this.prompts)) {
        this.editor.append(element('label', {textContent: `${select.ariaLabel}: `}, select));
      }
    }
  }

  get extra() {
    return this.editor;
  }

  async answer(view, {text}) {
    const passages = this.field.value.split('\n').map((line) => line.trim()).filter(Boolean);
    const began = performance.now();
    for (const passage of passages) await this.vector(passage);
    const prompt = this.prompts.query.value, dimensions = this.dimensions.valueAsNumber;
    const {result: query, ms, memory} = await this.device.ask('embed', {text, prompt, dimensions});
    const found = passages
      .map((passage) => ({name: passage, share: this.similarity(this.vectors.get(passage), query)}))
      .sort((one, other) => other.share - one.share)
      .slice(0, BEST)
      .map((each) => ({...each, shown: each.share.toFixed(2)}));
    const list = bars(found);
    list.id = 'found';
    const title = element('h2', {textContent: text, dir: 'auto'});
    view.replaceChildren(element('article', {class: 'card'}, title, list, figures(performance.now() - began)), this.editor);
    announce(found.length ? `Nearest: ${found[0].name}` : 'There are no passages.');
    return {ms, memory};
  }

  async vector(passage) {
    if (!this.vectors.has(passage)) {
      const prompt = this.prompts.passage.value, dimensions = this.dimensions.valueAsNumber;
      this.vectors.set(passage, (await this.device.ask('embed', {text: passage, prompt, dimensions})).result);
    }
  }
}

/** The names of the prompts and none, with the one chosen that has the first of some names, or else the usual one. */
function choice(label, id, prompts, usual, names) {
  const known = Object.keys(prompts ?? {}), chosen = names.find((name) => known.includes(name)) ?? usual ?? '';
  const options = [...new Set(['', ...known])].map((name) =>
    element('option', {value: name, textContent: name || 'none', selected: name === chosen}));
  return element('select', {id, ariaLabel: label}, ...options);
}

const dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);

/** How near two vectors are: the more, the nearer. */
const SIMILARITIES = {
  cosine: (one, other) => dot(one, other) / (Math.hypot(...one) * Math.hypot(...other) || 1),
  dot,
  euclidean: (one, other) => -Math.hypot(...one.map((value, i) => value - other[i])),
  manhattan: (one, other) => -one.reduce((sum, value, i) => sum + Math.abs(value - other[i]), 0),
};
