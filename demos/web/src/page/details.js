/** The sheet of details: what the model is, what it takes, and its proof repeated here. */
import {asBytes, asTime, byId, element} from './dom.js';

/** Fills in the facts; those that are not known yet are left out. */
export function showFacts({entry, manifest, info, figures, offline}) {
  byId('details-title').textContent = entry.title;
  const bytes = manifest.files['model.tflite'].bytes;
  const facts = {
    Model: manifest.model.class_name ?? '',
    Task: manifest.task,
    Recipe: manifest.recipe,
    'Model size': asBytes(bytes),
    Memory: figures.memory ? asBytes(figures.memory) : '',
    'Last answer': figures.ms ? asTime(figures.ms) : '',
    'Ready after': asTime(figures.ready),
    Runtime: info.runtime,
    Offline: offline,
  };
  byId('facts').replaceChildren(...Object.entries(facts).filter(([, fact]) => fact).flatMap(([name, fact]) =>
    [element('dt', {textContent: name}), element('dd', {textContent: fact})]));
}

/**
 * Repeats the proof and shows each check.
 * @param {import('./device.js').Device} device
 */
export async function repeatProof(device) {
  const button = /** @type {HTMLButtonElement} */ (byId('verify')), label = button.textContent;
  button.disabled = true;
  byId('checks').replaceChildren();
  try {
    const onProgress = (done) => { button.textContent = `Comparing · ${done} done`; };
    const {result} = await device.ask('verify', {}, {onProgress});
    showChecks(result);
  } catch (error) {
    showChecks({ok: false, runtime: '', rungs: [{ok: false, name: 'proof', detail: error.message}]});
  } finally {
    button.textContent = label;
    button.disabled = false;
  }
}

function showChecks({ok, runtime, rungs}) {
  const shown = rungs.map((check) =>
    element('li', {class: check.ok ? '' : 'wrong'}, element('span', {}, element('b', {textContent: check.name}), ` ${check.detail}`)));
  const verdict = ok ? `The proof holds on ${runtime}.` : 'The proof fails here.';
  byId('checks').replaceChildren(...shown,
    element('li', {class: ok ? 'verdict' : 'verdict wrong'}, element('span', {textContent: verdict})));
}
