/** Semantic search: passages that mean what is asked, kept as vectors as long as the page is open. */
import {bars, figures} from './answers.js';
import {announce, element} from './dom.js';
import {recall, remember} from './memory.js';

const BEST = 6;
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
  constructor(device) {
    this.device = device;
    this.vectors = new Map();
    this.verb = 'Search';
    this.placeholder = 'What are you looking for?';
    this.lead = 'Search the passages by meaning. They never leave this device.';
    this.field = element('textarea', {id: 'passages', dir: 'auto', value: recall('passages', FIRST), 'aria-label': 'Passages, one a line'});
    this.field.oninput = () => remember('passages', this.field.value);
    this.editor = element('details', {class: 'passages card'}, element('summary', {textContent: 'Passages, one a line'}), this.field);
  }

  get extra() {
    return this.editor;
  }

  async answer(view, {text}) {
    const passages = this.field.value.split('\n').map((line) => line.trim()).filter(Boolean);
    const began = performance.now();
    for (const passage of passages) await this.vector(passage);
    const {result: query, ms, memory} = await this.device.ask('embed', {text});
    const found = passages
      .map((passage) => ({name: passage, share: cosine(this.vectors.get(passage), query)}))
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
      this.vectors.set(passage, (await this.device.ask('embed', {text: passage})).result);
    }
  }
}

/** The vectors are of length 1. */
function cosine(one, other) {
  return one.reduce((sum, value, i) => sum + value * other[i], 0);
}
