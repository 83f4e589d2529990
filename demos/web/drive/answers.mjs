/**
 * Asks the bundles of encoders in a site through the page: reads `{text, masked, context}` from standard input and
 * prints what stands in the lists of a classifier, of a masked language model, of a search, of entities, answers
 * and scores, and the spans that are marked.
 *
 *     node demos/web/drive/answers.mjs SITE [FOLDER] < texts.json
 */
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {json} from 'node:stream/consumers';

import {launch, ready, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, pictures] = process.argv.slice(2);
const {text, masked, context} = await json(process.stdin);

async function list(page, selector) {
  return page.$$eval(`${selector} li`, (items) =>
    items.map((item) => ['.name', '.share'].map((part) => item.querySelector(part).textContent)));
}

await report(async () => {
  const entries = JSON.parse(await readFile(path.join(site, 'bundles.json'), 'utf8'));
  const server = await serve(path.resolve(site));
  const {page, errors, close} = await launch();
  const found = {errors};
  try {
    await page.goto(server.address);
    await ready(page);
    for (const {name, task} of entries) {
      await page.selectOption('#bundle', name);
      await ready(page);
      if (task === 'embedding') {
        await page.tap('.passages summary');
        await page.fill('#passages', 'the red house\na green tree\nold dog\nthe cat likes the dog\na house is near\nred cat\ngreen dog');
        found.passages = (await page.inputValue('#passages')).split('\n');
      }
      if (task === 'question-answering') {
        await page.tap('.passages summary');
        await page.fill('#context', context);
      }
      if (task === 'scoring') await page.fill('#second', context);
      if (task === 'masked-lm') {
        const [before, after] = masked.split('[MASK]');
        await page.fill('#text', before);
        await page.tap('#mask');
        await page.fill('#text', (await page.inputValue('#text')) + after);
      } else {
        await page.fill('#text', text);
      }
      await page.tap('#go');
      await page.locator('#figures').waitFor();
      const lists = {
        classification: ['labels', '#labels'],
        'masked-lm': ['words', '.bars'],
        embedding: ['found', '#found'],
        'token-classification': ['entities', '#entities'],
        'question-answering': ['answers', '#answers'],
        scoring: ['score', '#score'],
      };
      const [key, selector] = lists[task];
      found[key] = await list(page, selector);
      if (task === 'masked-lm') found.filled = await page.innerText('#filled');
      const marks = await page.$$eval('mark.span', (all) => all.map((mark) => mark.firstChild.textContent));
      if (marks.length) (found.marked ??= {})[task] = marks;
      if (pictures) await page.screenshot({path: path.join(pictures, `phone-${name}.png`)});
    }
    return found;
  } finally {
    await close();
    await server.close();
  }
});
