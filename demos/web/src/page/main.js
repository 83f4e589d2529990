/** The app: opens a bundle, asks it, and says how things stand. */
import {ClassificationView, MaskView} from './answers.js';
import {repeatProof, showFacts} from './details.js';
import {Device} from './device.js';
import {asBytes, byId, element} from './dom.js';
import {fetchBundle, forgetOthers, listBundles} from './files.js';
import {recall, remember} from './memory.js';
import {explainLoading, LoadError, NO_WASM} from './messages.js';
import {canKeep, keepApp, onTakeover} from './offline.js';
import {PassagesView} from './passages.js';
import {PredictionView} from './prediction.js';
import {AnswerView, EntitiesView, ScoreView} from './spans.js';
import {TranslationView} from './translation.js';

const VIEWS = {
  translation: TranslationView,
  classification: ClassificationView,
  'masked-lm': MaskView,
  embedding: PassagesView,
  prediction: PredictionView,
  'token-classification': EntitiesView,
  'question-answering': AnswerView,
  scoring: ScoreView,
};
const BEAM = 4;

const picker = /** @type {HTMLSelectElement} */ (byId('bundle'));
const text = /** @type {HTMLTextAreaElement} */ (byId('text'));
const second = /** @type {HTMLTextAreaElement} */ (byId('second'));
const go = /** @type {HTMLButtonElement} */ (byId('go'));

/** @type {import('./files.js').Entry[]} */
let entries = [];
/** What is open: `device`, `view`, `entry`, `manifest`, `info`, `figures`, `beam`. */
let opened = null;
let opening = 0;
let asking = false;

function setState(state, words) {
  byId('state').dataset.state = state;
  byId('state-text').textContent = words;
}

function showNotice({title, text: words, action}, onAction, mild = false) {
  byId('notice').hidden = false;
  byId('notice').classList.toggle('mild', mild);
  byId('notice-title').textContent = title;
  byId('notice-text').textContent = words;
  byId('notice-action').textContent = action;
  byId('notice-action').onclick = () => {
    hideNotice();
    onAction();
  };
  byId('notice').scrollIntoView({block: 'nearest'});
}

function hideNotice() {
  byId('notice').hidden = true;
}

function showLoading(words, share) {
  byId('loading').hidden = false;
  byId('loading-text').textContent = words;
  const bar = /** @type {HTMLProgressElement} */ (byId('loading-bar'));
  if (share === null) bar.removeAttribute('value');
  else bar.value = share;
}

/** Enables or disables everything that asks the model. */
function setReady(ready) {
  text.disabled = second.disabled = go.disabled = !ready;
  /** @type {HTMLButtonElement} */ (byId('verify')).disabled = !ready || !opened?.info.proven;
  byId('details-button').toggleAttribute('disabled', !ready);
}

async function start() {
  hideNotice();
  if (typeof WebAssembly !== 'object') {
    setState('wrong', 'Cannot run');
    showNotice(NO_WASM, () => location.reload());
    return;
  }
  try {
    entries = await listBundles();
  } catch (error) {
    setState('wrong', 'Not loaded');
    showNotice(explainLoading(error), start);
    return;
  }
  picker.replaceChildren(...entries.map(({name, title}) => element('option', {value: name, textContent: title})));
  const last = entries.find(({name}) => name === recall('bundle', ''));
  picker.value = (last ?? entries[0]).name;
  await open(picker.value);
  forgetOthers(entries).catch(() => {});
}

async function open(name) {
  const entry = entries.find((each) => each.name === name), turn = ++opening;
  const began = performance.now();
  opened?.device.end();
  opened = null;
  hideNotice();
  byId('view').replaceChildren();
  byId('checks').replaceChildren();
  byId('languages').hidden = true;
  setReady(false);
  setState('busy', 'Loading');
  const device = startDevice();
  try {
    const bundle = await fetchBundle(entry, (done, total) => {
      if (turn === opening) showLoading(`Fetching ${entry.title}: ${asBytes(done)} of ${asBytes(total)}`, done / total);
    });
    if (turn !== opening) return;
    showLoading(`Starting ${entry.title}`, null);
    if (!VIEWS[bundle.manifest.task]) {
      throw new LoadError('unsupported', `It has nothing for the task ${bundle.manifest.task} yet.`);
    }
    const {manifest, files, kept} = bundle;
    const answer = await device.ask('open', {manifest, files}, {transfer: Object.values(files)});
    if (turn !== opening) return;
    const info = answer.result, figures = {ready: performance.now() - began, memory: answer.memory, ms: 0};
    opened = {device, entry, manifest, info, figures, kept, offline: ''};
    opened.view = new VIEWS[manifest.task](opened.device, {manifest, info, useText, onChange: showLanguages});
    remember('bundle', name);
    showReady();
    showOffline(turn);
  } catch (error) {
    if (turn !== opening) return;
    setState('wrong', 'Not loaded');
    showNotice(explainLoading(error), () => open(name));
  } finally {
    if (turn === opening) byId('loading').hidden = true;
    if (opened?.device !== device) device.end();
  }
}

function startDevice() {
  const device = new Device();
  // Should the runtime not start, opening the bundle says so.
  device.ask('start').catch(() => {});
  return device;
}

function showReady() {
  const {view, info, entry} = opened;
  text.hidden = Boolean(view.form); // which asks for all inputs
  byId('languages').replaceChildren(...(view.pickers?.nodes ?? []));
  byId('languages').hidden = !view.pickers;
  showLanguages();
  byId('go-text').textContent = view.verb;
  byId('beam-choice').hidden = info.beams < 2;
  opened.beam = Math.min(BEAM, info.beams);
  byId('beam-label').textContent = `Beam ${opened.beam}`;
  byId('beam-choice').title = `Off: the best word each time. On: the best of ${opened.beam} ways to go on.`;
  second.hidden = !view.pairs;
  byId('mask').hidden = !view.mask;
  byId('mask').textContent = view.mask ?? '';
  const samples = element('ul', {class: 'samples'}, ...entry.samples.map((sample) =>
    element('li', {}, element('button', {type: 'button', dir: 'auto', textContent: sample, onclick: () => useText(sample)}))));
  const lead = entry.samples.length ? `${view.lead} Try one of these:` : view.lead;
  byId('view').replaceChildren(element('div', {}, element('p', {class: 'lead', textContent: lead}), samples));
  if (view.extra) byId('view').append(view.extra);
  setReady(true);
  setState('ready', 'Ready');
}

function showLanguages() {
  const {view} = opened;
  text.placeholder = view.placeholder;
  text.lang = view.languages?.source ?? '';
  text.setAttribute('aria-label', view.placeholder);
}

async function showOffline(turn) {
  const appKept = await keepApp(opened.info.files).catch(() => false), kept = opened?.kept && appKept;
  if (turn !== opening || !opened) return;
  if (kept) {
    opened.offline = 'works without a network';
    setState('ready', 'Ready · works offline');
  } else if (!canKeep) {
    opened.offline = 'needs HTTPS or localhost';
    setState('ready', 'Ready · needs HTTPS for offline use');
  } else {
    opened.offline = 'no room to keep it';
    setState('ready', 'Ready · not kept offline');
    showNotice({
      title: 'There is no room to keep this model',
      text: 'The browser’s storage is full. The model works until the page is closed; free some space, then try again.',
      action: 'Try again',
    }, () => open(opened.entry.name), true);
  }
}

function useText(words) {
  text.value = words;
  ask();
}

async function ask() {
  const words = text.value.trim();
  if (!opened || asking || !(words || opened.view.form)) return;
  const {device, view} = opened, current = opened;
  const wide = /** @type {HTMLInputElement} */ (byId('beam')).checked;
  hideNotice();
  setAsking(true);
  try {
    const beam = wide ? current.beam : 1;
    Object.assign(current.figures, await view.answer(byId('view'), {text: words, second: second.value.trim(), beam}));
    if (!view.form) byId('stage').scrollTop = byId('stage').scrollHeight;
  } catch (error) {
    if (error.name === 'Stopped') return;
    const asked = error.name === 'InputError';
    const unfit = view.form ? 'The inputs do not fit' : 'This text cannot be answered';
    const title = asked ? unfit : 'The model stopped';
    showNotice({title, text: error.message, action: asked ? 'Change it' : 'Start it again'},
      () => (asked ? (view.form ? view : text).focus() : open(current.entry.name)));
  } finally {
    setAsking(false);
  }
}

function setAsking(now) {
  asking = now;
  go.classList.toggle('stop', now);
  byId('go-text').textContent = now ? 'Stop' : opened?.view.verb ?? 'Go';
  picker.disabled = now;
}

byId('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  if (asking) opened.device.ask('stop');
  else ask();
});
text.addEventListener('keydown', (event) => {
  // While an input method composes, Enter chooses a character.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
picker.addEventListener('change', () => open(picker.value));
byId('mask').addEventListener('click', () => {
  text.setRangeText(opened.view.mask, text.selectionStart, text.selectionEnd, 'end');
  text.focus();
});
byId('details-button').addEventListener('click', () => {
  showFacts(opened);
  /** @type {HTMLDialogElement} */ (byId('details')).showModal();
});
byId('details').addEventListener('click', (event) => {
  if (event.target === event.currentTarget) /** @type {HTMLDialogElement} */ (event.currentTarget).close();
});
byId('verify').addEventListener('click', () => repeatProof(opened.device));

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  for (const input of document.querySelectorAll('[name=theme]')) {
    const radio = /** @type {HTMLInputElement} */ (input);
    radio.checked = radio.value === theme;
    radio.onchange = () => {
      remember('theme', radio.value);
      setTheme(radio.value);
    };
  }
}

setTheme(recall('theme', ''));
onTakeover(() => {
  if (opened) showOffline(opening);
});
start();
